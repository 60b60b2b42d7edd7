//! The migrations of the stores, which are written by hand. A migration that was released never changes.

/// The migrations of the SQLite file, in order.
pub(super) const SQLITE: &[&str] = &[
    include_str!("migrations/sqlite/0001-starts.sql"),
    include_str!("migrations/sqlite/0002-inbox.sql"),
    include_str!("migrations/sqlite/0003-property-names.sql"),
    include_str!("migrations/sqlite/0004-clock.sql"),
    include_str!("migrations/sqlite/0005-facets.sql"),
];

/// The migrations of the inbox of a SQLite file, in order.
pub(super) const INBOX: &[&str] =
    &[include_str!("migrations/inbox/0001-arrivals.sql"), include_str!("migrations/inbox/0002-probe.sql")];

/// The migrations of a ClickHouse database, in order.
pub(super) const CLICKHOUSE: &[&str] = &[
    include_str!("migrations/clickhouse/0001-starts.sql"),
    include_str!("migrations/clickhouse/0002-property-names.sql"),
    include_str!("migrations/clickhouse/0003-clock.sql"),
    include_str!("migrations/clickhouse/0004-version.sql"),
    include_str!("migrations/clickhouse/0005-counted-at.sql"),
];

/// Returns the statements of the ClickHouse migrations, without comments, and with single spaces.
pub(super) fn clickhouse_statements() -> Vec<String> {
    let statements = CLICKHOUSE.iter().flat_map(|migration| migration.split(';'));
    let words = |statement: &str| {
        let lines = statement.lines().filter(|line| !line.trim_start().starts_with("--"));
        lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    };
    statements.map(words).filter(|statement| !statement.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::property::Property;
    use crate::schema::EventSchema;

    /// Returns the columns of the SQLite table `starts`: the type, and whether the primary key contains the column.
    fn sqlite_columns() -> BTreeMap<String, (String, bool)> {
        let file = rusqlite::Connection::open_in_memory().unwrap();
        SQLITE.iter().for_each(|migration| file.execute_batch(migration).unwrap());
        let mut columns = file.prepare("SELECT name, type, pk > 0 FROM pragma_table_info('starts')").unwrap();
        let rows = columns.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))));
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn sqlite_type(property: &Property) -> &'static str {
        if property.is_count() { "INTEGER" } else { "TEXT" }
    }

    fn clickhouse_type(property: &Property) -> &'static str {
        if property.is_count() { "UInt32" } else { "String" }
    }

    /// Returns a migration that makes the SQLite table match the declarations.
    fn sqlite_migration(properties: &[Property], existing: &BTreeMap<String, (String, bool)>) -> String {
        let (mut definitions, mut values, mut key) = (String::new(), String::new(), String::from("day"));
        for property in properties {
            let name = property.name();
            let default = if property.is_count() { "0" } else { "''" };
            definitions += &format!("    {name} {} NOT NULL,\n", sqlite_type(property));
            values += &format!(", {}", if existing.contains_key(name) { name } else { default });
            key += &format!(", {name}");
        }
        format!(
            "ALTER TABLE starts RENAME TO starts_before;\nCREATE TABLE starts (\n    day INTEGER NOT NULL,\n{definitions}    \
             starts INTEGER NOT NULL,\n    PRIMARY KEY ({key})\n) WITHOUT ROWID, STRICT;\n\
             INSERT INTO starts SELECT day{values}, starts FROM starts_before;\nDROP TABLE starts_before;"
        )
    }

    /// Returns true if a statement creates a column, possibly together with its table.
    fn creates_column(statement: &str, table: &str, property: &Property) -> bool {
        let column = format!("{} {}", property.name(), clickhouse_type(property));
        let created = statement.strip_prefix(&format!("CREATE TABLE IF NOT EXISTS {table} ("));
        created.is_some_and(|columns| columns.contains(&format!(" {column}")))
            || statement.starts_with(&format!("ALTER TABLE {table} ADD COLUMN {column}"))
    }

    #[test]
    fn every_property_has_a_column_in_sqlite() {
        let properties = &EventSchema::embedded().unwrap().properties;
        let existing = sqlite_columns();
        let mut expected: BTreeMap<String, (String, bool)> = properties
            .iter()
            .map(|property| (property.name().to_owned(), (sqlite_type(property).to_owned(), true)))
            .collect();
        expected.insert("day".to_owned(), ("INTEGER".to_owned(), true));
        expected.insert("starts".to_owned(), ("INTEGER".to_owned(), false));
        let wrong: Vec<&String> = expected
            .keys()
            .chain(existing.keys())
            .filter(|name| existing.get(*name) != expected.get(*name))
            .collect();
        assert!(
            wrong.is_empty(),
            "the SQLite migrations do not produce the declared columns: {wrong:?}. Add a file to \
             prehog/src/store/migrations/sqlite/ with this content, and list it in prehog/src/store/migrations.rs:\n\n{}\n",
            sqlite_migration(properties, &existing)
        );
    }

    #[test]
    fn every_property_has_a_column_in_clickhouse() {
        let properties = &EventSchema::embedded().unwrap().properties;
        let statements = clickhouse_statements();
        // The sorting key of `starts` contains the whole start.
        let mut of_starts = statements.iter().filter(|statement| {
            statement.contains(" TABLE starts ") || statement.contains(" EXISTS starts ")
        });
        let key = of_starts.rfind(|statement| statement.contains("ORDER BY (")).unwrap();
        let (_, key) = key.split_once("ORDER BY (").unwrap();
        let mut key = key.trim_end_matches([')', ' ']).trim().to_owned();
        let (mut missing, mut migration) = (Vec::new(), String::new());
        for property in properties {
            let (name, column_type) = (property.name(), clickhouse_type(property));
            let is_created =
                |table| statements.iter().any(|statement| creates_column(statement, table, property));
            if !is_created("recent") {
                migration += &format!("ALTER TABLE recent ADD COLUMN {name} {column_type};\n");
                missing.push(format!("recent.{name}"));
            }
            if !is_created("starts") {
                key += &format!(", {name}");
                migration += &format!(
                    "ALTER TABLE starts ADD COLUMN {name} {column_type}, MODIFY ORDER BY (\n    {key}\n);\n"
                );
                missing.push(format!("starts.{name}"));
            }
        }
        assert!(
            missing.is_empty(),
            "the ClickHouse migrations do not produce the declared columns: {missing:?}. Add a file to \
             prehog/src/store/migrations/clickhouse/ with this content, and list it in \
             prehog/src/store/migrations.rs:\n\n{migration}\n",
        );
    }
}
