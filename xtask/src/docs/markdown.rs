//! Markdown that is readable as plain text, too.

/// The first line of a generated page.
pub(super) const GENERATED_NOTICE: &str =
    "<!-- Generated from the schemas by `cargo xtask docs`; do not edit. -->\n";

/// The widest cell that a column is padded to. Cells with longer prose are not aligned.
const MAX_PADDED_WIDTH: usize = 40;

/// Formats a table with aligned columns.
///
/// A `|` in a cell is escaped, which Markdown requires even in inline code.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let escape = |row: &Vec<String>| row.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(escape).collect();
    let width = |column: usize| {
        let cells =
            rows.iter().map(|row| row[column].chars().count()).chain([header[column].chars().count()]);
        cells.filter(|width| *width <= MAX_PADDED_WIDTH).max().unwrap_or(3).max(3)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let row = |cells: Vec<String>| {
        let last = cells.len() - 1;
        let padded = cells.iter().enumerate().map(|(column, cell)| {
            let width = if column == last { 0 } else { widths[column] };
            format!("{cell:width$}")
        });
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let mut table = row(header.iter().map(|&cell| cell.to_owned()).collect());
    table += &row(widths.iter().map(|_| "---".to_owned()).collect());
    rows.iter().for_each(|cells| table += &row(cells.clone()));
    table
}

/// Formats a string as inline code. An empty string becomes `""`.
pub(super) fn code(string: &str) -> String {
    if string.is_empty() { "`\"\"`".to_owned() } else { format!("`{string}`") }
}

/// Joins the lines of a string, for a table cell or an item of a list.
pub(super) fn line(string: &str) -> String {
    string.replace('\n', " ")
}

/// Formats a section that is folded until the reader opens it. The summary is plain text.
///
/// Markdown within HTML is rendered only between empty lines.
pub(super) fn details(summary: &str, content: &str) -> String {
    format!("\n<details>\n<summary>{summary}</summary>\n\n{content}\n</details>\n")
}
