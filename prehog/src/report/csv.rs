//! A report as CSV. Each row has a table, a value, its number of starts, and a note if the number is hidden. Pure.

use super::model::Report;

const HEADER: &str = "table,value,starts,note\n";

pub(super) fn csv(report: &Report) -> String {
    let mut csv = String::from(HEADER);
    let mut row = |table: &str, value: &str, starts: Option<u64>, note: &str| {
        let starts = starts.map_or_else(String::new, |starts| starts.to_string());
        csv += &format!("{},{},{},{}\n", cell(table), cell(value), starts, cell(note));
    };
    row("starts", &format!("{} to {}", report.since, report.until), Some(report.starts), "");
    for (name, counts) in [("week", &report.weeks), ("day", &report.days)] {
        for count in counts {
            let note = if count.starts.is_some() { "" } else { "hidden" };
            row(name, &count.from.to_string(), count.starts, note);
        }
    }
    let tables = report.tables.iter().map(|table| (table.name.as_str(), &table.table));
    for (name, table) in tables.chain([("combination", &report.combinations)]) {
        table.rows.iter().for_each(|value| row(name, &value.value, Some(value.starts), ""));
        if table.more_values > 0 {
            row(name, &format!("({} more values)", table.more_values), Some(table.more_starts), "");
        }
    }
    report.use_cases.iter().for_each(|value| row("use_case", &value.value, Some(value.starts), ""));
    csv
}

/// Quotes a cell if necessary, and prevents a spreadsheet from evaluating it as a formula. All values come from closed sets,
/// so this is only a precaution.
fn cell(value: &str) -> String {
    let safe = value.trim_start_matches(['=', '+', '-', '@', '\t', '\r', '\n']);
    if safe.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", safe.replace('"', "\"\""))
    } else {
        safe.to_owned()
    }
}
