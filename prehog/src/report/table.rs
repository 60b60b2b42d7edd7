//! A report as CSV, one row a number: of which table, of which value, how many, and whether that is all. Pure.

use super::{Report, Row, Table};

/// Columns of each row.
const HEAD: &str = "table,value,starts,note\n";

pub(super) fn csv(report: &Report) -> String {
    let mut text = String::from(HEAD);
    let fewer = format!("fewer than {}", report.min_group);
    let mut row = |table: &str, value: &str, starts: Option<u64>, note: &str| {
        let starts = starts.map_or_else(String::new, |starts| starts.to_string());
        text += &format!("{},{},{},{}\n", cell(table), cell(value), starts, cell(note));
    };
    row("starts", &format!("{} to {}", report.since, report.until), Some(report.starts), "");
    for (name, counts) in [("week", &report.weeks), ("day", &report.days)] {
        for count in counts {
            let note = if count.starts.is_some() { "" } else { &fewer };
            row(name, &count.from.to_string(), count.starts, note);
        }
    }
    for (name, table) in tables(report) {
        table.rows.iter().for_each(|value| row(name, &value.value, Some(value.starts), note(value)));
        if table.hidden > 0 {
            row(name, "(hidden)", Some(table.hidden), &format!("{fewer} each, or hidden with such"));
        }
    }
    report.use_cases.iter().for_each(|value| row("use_case", &value.value, Some(value.starts), note(value)));
    text
}

/// The report's tables, by name.
fn tables(report: &Report) -> [(&'static str, &Table); 6] {
    [
        ("run_mode", &report.run_modes),
        ("version", &report.versions),
        ("join_type", &report.join_types),
        ("helper", &report.helpers),
        ("helper_version", &report.helper_versions),
        ("combination", &report.combinations),
    ]
}

fn note(row: &Row) -> &'static str {
    if row.at_least { "at least" } else { "" }
}

/// What stands in a report is from closed sets; a cell still never ends early or begins a formula.
fn cell(text: &str) -> String {
    let safe = text.strip_prefix(['=', '+', '-', '@']).unwrap_or(text);
    if safe.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", safe.replace('"', "\"\""))
    } else {
        safe.to_owned()
    }
}
