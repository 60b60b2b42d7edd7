//! A report in CSV as a table for the terminal.

/// Returns the rows of a report that count starts, in columns.
pub(super) fn table(csv: &str) -> String {
    let rows: Vec<[&str; 3]> =
        csv.lines().skip(1).filter_map(row).filter(|[.., starts]| *starts != "0").collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let lines = rows.iter().map(|[table, value, starts]| {
        let noun = if *starts == "1" { "start" } else { "starts" };
        format!("  {table:<first$}  {value:<second$}  {starts} {noun}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Splits a row. None of the tables and values of the event contains a comma or a quote.
fn row(line: &str) -> Option<[&str; 3]> {
    let mut fields = line.split(',');
    Some([fields.next()?, fields.next()?, fields.next()?])
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_rows_with_starts_are_in_the_table() {
        let csv = "table,value,starts,note\nday,2026-01-01,0,\njoin_type,token,1,\nuse_case,other,12,\n";
        let table = "  join_type  token  1 start\n  use_case   other  12 starts";
        assert_eq!(super::table(csv), table);
    }
}
