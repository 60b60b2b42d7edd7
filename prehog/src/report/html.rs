//! A report as a self-contained HTML page: no scripts, no external resources, light or dark like the reader's system, and a
//! table below each chart. Pure.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{bars, columns, number};
use super::model::{Count, Report, Row, Table};

const STYLE: &str = include_str!("style.css");

pub(super) fn page(report: &Report) -> Markup {
    let Report { since, until, min_group, .. } = report;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Machine ID usage, " (since) " to " (until) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the report" }
                header {
                    h1 { "Machine ID usage" }
                    p { (since) " to " (until) " (whole weeks, UTC)" }
                    p.total { strong { (number(report.starts)) } " agent starts" }
                    @if report.starts == 0 {
                        p.empty { "Nothing to show: no week has " (min_group) " or more starts." }
                    }
                }
                main #main tabindex="-1" {
                    (days(report))
                    (use_cases(report))
                    (combinations(report))
                    @for facet in &report.tables {
                        (table(report, &facet.key.replace('_', "-"), &title(&facet.key), &facet.description, &facet.table))
                    }
                    (notes(report))
                }
            }
        }
    }
}

fn notes(report: &Report) -> Markup {
    html! {
        section aria-labelledby="notes" {
            h2 #notes { "How to read these numbers" }
            ul {
                @for note in &report.notes {
                    li { (note) }
                }
                @if report.min_group > 1 {
                    li {
                        "To protect privacy, each number of a week is rounded down to a multiple of " (report.min_group)
                        ", so smaller groups are not shown. A number over several weeks is the sum of these, so the parts of "
                        "a table add up to less than the whole."
                    }
                }
            }
        }
    }
}

/// Converts a name in snake case to a title.
fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// Renders text in Markdown, of which only code in backticks is supported.
fn inline(markdown: &str) -> Markup {
    html! {
        @for (index, part) in markdown.split('`').enumerate() {
            @if index % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}

/// Renders a chart and the table with its numbers, which can be scrolled with the keyboard if it is wider than the page.
fn section(id: &str, title: &str, lead: &str, chart: &Markup, head: &[&str], rows: &[Vec<String>]) -> Markup {
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (title) }
            p { (inline(lead)) }
            (chart)
            div.scroll tabindex="0" role="region" aria-label={ (title) " (table)" } {
                table {
                    caption { (title) }
                    thead { tr { @for cell in head { th scope="col" { (cell) } } } }
                    tbody {
                        @for cells in rows {
                            tr {
                                @for (index, cell) in cells.iter().enumerate() {
                                    @if index == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn days(report: &Report) -> Markup {
    let cell = |count: &Count| count.starts.map_or_else(|| "hidden".to_owned(), number);
    let weeks: Vec<Vec<String>> = report
        .weeks
        .iter()
        .zip(report.days.chunks(7))
        .map(|(week, days)| {
            let mut cells = vec![week.from.to_string(), cell(week)];
            cells.extend(days.iter().map(cell));
            cells
        })
        .collect();
    let (title, lead) = ("Starts per day", "A grey mark on the baseline is a day whose number is hidden.");
    let head = ["Week of", "Total", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    section("days", title, lead, &columns("days-chart", title, &report.days), &head, &weeks)
}

fn use_cases(report: &Report) -> Markup {
    let title = "Use cases";
    let lead = "Starts with at least one destination for a use case. A start can have several use cases.";
    let rows: Vec<Vec<String>> = report.use_cases.iter().map(|row| cells(row, report.starts)).collect();
    let chart = bars("use-cases-chart", title, &report.use_cases);
    section("use-cases", title, lead, &chart, &["Access to", "Starts", "Share"], &rows)
}

fn combinations(report: &Report) -> Markup {
    let lead = "Use cases that one start serves together. “other” is anything else, such as SSH; “none” means no \
                destinations.";
    table(report, "combinations", "Combinations of use cases", lead, &report.combinations)
}

fn table(report: &Report, id: &str, title: &str, lead: &str, table: &Table) -> Markup {
    let mut rows: Vec<Vec<String>> = table.rows.iter().map(|row| cells(row, report.starts)).collect();
    if table.more_values > 0 {
        rows.push(vec![
            format!("{} more values", number(table.more_values.try_into().unwrap_or(u64::MAX))),
            number(table.more_starts),
            share(table.more_starts, report.starts),
        ]);
    }
    let chart = if table.rows.is_empty() {
        html! { p.none { "Nothing to show: no group is large enough." } }
    } else {
        bars(&format!("{id}-chart"), title, &table.rows)
    };
    section(id, title, lead, &chart, &["Value", "Starts", "Share"], &rows)
}

fn cells(row: &Row, total: u64) -> Vec<String> {
    vec![row.value.clone(), number(row.starts), share(row.starts, total)]
}

/// Formats a share in percent with one decimal place.
fn share(part: u64, total: u64) -> String {
    if total == 0 {
        return "–".to_owned();
    }
    let tenths = (u128::from(part) * 1000 + u128::from(total) / 2) / u128::from(total);
    format!("{}.{}%", tenths / 10, tenths % 10)
}
