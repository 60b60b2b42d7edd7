//! Markdown that reads well as text, too.

/// A table whose columns are as wide as what they hold.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        // Long prose is not padded: nobody aligns a paragraph.
        cells.chain([head[column].chars().count()]).filter(|width| *width <= 40).max().unwrap_or(3).max(3)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<String>| {
        let last = cells.len() - 1;
        let padded = cells.iter().enumerate().map(|(column, cell)| {
            let width = if column == last { 0 } else { widths[column] };
            format!("{cell:width$}")
        });
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let mut text = line(head.iter().map(|&cell| cell.to_owned()).collect());
    text += &line(widths.iter().map(|_| "---".to_owned()).collect());
    rows.iter().for_each(|row| text += &line(row.clone()));
    text
}

/// A text as code, also where it holds backticks; what a table's cell cannot hold is escaped.
pub(super) fn code(text: &str) -> String {
    let text = text.replace('|', "\\|");
    if text.is_empty() { "`\"\"`".to_owned() } else { format!("`{text}`") }
}

/// A text in a table's cell.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
