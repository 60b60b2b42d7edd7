//! The store for more events than one machine can handle: a ClickHouse server, accessed over its HTTP interface. Depends
//! on ureq.
//!
//! Inserts are idempotent by `distinct_id`: rows with the same id are merged into one. A complete day is *folded*: its
//! starts are counted into a table without ids, its ids are copied to a table without starts, and then its submissions and
//! the ids of the previous day are dropped. Every step can be repeated, by this process or another one, with the same
//! result. `append` returns when the insert has returned; how durable the rows are then depends on the server's settings
//! (`fsync_after_insert`, replication with `insert_quorum`).

mod http;
mod sql;

use std::collections::{BTreeMap, HashSet};
use std::io::BufRead as _;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::backend::{Folded, ID_RETENTION_DAYS, Sink, Store, StoreError, Tally};
use super::expiry::TRUSTED_AFTER_DAYS;
use super::migrations;
use crate::day::{Day, Week};
use crate::facet::FacetId;
use crate::schema::EventSchema;
use crate::start::{PropertyValue, Submission};
use http::Http;
use sql::Sql;

/// The table of submissions of the last days.
const RECENT: &str = "recent";
/// The table of the ids of counted days.
const IDS: &str = "ids";
/// The table of counted starts.
const STARTS: &str = "starts";

/// The table that records which migrations the database has.
const SCHEMA_VERSION: &str = "schema_version";

/// A server and a database in it.
pub struct ClickHouse {
    schema: &'static EventSchema,
    http: Http,
    sql: Sql,
    /// The columns of `recent` to which the properties are written, in the order of the properties.
    recent_columns: Vec<String>,
}

impl ClickHouse {
    /// Connects to a server, and creates the database and its tables if they do not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not respond or rejects a statement, or if the database was written by a newer
    /// version of this program.
    pub fn open(url: &url::Url) -> Result<Self, StoreError> {
        let schema = EventSchema::embedded()?;
        let http = Http::new(url)?;
        http.create_database()?;
        let supported = migrations::CLICKHOUSE.len();
        let found = schema_version(&http)?;
        if found > supported {
            return Err(StoreError::NewerVersion { found, supported });
        }
        for migration in migrations::CLICKHOUSE {
            migrate(&http, migration)?;
        }
        if found < supported {
            http.run(&format!("INSERT INTO {SCHEMA_VERSION} SELECT {supported} AS version"))?;
        }
        let columns = columns(&http)?;
        let sql = Sql::new(schema, &writable_columns(schema, &columns, STARTS));
        Ok(Self { schema, http, sql, recent_columns: writable_columns(schema, &columns, RECENT) })
    }

    /// Returns the last day that is folded, or 1970-01-01 if there is none.
    fn last_folded_day(&self) -> Result<Day, StoreError> {
        let row: Vec<Map<String, Value>> = self.http.rows("SELECT toUInt16(max(day)) AS day FROM folded")?;
        let day = row.first().map_or(Ok(0), |row| number(row, "day"))?;
        Ok(Day(i32::try_from(day).unwrap_or(0)))
    }

    /// Returns the days before `first` of which a table has rows.
    fn days_before(&self, table: &str, first: Day) -> Result<Vec<Day>, StoreError> {
        self.days(&format!("SELECT DISTINCT day FROM {table} WHERE day < toDate('{first}') ORDER BY day"))
    }

    fn days(&self, query: &str) -> Result<Vec<Day>, StoreError> {
        let rows: Vec<Map<String, Value>> = self.http.rows(query)?;
        rows.iter().map(|row| day_of(row, "day")).collect()
    }
}

impl Store for ClickHouse {
    fn append(&mut self, batch: &[Submission]) -> Result<(), StoreError> {
        let mut rows = String::with_capacity(batch.len() * 320);
        for Submission { id, day, start } in batch {
            let mut row = Map::with_capacity(self.recent_columns.len() + 2);
            row.insert("day".to_owned(), day.to_string().into());
            row.insert("id".to_owned(), Uuid::from_bytes(*id).simple().to_string().into());
            for (column, value) in self.recent_columns.iter().zip(&start.0) {
                let value = match value {
                    PropertyValue::Count(count) => Value::from(*count),
                    // An absent value is stored as an empty string.
                    text => Value::from(text.as_str()),
                };
                row.insert(column.clone(), value);
            }
            rows += &Value::Object(row).to_string();
            rows.push('\n');
        }
        self.http.insert(RECENT, rows)
    }

    /// Does nothing: `forget_ids` folds complete days.
    fn fold(&mut self) -> Result<Folded, StoreError> {
        Ok(Folded { repeated: 0, is_separated: true })
    }

    fn tally(&mut self, first: Week, last: Week, floor: u64) -> Result<Tally, StoreError> {
        let all = self.sql.all_starts(first.first_day(), last.last_day());
        let mut tally = Tally::default();
        for row in self.http.rows::<Map<String, Value>>(&sql::by_day(&all))? {
            let day = day_of(&row, "day")?;
            tally.weeks.entry(day.week()).or_default().days.insert(day, number(&row, "total")?);
        }
        for (index, facet) in self.schema.facets.iter().enumerate() {
            for row in self.http.rows::<Map<String, Value>>(&self.sql.by_facet(&all, facet, floor))? {
                let week = tally.weeks.entry(day_of(&row, "week")?.week()).or_default();
                let value = row.get("value").and_then(Value::as_str).ok_or_else(|| malformed("value"))?;
                week.facets
                    .entry(FacetId(index))
                    .or_default()
                    .insert(value.to_owned(), number(&row, "total")?);
            }
        }
        Ok(tally)
    }

    fn export(&mut self, first: Day, last: Day, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        let all = self.sql.all_starts(first, last);
        for line in self.http.query(&self.sql.by_start(&all))?.lines() {
            let line = line.map_err(|error| StoreError::Unreachable(error.to_string()))?;
            let row: Map<String, Value> = serde_json::from_str(&line).map_err(|_| malformed("starts"))?;
            let start = self.schema.start_from_named(&row)?;
            sink(day_of(&row, "day")?, &start, number(&row, "total")?)?;
        }
        Ok(())
    }

    fn remove_before(&mut self, first: Day) -> Result<u64, StoreError> {
        let all = self.sql.all_starts(Day(0), first.plus(-1));
        let mut removed = 0;
        for row in self.http.rows::<Map<String, Value>>(&sql::by_day(&all))? {
            removed += number(&row, "total")?;
        }
        for table in [STARTS, RECENT] {
            for day in self.days_before(table, first)? {
                self.http.run(&sql::drop_day(table, day))?;
            }
        }
        Ok(removed)
    }

    fn forget_ids(&mut self, today: Day) -> Result<(), StoreError> {
        let last_folded = self.last_folded_day()?;
        for day in self.days_before(RECENT, today)? {
            // Submissions that were assigned to a day after it was folded are dropped without being counted.
            if day > last_folded {
                self.http.run(&self.sql.fold(day))?;
                self.http.run(&sql::copy_ids(day))?;
                self.http.run(&format!("INSERT INTO folded SELECT toDate('{day}') AS day"))?;
            }
            self.http.run(&sql::drop_day(RECENT, day))?;
        }
        // Only after folding, which compares the ids of a day with those of the day before.
        for day in self.days_before(IDS, today.plus(-ID_RETENTION_DAYS))? {
            self.http.run(&sql::drop_day(IDS, day))?;
        }
        Ok(())
    }

    fn record_maintenance(&mut self, today: Day) -> Result<Vec<Day>, StoreError> {
        self.http.run(&format!("INSERT INTO maintained_days SELECT toDate('{today}') AS day"))?;
        let days = format!(
            "SELECT DISTINCT day FROM maintained_days WHERE day <= toDate('{today}') \
             ORDER BY day DESC LIMIT {TRUSTED_AFTER_DAYS}"
        );
        self.days(&days)
    }

    fn distinct_values(&mut self, week: Week, property: usize) -> Result<HashSet<String>, StoreError> {
        let all = self.sql.all_starts(week.first_day(), week.last_day());
        let rows: Vec<Map<String, Value>> = self.http.rows(&self.sql.distinct_values(&all, property))?;
        let value = |row: &Map<String, Value>| {
            row.get("value").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| malformed("value"))
        };
        rows.iter().map(value).collect()
    }

    fn size(&mut self) -> Result<u64, StoreError> {
        let row: Vec<Map<String, Value>> = self.http.rows(sql::SIZE)?;
        row.first().map_or(Ok(0), |row| number(row, "total"))
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.http.run("SELECT id FROM recent LIMIT 0")
    }
}

/// The columns of the tables: by table and name, the column that the name is an alias of, if any.
type Columns = BTreeMap<(String, String), Option<String>>;

/// Returns how many migrations the database has, or 0 if it is empty or does not record it yet.
fn schema_version(http: &Http) -> Result<usize, StoreError> {
    if !columns(http)?.contains_key(&(SCHEMA_VERSION.to_owned(), "version".to_owned())) {
        return Ok(0);
    }
    let rows: Vec<Map<String, Value>> =
        http.rows(&format!("SELECT max(version) AS version FROM {SCHEMA_VERSION}"))?;
    let version = rows.first().map_or(Ok(0), |row| number(row, "version"))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

/// Runs the statements of a migration. All migrations run on every start: a statement that creates a table is repeatable, and
/// one that adds a column is skipped if the table already has it, because not all versions know `ADD COLUMN IF NOT EXISTS`.
fn migrate(http: &Http, migration: &str) -> Result<(), StoreError> {
    let existing = columns(http)?;
    for statement in migration.split(';') {
        let lines = statement.lines().filter(|line| !line.trim_start().starts_with("--"));
        let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
        let is_applied = match words.as_slice() {
            [] => true,
            ["ALTER", "TABLE", table, "ADD", "COLUMN", column, ..] => {
                existing.contains_key(&((*table).to_owned(), (*column).to_owned()))
            }
            _ => false,
        };
        if !is_applied {
            http.run(statement)?;
        }
    }
    Ok(())
}

fn columns(http: &Http) -> Result<Columns, StoreError> {
    let rows: Vec<Map<String, Value>> = http.rows(
        "SELECT table, name, default_kind, default_expression FROM system.columns WHERE database = currentDatabase()",
    )?;
    let parse = |row: &Map<String, Value>| {
        let text = |name: &str| {
            row.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| malformed(name))
        };
        let is_alias = text("default_kind")? == "ALIAS";
        let alias_of = if is_alias { Some(text("default_expression")?) } else { None };
        Ok(((text("table")?, text("name")?), alias_of))
    };
    rows.iter().map(parse).collect()
}

/// Returns the columns of a table to which the properties are written: an alias can only be read.
fn writable_columns(schema: &EventSchema, columns: &Columns, table: &str) -> Vec<String> {
    let column = |name: &str| {
        let alias_of = columns.get(&(table.to_owned(), name.to_owned())).cloned().flatten();
        alias_of.unwrap_or_else(|| name.to_owned())
    };
    schema.names().into_iter().map(column).collect()
}

/// Reads a number. ClickHouse writes 64-bit numbers as strings.
fn number(row: &Map<String, Value>, name: &str) -> Result<u64, StoreError> {
    let value = row.get(name).ok_or_else(|| malformed(name))?;
    let number = value.as_u64().or_else(|| value.as_str().and_then(|digits| digits.parse().ok()));
    number.ok_or_else(|| malformed(name))
}

fn day_of(row: &Map<String, Value>, name: &str) -> Result<Day, StoreError> {
    let value = row.get(name).and_then(Value::as_str).ok_or_else(|| malformed(name))?;
    value.parse().map_err(|_| malformed(name))
}

fn malformed(name: &str) -> StoreError {
    StoreError::UnexpectedData(format!("malformed value of `{name}`"))
}
