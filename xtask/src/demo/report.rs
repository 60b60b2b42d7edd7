//! A report in CSV as a table for the terminal.

/// Returns the rows of a report that count starts over all of its weeks, in columns.
pub(super) fn table(csv: &str) -> String {
    let rows: Vec<[String; 3]> = csv.lines().skip(1).filter_map(row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let lines = rows.iter().map(|[table, value, starts]| {
        let noun = if starts == "1" { "start" } else { "starts" };
        format!("  {table:<first$}  {value:<second$}  {starts} {noun}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Splits a row with starts that are not those of a single week. None of the tables and values of the event contains a comma or
/// a quote.
fn row(line: &str) -> Option<[String; 3]> {
    let mut fields = line.split(',');
    let [table, value, by, week, starts] = std::array::from_fn(|_| fields.next().unwrap_or_default());
    let value = if by.is_empty() { value.to_owned() } else { format!("{value}, {by}") };
    let has_starts = week.is_empty() && !starts.is_empty() && starts != "0";
    has_starts.then(|| [table.to_owned(), value, starts.to_owned()])
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_rows_with_starts_are_in_the_table() {
        let csv = "table,value,by,week,starts,before,note\nday,2026-01-01,,,0,,\njoin_type,token,,,1,,\n\
                   join_type,token,,2026-01-01,1,,\nuse_cases_by_implementation,other,Rust tbot,,12,,\n";
        let table = "  join_type                    token             1 start\n  \
                     use_cases_by_implementation  other, Rust tbot  12 starts";
        assert_eq!(super::table(csv), table);
    }
}
