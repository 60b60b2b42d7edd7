//! The store for those who outgrow one machine: a ClickHouse server, over its HTTP interface. Depends on ureq.
//!
//! An insert is idempotent by `distinct_id`: rows with the same one become one. A day that is over is *folded*: counted
//! by start into a table that knows no ids, after which the ids of the day before it are dropped. Every step may be
//! repeated, by this process or another one, and gives the same. `append` returns when the insert has returned; what
//! that promises is up to the server's settings (`fsync_after_insert`, replication with `insert_quorum`).

mod http;
mod statements;

use std::io::BufRead as _;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ID_DAYS, Sink, Store, StoreError, Tally};
use crate::day::{Day, Week};
use crate::start::{Facet, Start, Submission};
use http::Http;

/// The migrations, in order. Each statement of them may be run again.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/clickhouse/0001-starts.sql")];

/// A server and a database in it.
pub struct ClickHouse {
    http: Http,
}

impl ClickHouse {
    /// Connects, and makes the database and its tables where there are none.
    ///
    /// # Errors
    ///
    /// Where the server does not answer or refuses.
    pub fn open(url: &url::Url) -> Result<Self, StoreError> {
        let http = Http::new(url);
        http.create_database()?;
        for statement in MIGRATIONS.iter().flat_map(|migration| migration.split(';')) {
            http.run(statement)?;
        }
        Ok(Self { http })
    }

    /// The last day that is folded; the day before all others where none is.
    fn folded(&self) -> Result<Day, StoreError> {
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

    /// Days are folded when they are over, by `forget_ids`.
    fn fold(&mut self) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn tally(&mut self, first: Week, last: Week, floor: u64) -> Result<Tally, StoreError> {
        let all = statements::all_starts(first.first(), last.last(), self.folded()?);
        let mut tally = Tally::default();
        for row in self.http.rows::<Map<String, Value>>(&statements::by_day(&all))? {
            let day = day_of(&row, "day")?;
            tally.weeks.entry(day.week()).or_default().days.insert(day, number(&row, "total")?);
        }
        for facet in Facet::ALL {
            for row in self.http.rows::<Map<String, Value>>(&statements::by_facet(&all, facet, floor))? {
                let week = tally.weeks.entry(day_of(&row, "week")?.week()).or_default();
                let value = row.get("value").and_then(Value::as_str).ok_or_else(|| foreign("value"))?;
                week.facets.entry(facet).or_default().insert(value.to_owned(), number(&row, "total")?);
            }
        }
        Ok(tally)
    }

    fn export(&mut self, first: Day, last: Day, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        let all = statements::all_starts(first, last, self.folded()?);
        for line in self.http.query(&statements::by_start(&all))?.lines() {
            let line = line.map_err(|error| StoreError::Unreachable(error.to_string()))?;
            let row: Map<String, Value> = serde_json::from_str(&line).map_err(|_| foreign("starts"))?;
            let start = Stored::deserialize(Value::Object(row.clone())).map_err(|_| foreign("starts"))?;
            sink(day_of(&row, "day")?, &start.into(), number(&row, "total")?)?;
        }
        Ok(())
    }

    fn retain(&mut self, first: Day) -> Result<u64, StoreError> {
        let all = statements::all_starts(Day(0), first.plus(-1), self.folded()?);
        let mut gone = 0;
        for row in self.http.rows::<Map<String, Value>>(&statements::by_day(&all))? {
            gone += number(&row, "total")?;
        }
        for table in ["starts", "recent"] {
            let days = format!("SELECT DISTINCT day FROM {table} WHERE day < toDate('{first}')");
            for row in self.http.rows::<Map<String, Value>>(&days)? {
                self.http.run(&statements::drop_day(table, day_of(&row, "day")?))?;
            }
        }
        Ok(gone)
    }

    fn forget_ids(&mut self, today: Day) -> Result<(), StoreError> {
        let folded = self.folded()?;
        let days = format!("SELECT DISTINCT day FROM recent WHERE day < toDate('{today}') ORDER BY day");
        let rows: Vec<Map<String, Value>> = self.http.rows(&days)?;
        let days: Vec<Day> = rows.iter().map(|row| day_of(row, "day")).collect::<Result<_, _>>()?;
        for day in days.iter().filter(|day| **day > folded) {
            self.http.run(&statements::fold(*day))?;
            self.http.run(&format!("INSERT INTO folded SELECT toDate('{day}') AS day"))?;
        }
        // Only now: a day is folded without what was there on the day before it.
        for day in days.iter().filter(|day| **day < today.plus(-ID_DAYS)) {
            self.http.run(&statements::drop_day("recent", *day))?;
        }
        Ok(())
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.http.run("SELECT id FROM recent LIMIT 0")
    }
}

/// A start as its columns name it.
#[derive(Deserialize)]
struct Stored {
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

impl From<Stored> for Start {
    fn from(stored: Stored) -> Self {
        let some = |text: String| (!text.is_empty()).then_some(text);
        Self {
            run_mode: stored.run_mode,
            version: stored.version,
            join_type: stored.join_type,
            helper: some(stored.helper),
            helper_version: some(stored.helper_version),
            destinations_configured: stored.destinations,
            destinations_configured_database_access: stored.destinations_database,
            destinations_configured_kubernetes_access: stored.destinations_kubernetes,
            destinations_configured_application_access: stored.destinations_application,
        }
    }
}

/// A number that is written as one, or as a text where it has 64 bits.
fn number(row: &Map<String, Value>, name: &str) -> Result<u64, StoreError> {
    let value = row.get(name).ok_or_else(|| foreign(name))?;
    let number = value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    number.ok_or_else(|| foreign(name))
}

fn day_of(row: &Map<String, Value>, name: &str) -> Result<Day, StoreError> {
    let text = row.get(name).and_then(Value::as_str).ok_or_else(|| foreign(name))?;
    text.parse().map_err(|_| foreign(name))
}

fn foreign(name: &str) -> StoreError {
    StoreError::Foreign(format!("`{name}` is not as it was written"))
}

fn hex(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
