//! A report as a self-contained HTML page: no scripts, no external resources, light or dark like the reader's system, and a
//! table below each chart, which is folded. Pure.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{Change, bars, cell, change_of, columns, number, number_of, percent, share, share_of};
use super::model::{Count, Report};
use super::navigation::Navigation;
use super::section::{Content, CrossTable, Group, Row, Section, Table};

const STYLE: &str = include_str!("style.css");
/// The maximum number of days with a column each. Longer reports have a column per week.
const MAX_DAY_COLUMNS: usize = 26 * 7;
/// Days per week, which are also the columns between two dates.
const WEEK: usize = 7;

pub(super) fn page(report: &Report, navigation: Option<&Navigation>) -> Markup {
    let Report { since, until, .. } = report;
    let title = format!("Machine ID usage, {since} to {until}");
    let (shown, hidden): (Vec<&Section>, Vec<&Section>) =
        report.sections.iter().partition(|section| !section.content.is_empty());
    let of_layout = |layout| shown.iter().filter(move |section| Layout::of(section) == layout);
    document(
        &title,
        &html! {
            a.skip href="#main" { "Skip to the report" }
            header {
                div {
                    h1 { "Machine ID usage" }
                    p { (since) " to " (until) " (" (weeks(report.weeks.len())) " from Monday to Sunday, UTC)" }
                }
                @if let Some(navigation) = navigation { (navigation.markup(report)) }
            }
            main #main tabindex="-1" {
                @if report.is_empty() { (empty(report)) } @else {
                    (days(report))
                    @for section in of_layout(Layout::Groups) { (section_of(report, section)) }
                    div.narrow {
                        @for section in of_layout(Layout::Single) { (section_of(report, section)) }
                    }
                    @for section in of_layout(Layout::Cross) { (section_of(report, section)) }
                    @if !hidden.is_empty() { (not_shown(report, &hidden)) }
                }
                (notes(report))
            }
        },
    )
}

/// How a section is laid out. Those of the same kind are next to each other, so that the page has no gaps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Groups next to each other, in the full width.
    Groups,
    /// One group, in one of two columns.
    Single,
    /// A table in the full width.
    Cross,
}

impl Layout {
    fn of(section: &Section) -> Self {
        match &section.content {
            Content::Groups(groups) if groups.len() > 1 => Self::Groups,
            Content::Groups(_) => Self::Single,
            Content::ByUseCase(_) => Self::Cross,
        }
    }
}

/// A page with a message instead of a report.
pub(super) fn message(title: &str, message: &str) -> Markup {
    document(
        title,
        &html! {
            main {
                h1 { (title) }
                p { (message) }
                p { a href="./" { "Show the last complete weeks" } }
            }
        },
    )
}

fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
}

/// Explains why a report has no numbers. It does not say how many starts there are, not even whether there are any.
fn empty(report: &Report) -> Markup {
    html! {
        section.empty aria-labelledby="empty" {
            h2 #empty { "Too few starts to show" }
            p {
                "The store has fewer than " (report.min_group) " starts in each of these weeks: too few were received, or "
                "they were removed after the retention period. A week is shown once it is over and has at least "
                (report.min_group) " starts."
            }
            p {
                "The operator of the receiver can see what has arrived: " code { "prehog report" } " logs the number of "
                "starts, and " code { "prehog export" } " prints them."
            }
        }
    }
}

/// Names the sections that have no numbers yet.
fn not_shown(report: &Report, sections: &[&Section]) -> Markup {
    let titles: Vec<&str> = sections.iter().map(|section| section.title.as_str()).collect();
    html! {
        section aria-labelledby="not-shown" {
            h2 #not-shown { "Not shown yet" }
            p {
                (titles.join(", ")) ": no value, and no combination of use cases, has " (report.min_group)
                " or more starts in one of these weeks."
            }
        }
    }
}

fn notes(report: &Report) -> Markup {
    html! {
        section aria-labelledby="notes" {
            h2 #notes { "How to read these numbers" }
            ul.notes {
                @for note in &report.notes {
                    li { (note) }
                }
                @if report.min_group > 1 {
                    li {
                        "To protect privacy, each number of a week is rounded down to a multiple of " (report.min_group)
                        ", so smaller groups are not shown. A number over several weeks is the sum of these, so the parts of "
                        "a table add up to less than the whole. The number of a use case is the sum of the combinations that "
                        "contain it, each of which is rounded. So it can be too small by more than one multiple, and it is "
                        "hidden if each of the combinations is small, even if their sum is not."
                    }
                }
                @if !report.is_empty() {
                    li {
                        "The small columns show the starts with a value per week, relative to its largest week."
                    }
                }
                @if let Some(before) = &report.before {
                    li {
                        "Changes are relative to the same number of weeks before: " (before.since) " to " (before.until) ". A value that "
                        "is shown only in those weeks is listed, too."
                        @if report.min_group > 1 {
                            " The rounding limits what can be said: ≈ means that it may explain the whole difference, and min. "
                            "precedes the smallest change that it leaves possible if the true one may be much larger."
                        }
                    }
                } @else if !report.is_empty() {
                    li {
                        "The report does not compare with the weeks before, because one of these weeks, or of those before, is "
                        "hidden or may be incomplete: it is not over, it has too few starts, its starts were removed, or the "
                        "receiver was not running, or not yet installed, during a part of it."
                    }
                }
            }
        }
    }
}

/// Renders text in Markdown, of which only code in backticks is supported.
fn inline(markdown: &str) -> Markup {
    html! {
        @for (index, part) in markdown.split('`').enumerate() {
            @if index % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}

/// Renders a folded table, which can be scrolled with the keyboard if it is wider than the page.
fn folded(title: &str, head: &[String], rows: &[Vec<String>]) -> Markup {
    html! {
        details {
            summary { "Table: " (title) }
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
    let starts = report.starts.unwrap_or(0);
    let shown_days = report.days.iter().filter(|day| day.starts.is_some()).count();
    let per_week = report.days.len() > MAX_DAY_COLUMNS || shown_days * 2 < report.days.len();
    let (title, chart) = if per_week {
        ("Starts per week", columns("days-chart", "Starts per week", "week", &report.weeks, 1))
    } else {
        ("Starts per day", columns("days-chart", "Starts per day", "day", &report.days, WEEK))
    };
    let row = |(week, days): (&Count, &[Count])| {
        let cells = [week.from.to_string(), cell(week.starts)];
        cells.into_iter().chain(days.iter().map(|day| cell(day.starts))).collect()
    };
    let rows: Vec<Vec<String>> = report.weeks.iter().zip(report.days.chunks(WEEK)).map(row).collect();
    let head = ["Week of", "Total", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].map(str::to_owned);
    let is_hidden = |counts: &[Count]| counts.iter().any(|count| count.starts.is_none());
    html! {
        section.card aria-labelledby="days" {
            div.heading {
                h2 #days { (title) }
                p.total {
                    strong { (number(starts)) } " agent starts"
                    @if let Some(before) = &report.before {
                        @let period = match report.weeks.len() {
                            1 => "week before".to_owned(),
                            len => format!("{} before", weeks(len)),
                        };
                        ", " (Change::between(before.starts, starts, report.max_hidden()).in_words(&period))
                    }
                }
            }
            (chart)
            @if is_hidden(if per_week { &report.weeks } else { &report.days }) {
                p.legend {
                    "A grey mark on the baseline is a hidden number: the store has too few starts, or none. See the notes below."
                 }
            }
            (folded(title, &head, &rows))
        }
    }
}

fn weeks(len: usize) -> String {
    if len == 1 { "1 week".to_owned() } else { format!("{} weeks", number_of(len)) }
}

fn section_of(report: &Report, section: &Section) -> Markup {
    let id = section.name.replace('_', "-");
    let mut reasons: Vec<&str> = Vec::new();
    for answer in &section.answers {
        if !reasons.contains(&answer.reason.as_str()) {
            reasons.push(&answer.reason);
        }
    }
    html! {
        section.card aria-labelledby=(id) data-answers=(answered(section)) {
            h2 id=(id) { (section.title) }
            p { (inline(&section.description)) }
            @if !reasons.is_empty() {
                p.reason { "Reason: " (reasons.join(" ")) }
            }
            @match &section.content {
                Content::Groups(groups) => {
                    div.groups.pair[groups.len() > 1] {
                        @for group in groups { (group_of(report, section, group)) }
                    }
                }
                Content::ByUseCase(cross) => (cross_of(report, section, cross)),
            }
        }
    }
}

/// Lists the properties whose reasons a section answers.
fn answered(section: &Section) -> String {
    let names: Vec<&str> = section.answers.iter().map(|answer| answer.property.as_str()).collect();
    names.join(" ")
}

fn group_of(report: &Report, section: &Section, group: &Group) -> Markup {
    let compares = report.before.is_some();
    let title = match &group.name {
        Some(name) => format!("{}, {name}", section.title),
        None => section.title.clone(),
    };
    html! {
        div.group {
            @if let Some(name) = &group.name {
                h3 {
                    (name) " "
                    span {
                        @match group.starts {
                            Some(starts) => { (number(starts)) " starts" }
                            None => { "number of starts hidden" }
                        }
                    }
                }
            }
            (bars(&title, &group.table, group.starts, compares))
            (folded_table(report, &title, &group.table, group.starts))
            @if let Some(combinations) = &group.combinations {
                (folded_table(report, &format!("Combinations of {}", lower_first(&title)), combinations, group.starts))
            }
        }
    }
}

fn folded_table(report: &Report, title: &str, table: &Table, total: Option<u64>) -> Markup {
    let mut head: Vec<String> = ["Value", "Starts", "Share"].map(str::to_owned).into();
    if report.before.is_some() {
        head.extend(["Before", "Change"].map(str::to_owned));
    }
    head.extend(report.weeks.iter().map(|week| week.from.to_string()));
    let mut rows: Vec<Vec<String>> = table.rows.iter().map(|row| cells(report, table, row, total)).collect();
    if table.more_values > 0 {
        rows.push(vec![
            format!("{} more values", number_of(table.more_values)),
            cell(table.more_starts),
            share_of(table.more_starts, total),
        ]);
    }
    folded(title, &head, &rows)
}

fn cells(report: &Report, table: &Table, row: &Row, total: Option<u64>) -> Vec<String> {
    let mut cells = vec![row.value.clone(), cell(row.starts), share_of(row.starts, total)];
    if report.before.is_some() {
        cells.extend([cell(row.before), change_of(row, table.max_hidden)]);
    }
    cells.extend(row.weeks.iter().map(|starts| cell(*starts)));
    cells
}

/// Renders a table in which each cell has a bar with its share of the row.
fn cross_of(report: &Report, section: &Section, cross: &CrossTable) -> Markup {
    let has_hidden = cross.rows.iter().flat_map(|row| &row.cells).any(Option::is_none);
    html! {
        div.scroll tabindex="0" role="region" aria-label={ (section.title) " (table)" } {
            table.cross style={ "--columns:" (cross.columns.len()) } {
                caption { (section.title) }
                thead {
                    tr {
                        th scope="col" { "Value" }
                        th scope="col" { "Starts" }
                        @for column in &cross.columns { th scope="col" { (column) } }
                    }
                }
                tbody {
                    @for row in &cross.rows {
                        tr {
                            th scope="row" { (row.value) }
                            td { (number(row.starts)) }
                            @for starts in &row.cells {
                                @if let Some(starts) = starts {
                                    td.share style={ "--share:" (percent(*starts, row.starts)) "%" } {
                                        (share(*starts, row.starts)) " "
                                        span.count { (number(*starts)) }
                                    }
                                } @else {
                                    td.hidden { "hidden" }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if has_hidden {
            p.legend {
                "Hidden: no combination of use cases that contains this one has " (report.min_group)
                " or more starts with the value in a week. All of them together may have more."
            }
        }
    }
}

/// Converts a title for use within a sentence.
fn lower_first(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}
