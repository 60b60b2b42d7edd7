//! A report as a self-contained HTML page: no scripts, no external resources, light or dark like the reader's system, and a
//! table below each chart. Pure.

use super::chart::{bars, columns, escape, number};
use super::model::{Count, FacetTable, Report, Row, Table};

const STYLE: &str = include_str!("style.css");

pub(super) fn page(report: &Report) -> String {
    let combinations = table(
        report,
        "combinations",
        "Combinations of use cases",
        "Use cases that one start serves together. “other” is anything else, such as SSH; “none” means no destinations.",
        &report.combinations,
    );
    let facets = report.tables.iter().map(|FacetTable { key, description, table: numbers, .. }| {
        table(report, &key.replace('_', "-"), &title(key), description, numbers)
    });
    let sections: String =
        [days(report), use_cases(report), combinations].into_iter().chain(facets).collect();
    let notes: String = report.notes.iter().map(|note| format!("<li>{}</li>", escape(note))).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Machine ID usage, {since} to {until}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the report</a>\n\
         <header>\n<h1>Machine ID usage</h1>\n\
         <p>{since} to {until} (whole weeks, UTC)</p>\n\
         <p class=\"total\"><strong>{total}</strong> agent starts</p>\n{empty}</header>\n\
         <main id=\"main\" tabindex=\"-1\">\n{sections}\
         <section aria-labelledby=\"notes\">\n<h2 id=\"notes\">How to read these numbers</h2>\n<ul>{notes}\
         {privacy}</ul>\n</section>\n</main>\n</body>\n</html>\n",
        since = report.since,
        until = report.until,
        privacy = if report.min_group > 1 {
            format!(
                "<li>To protect privacy, each number of a week is rounded down to a multiple of {}, so smaller groups are not \
                 shown. A number over several weeks is the sum of these, so the parts of a table add up to less than the \
                 whole.</li>",
                report.min_group
            )
        } else {
            String::new()
        },
        total = number(report.starts),
        empty = if report.starts == 0 {
            format!(
                "<p class=\"empty\">Nothing to show: no week has {} or more starts.</p>\n",
                report.min_group
            )
        } else {
            String::new()
        },
    )
}

/// Converts a name in snake case to a title.
fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// Renders text in Markdown, of which only code in backticks is supported.
fn inline(markdown: &str) -> String {
    let parts = markdown.split('`').enumerate();
    parts
        .map(|(index, part)| match index % 2 {
            0 => escape(part),
            _ => format!("<code>{}</code>", escape(part)),
        })
        .collect()
}

fn section(id: &str, title: &str, lead: &str, inner: &str) -> String {
    format!(
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{}</h2>\n<p>{}</p>\n{inner}</section>\n",
        escape(title),
        inline(lead),
    )
}

/// Renders a table, which can be scrolled with the keyboard if it is wider than the page.
fn table_element(title: &str, head: &[&str], rows: &[Vec<String>]) -> String {
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
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title} (table)\">\n<table>\n\
         <caption>{title}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n"
    )
}

fn days(report: &Report) -> String {
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
    let head = ["Week of", "Total", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let chart = columns("days-chart", "Starts per day", &report.days);
    let inner = format!("{chart}\n{}", table_element("Starts per day", &head, &weeks));
    section("days", "Starts per day", "A grey mark on the baseline is a day whose number is hidden.", &inner)
}

fn table(report: &Report, id: &str, title: &str, lead: &str, table: &Table) -> String {
    let mut rows: Vec<Vec<String>> = table.rows.iter().map(|row| cells(row, report.starts)).collect();
    if table.more_values > 0 {
        rows.push(vec![
            format!("{} more values", number(table.more_values.try_into().unwrap_or(u64::MAX))),
            number(table.more_starts),
            share(table.more_starts, report.starts),
        ]);
    }
    let chart = if table.rows.is_empty() {
        "<p class=\"none\">Nothing to show: no group is large enough.</p>".to_owned()
    } else {
        bars(&format!("{id}-chart"), title, &table.rows)
    };
    section(
        id,
        title,
        lead,
        &format!("{chart}\n{}", table_element(title, &["Value", "Starts", "Share"], &rows)),
    )
}

fn use_cases(report: &Report) -> String {
    let title = "Use cases";
    let rows: Vec<Vec<String>> = report.use_cases.iter().map(|row| cells(row, report.starts)).collect();
    let inner = format!(
        "{}\n{}",
        bars("use-cases-chart", title, &report.use_cases),
        table_element(title, &["Access to", "Starts", "Share"], &rows)
    );
    section(
        "use-cases",
        title,
        "Starts with at least one destination for a use case. A start can have several use cases.",
        &inner,
    )
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
