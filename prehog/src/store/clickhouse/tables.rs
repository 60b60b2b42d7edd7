//! The tables of a database: which columns they have, and the migrations that create and change them. Depends on the HTTP
//! client and the layout.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::http::{Http, TIMEOUT_EXCEEDED};
use super::layout::{Layout, SCHEMA_VERSION, TABLES};
use super::rows::{ResultRow, number};
use crate::schema::EventSchema;
use crate::store::backend::StoreError;
use crate::store::migrations;

/// A column of a table.
#[derive(Deserialize, PartialEq, Eq)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    data_type: String,
    default_kind: String,
    default_expression: String,
}

impl Column {
    /// Returns the column as in a statement that creates a table.
    fn definition(&self) -> String {
        let Self { name, data_type, default_kind, default_expression } = self;
        format!("{name} {data_type} {default_kind} {default_expression}").trim_end().to_owned()
    }
}

/// The columns of the tables.
pub(super) struct Columns(BTreeMap<String, Vec<Column>>);

impl Columns {
    fn read(http: &Http, layout: &Layout) -> Result<Self, StoreError> {
        #[derive(Deserialize)]
        struct ColumnOfTable {
            table: String,
            #[serde(flatten)]
            column: Column,
        }
        let rows: Vec<ColumnOfTable> = http.system_rows(&format!(
            "SELECT table, name, type, default_kind, default_expression FROM system.columns WHERE database = '{}'",
            layout.database()
        ))?;
        let mut columns: BTreeMap<String, Vec<Column>> = BTreeMap::new();
        for ColumnOfTable { table, column } in rows {
            columns.entry(table).or_default().push(column);
        }
        Ok(Self(columns))
    }

    fn of(&self, table: &str) -> &[Column] {
        self.0.get(table).map_or(&[], Vec::as_slice)
    }

    fn find(&self, table: &str, name: &str) -> Option<&Column> {
        self.of(table).iter().find(|column| column.name == name)
    }

    /// Returns the columns of a table to which the properties are written: an alias can only be read.
    pub(super) fn writable(&self, schema: &EventSchema, table: &str) -> Vec<String> {
        let column = |name: &str| match self.find(table, name) {
            Some(column) if column.default_kind == "ALIAS" => column.default_expression.clone(),
            _ => name.to_owned(),
        };
        schema.names().into_iter().map(column).collect()
    }
}

/// Applies the migrations that the database does not have yet, and returns its columns.
///
/// # Errors
///
/// Returns an error if the database was written by a newer version of this program, or if a server rejects a statement or
/// does not run it in time.
pub(super) fn migrate(http: &Http, layout: &Layout) -> Result<Columns, StoreError> {
    let supported = migrations::CLICKHOUSE.len();
    let columns = Columns::read(http, layout)?;
    let found = schema_version(http, &columns)?;
    if found > supported {
        return Err(StoreError::NewerVersion { found, supported });
    }
    if found == supported {
        return Ok(columns);
    }
    let apply = || {
        http.run_in_default_database(&layout.create_database())?;
        apply_migrations(http, layout)?;
        distribute(http, layout)?;
        http.run(&format!("INSERT INTO {SCHEMA_VERSION} SELECT {supported} AS version"))
    };
    apply().map_err(|error| match (error, layout.cluster()) {
        (StoreError::Rejected { code: TIMEOUT_EXCEEDED, message }, Some(cluster)) => {
            StoreError::MigrationIncomplete { cluster: cluster.to_owned(), message }
        }
        (error, _) => error,
    })?;
    Columns::read(http, layout)
}

/// Returns how many migrations the database has, or 0 if it is empty or does not record it yet.
fn schema_version(http: &Http, columns: &Columns) -> Result<usize, StoreError> {
    if columns.find(SCHEMA_VERSION, "version").is_none() {
        return Ok(0);
    }
    let rows: Vec<ResultRow> = http.rows(&format!("SELECT max(version) AS version FROM {SCHEMA_VERSION}"))?;
    let version = rows.first().map_or(Ok(0), |row| number(row, "version"))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

/// Runs the statements of all migrations: a statement that creates a table is repeatable, and one that adds a column is
/// skipped if the table already has it on all shards, because not all versions know `ADD COLUMN IF NOT EXISTS`.
fn apply_migrations(http: &Http, layout: &Layout) -> Result<(), StoreError> {
    for statement in migrations::clickhouse_statements() {
        let words: Vec<&str> = statement.split(' ').collect();
        let is_applied = || match words.as_slice() {
            ["ALTER", "TABLE", table, "ADD", "COLUMN", column, ..] => {
                let rows: Vec<ResultRow> = http.system_rows(&layout.shards_with_column(table, column))?;
                let shards = rows.first().map_or(Ok(0), |row| number(row, "total"))?;
                Ok(usize::try_from(shards) == Ok(layout.shards()))
            }
            _ => Ok::<_, StoreError>(false),
        };
        if is_applied()? {
            continue;
        }
        match http.run(&layout.migration(&statement)) {
            // Another receiver may have added the column in the meantime, or only some of the shards had it.
            Err(StoreError::Rejected { .. }) if is_applied()? => {}
            result => result?,
        }
    }
    Ok(())
}

/// Makes the tables of a cluster that pass everything on to the shards, or makes them again if their columns have changed.
fn distribute(http: &Http, layout: &Layout) -> Result<(), StoreError> {
    let columns = Columns::read(http, layout)?;
    for table in TABLES {
        let (current, qualified_local_name) = (columns.of(table), columns.of(&layout.local_name(table)));
        if current != qualified_local_name {
            if !current.is_empty() {
                http.run(&layout.drop_distributed(table))?;
            }
            let definitions: Vec<String> = qualified_local_name.iter().map(Column::definition).collect();
            http.run(&layout.create_distributed(table, &definitions))?;
        }
    }
    Ok(())
}
