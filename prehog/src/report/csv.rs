//! A report as CSV: one row per number. Pure.
//!
//! | column | content |
//! | --- | --- |
//! | `table` | what is counted: `starts`, `week`, `day`, or the name of a section |
//! | `value` | the value |
//! | `by` | the implementation or the use case by which a section divides the starts with the value |
//! | `week` | the first day of the week, if the number is that of a week |
//! | `starts` | the number of starts; empty if it is hidden |
//! | `before` | the number in the period before, if the report compares with it |
//! | `note` | `hidden` if the number is hidden, or `before hidden` if only the number in the period before is |

use super::model::Report;
use super::section::{Content, Table};

const HEADER: &str = "table,value,by,week,starts,before,note\n";

pub(super) fn csv(report: &Report) -> String {
    let mut csv = Csv(HEADER.to_owned());
    let period = format!("{} to {}", report.since, report.until);
    let before = report.before.map(|before| Some(before.starts));
    csv.row(["starts", &period, "", ""], report.starts, before);
    for (name, counts) in [("week", &report.weeks), ("day", &report.days)] {
        for count in counts {
            csv.row([name, &count.from.to_string(), "", ""], count.starts, None);
        }
    }
    for section in &report.sections {
        match &section.content {
            Content::Groups(groups) => {
                for group in groups {
                    let by = group.name.as_deref().unwrap_or_default();
                    csv.table(report, &section.name, by, &group.table);
                    if let Some(combinations) = &group.combinations {
                        csv.table(report, &format!("{}_combined", section.name), by, combinations);
                    }
                }
            }
            Content::ByUseCase(cross) => {
                for row in &cross.rows {
                    for (by, starts) in cross.columns.iter().zip(&row.cells) {
                        csv.row([&section.name, &row.value, by, ""], *starts, None);
                    }
                }
            }
        }
    }
    csv.0
}

struct Csv(String);

impl Csv {
    /// Adds a row. `before` is `None` if the row does not compare, and `Some(None)` if the number before is hidden.
    fn row(&mut self, labels: [&str; 4], starts: Option<u64>, before: Option<Option<u64>>) {
        let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
        let note = match (starts, before) {
            (None, _) => "hidden",
            (Some(_), Some(None)) => "before hidden",
            (Some(_), _) => "",
        };
        let labels = labels.map(cell).join(",");
        self.0 += &format!("{labels},{},{},{note}\n", number(starts), number(before.flatten()));
    }

    fn table(&mut self, report: &Report, name: &str, by: &str, table: &Table) {
        for row in &table.rows {
            self.row([name, &row.value, by, ""], row.starts, report.before.map(|_| row.before));
            for (week, starts) in report.weeks.iter().zip(&row.weeks) {
                self.row([name, &row.value, by, &week.from.to_string()], *starts, None);
            }
        }
        if table.more_values > 0 {
            self.row(
                [name, &format!("({} more values)", table.more_values), by, ""],
                table.more_starts,
                None,
            );
        }
    }
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
