//! A report as one HTML page that stands alone: no script, nothing loaded, light or dark as the reader's system is,
//! a table under each chart. Pure.

use super::chart::{bars, columns, escape, number};
use super::{Count, Report, Row, Table};
use crate::day::Day;

const STYLE: &str = include_str!("style.css");

pub(super) fn page(report: &Report) -> String {
    let fewer = format!("fewer than {}", report.min_group);
    let sections = [
        days(report, &fewer),
        use_cases(report),
        table(
            report,
            "combinations",
            "Combinations",
            "Which kinds of destinations one start has together.",
            &report.combinations,
            &fewer,
        ),
        table(report, "run-modes", "One-shot and continuous", "How agents run.", &report.run_modes, &fewer),
        table(
            report,
            "versions",
            "Versions in use",
            "Which versions of tbot started.",
            &report.versions,
            &fewer,
        ),
        table(
            report,
            "join-methods",
            "Join methods",
            "How agents prove what they are.",
            &report.join_types,
            &fewer,
        ),
        table(
            report,
            "helpers",
            "Helpers",
            "Programs that start tbot for their users; none where nobody says so.",
            &report.helpers,
            &fewer,
        ),
        table(
            report,
            "helper-versions",
            "Helpers and their versions",
            "Each helper, with its version where it gives one.",
            &report.helper_versions,
            &fewer,
        ),
    ];
    let notes: String = report.notes.iter().map(|note| format!("<li>{}</li>", escape(note))).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Machine ID starts, {since} to {until}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the numbers</a>\n\
         <header>\n<h1>Who starts Machine ID, and for what</h1>\n\
         <p>{since} to {until}, whole weeks in UTC.</p>\n\
         <p class=\"total\"><strong>{total}</strong> starts</p>\n{empty}</header>\n\
         <main id=\"main\" tabindex=\"-1\">\n{sections}\
         <section aria-labelledby=\"notes\">\n<h2 id=\"notes\">What these numbers are</h2>\n<ul>{notes}\
         <li>A group with {fewer} starts in a week is not shown. Where it could be told from what is shown, the next \
         smallest groups of that week are not shown either. A number after ≥ leaves out weeks in which its group is \
         hidden.</li></ul>\n</section>\n</main>\n</body>\n</html>\n",
        since = report.since,
        until = report.until,
        total = number(report.starts),
        empty = if report.starts == 0 {
            format!("<p>No week has a group that can be shown: each has {fewer} starts, or none.</p>\n")
        } else {
            String::new()
        },
        sections = sections.concat(),
    )
}

fn section(id: &str, title: &str, lead: &str, inner: &str) -> String {
    format!(
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{}</h2>\n<p>{}</p>\n{inner}</section>\n",
        escape(title),
        escape(lead),
    )
}

/// A table that can be scrolled by keyboard where it is wider than the page.
fn rows(title: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    let head: String = head.iter().map(|cell| format!("<th scope=\"col\">{}</th>", escape(cell))).collect();
    let body: String = rows
        .iter()
        .map(|cells| {
            let mut cells = cells.iter();
            let first = cells
                .next()
                .map_or_else(String::new, |cell| format!("<th scope=\"row\">{}</th>", escape(cell)));
            let rest: String = cells.map(|cell| format!("<td>{}</td>", escape(cell))).collect();
            format!("<tr>{first}{rest}</tr>\n")
        })
        .collect();
    let title = escape(title);
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}, as a table\">\n<table>\n\
         <caption>{title}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n"
    )
}

fn days(report: &Report, fewer: &str) -> String {
    let cell = |count: &Count<Day>| count.starts.map_or_else(|| fewer.to_owned(), number);
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
    let head = ["Week of", "All", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let chart = columns("days-chart", "Starts by day", &report.days);
    let inner = format!("{chart}\n{}", rows("Starts by day", &head, &weeks));
    section("days", "Starts by day", "A mark at the foot is a day that is hidden.", &inner)
}

fn table(report: &Report, id: &str, title: &str, lead: &str, table: &Table, fewer: &str) -> String {
    let mut cells: Vec<Vec<String>> = table.rows.iter().map(|row| value(row, report.starts)).collect();
    if table.hidden > 0 {
        cells.push(vec![
            format!("{fewer} in their week, or hidden with such"),
            number(table.hidden),
            share(table.hidden, report.starts, false),
        ]);
    }
    let chart = if table.rows.is_empty() {
        format!("<p class=\"none\">Nothing to show: every group has {} starts.</p>", escape(fewer))
    } else {
        bars(&format!("{id}-chart"), title, &table.rows)
    };
    section(id, title, lead, &format!("{chart}\n{}", rows(title, &["Value", "Starts", "Share"], &cells)))
}

fn use_cases(report: &Report) -> String {
    let title = "Use-cases";
    let cells: Vec<Vec<String>> = report.use_cases.iter().map(|row| value(row, report.starts)).collect();
    let inner = format!(
        "{}\n{}",
        bars("use-cases-chart", title, &report.use_cases),
        rows(title, &["With access to", "Starts", "Share"], &cells)
    );
    section(
        "use-cases",
        title,
        "Starts with any destination of a kind; one start may have several kinds.",
        &inner,
    )
}

fn value(row: &Row, total: u64) -> Vec<String> {
    let prefix = if row.at_least { "≥ " } else { "" };
    vec![row.value.clone(), format!("{prefix}{}", number(row.starts)), share(row.starts, total, row.at_least)]
}

/// A share in percent, to one digit.
fn share(part: u64, total: u64, at_least: bool) -> String {
    if total == 0 {
        return "–".to_owned();
    }
    let tenths = (u128::from(part) * 1000 + u128::from(total) / 2) / u128::from(total);
    format!("{}{}.{} %", if at_least { "≥ " } else { "" }, tenths / 10, tenths % 10)
}
