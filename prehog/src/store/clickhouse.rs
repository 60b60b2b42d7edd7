//! The store for more events than one machine can handle: a ClickHouse server, accessed over its HTTP interface. Depends
//! on ureq.
//!
//! Inserts are idempotent by `distinct_id`: rows with the same id are merged into one. A complete day is *folded*: its
//! starts are counted into a table without ids, and then the ids of the previous day are dropped. Every step can be
//! repeated, by this process or another one, with the same result. `append` returns when the insert has returned; how
//! durable the rows are then depends on the server's settings (`fsync_after_insert`, replication with `insert_quorum`).

mod http;
mod sql;

use std::io::BufRead as _;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::backend::{ID_RETENTION_DAYS, Sink, Store, StoreError, Tally};
use crate::day::{Day, Week};
use crate::start::{Facet, Start, Submission};
use http::Http;

/// The migrations, in order. All of them run on every start, so each statement must be repeatable.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/clickhouse/0001-starts.sql")];

/// A server and a database in it.
pub struct ClickHouse {
    http: Http,
}

impl ClickHouse {
    /// Connects to a server, and creates the database and its tables if they do not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not respond or rejects a statement.
    pub fn open(url: &url::Url) -> Result<Self, StoreError> {
        let http = Http::new(url);
        http.create_database()?;
        for statement in MIGRATIONS.iter().flat_map(|migration| migration.split(';')) {
            http.run(statement)?;
        }
        Ok(Self { http })
    }

    /// Returns the last day that is folded, or 1970-01-01 if there is none.
    fn last_folded_day(&self) -> Result<Day, StoreError> {
        let row: Vec<Map<String, Value>> = self.http.rows("SELECT toUInt16(max(day)) AS day FROM folded")?;
        let day = row.first().map_or(Ok(0), |row| number(row, "day"))?;
        Ok(Day(i32::try_from(day).unwrap_or(0)))
    }
}

impl Store for ClickHouse {
    fn append(&mut self, batch: &[Submission]) -> Result<(), StoreError> {
        let mut rows = String::with_capacity(batch.len() * 320);
        for Submission { id, day, start } in batch {
            let row = json!({
                "day": day,
                "id": hex(id),
                "run_mode": start.run_mode,
                "version": start.version,
                "join_type": start.join_type,
                "helper": start.helper.as_deref().unwrap_or_default(),
                "helper_version": start.helper_version.as_deref().unwrap_or_default(),
                "destinations": start.destinations_configured,
                "destinations_database": start.destinations_configured_database_access,
                "destinations_kubernetes": start.destinations_configured_kubernetes_access,
                "destinations_application": start.destinations_configured_application_access,
            });
            rows += &row.to_string();
            rows.push('\n');
        }
        self.http.insert("recent", rows)
    }

    /// Does nothing: `forget_ids` folds complete days.
    fn fold(&mut self) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn tally(&mut self, first: Week, last: Week, floor: u64) -> Result<Tally, StoreError> {
        let all = sql::all_starts(first.first_day(), last.last_day(), self.last_folded_day()?);
        let mut tally = Tally::default();
        for row in self.http.rows::<Map<String, Value>>(&sql::by_day(&all))? {
            let day = day_of(&row, "day")?;
            tally.weeks.entry(day.week()).or_default().days.insert(day, number(&row, "total")?);
        }
        for facet in Facet::ALL {
            for row in self.http.rows::<Map<String, Value>>(&sql::by_facet(&all, facet, floor))? {
                let week = tally.weeks.entry(day_of(&row, "week")?.week()).or_default();
                let value = row.get("value").and_then(Value::as_str).ok_or_else(|| malformed("value"))?;
                week.facets.entry(facet).or_default().insert(value.to_owned(), number(&row, "total")?);
            }
        }
        Ok(tally)
    }

    fn export(&mut self, first: Day, last: Day, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        let all = sql::all_starts(first, last, self.last_folded_day()?);
        for line in self.http.query(&sql::by_start(&all))?.lines() {
            let line = line.map_err(|error| StoreError::Unreachable(error.to_string()))?;
            let row: Map<String, Value> = serde_json::from_str(&line).map_err(|_| malformed("starts"))?;
            let start = StartRow::deserialize(Value::Object(row.clone())).map_err(|_| malformed("starts"))?;
            sink(day_of(&row, "day")?, &start.into(), number(&row, "total")?)?;
        }
        Ok(())
    }

    fn remove_before(&mut self, first: Day) -> Result<u64, StoreError> {
        let all = sql::all_starts(Day(0), first.plus(-1), self.last_folded_day()?);
        let mut removed = 0;
        for row in self.http.rows::<Map<String, Value>>(&sql::by_day(&all))? {
            removed += number(&row, "total")?;
        }
        for table in ["starts", "recent"] {
            let days = format!("SELECT DISTINCT day FROM {table} WHERE day < toDate('{first}')");
            for row in self.http.rows::<Map<String, Value>>(&days)? {
                self.http.run(&sql::drop_day(table, day_of(&row, "day")?))?;
            }
        }
        Ok(removed)
    }

    fn forget_ids(&mut self, today: Day) -> Result<(), StoreError> {
        let last_folded = self.last_folded_day()?;
        let days = format!("SELECT DISTINCT day FROM recent WHERE day < toDate('{today}') ORDER BY day");
        let rows: Vec<Map<String, Value>> = self.http.rows(&days)?;
        let days: Vec<Day> = rows.iter().map(|row| day_of(row, "day")).collect::<Result<_, _>>()?;
        for day in days.iter().filter(|day| **day > last_folded) {
            self.http.run(&sql::fold(*day))?;
            self.http.run(&format!("INSERT INTO folded SELECT toDate('{day}') AS day"))?;
        }
        // Only after folding, which compares the ids of a day with those of the day before.
        for day in days.iter().filter(|day| **day < today.plus(-ID_RETENTION_DAYS)) {
            self.http.run(&sql::drop_day("recent", *day))?;
        }
        Ok(())
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.http.run("SELECT id FROM recent LIMIT 0")
    }
}

/// A start, with the names of the columns.
#[derive(Deserialize)]
struct StartRow {
    run_mode: String,
    version: String,
    join_type: String,
    helper: String,
    helper_version: String,
    destinations: u32,
    destinations_database: u32,
    destinations_kubernetes: u32,
    destinations_application: u32,
}

impl From<StartRow> for Start {
    fn from(row: StartRow) -> Self {
        let non_empty = |string: String| (!string.is_empty()).then_some(string);
        Self {
            run_mode: row.run_mode,
            version: row.version,
            join_type: row.join_type,
            helper: non_empty(row.helper),
            helper_version: non_empty(row.helper_version),
            destinations_configured: row.destinations,
            destinations_configured_database_access: row.destinations_database,
            destinations_configured_kubernetes_access: row.destinations_kubernetes,
            destinations_configured_application_access: row.destinations_application,
        }
    }
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

fn hex(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
