//! The store for more events than one machine can handle: a ClickHouse server, accessed over its HTTP interface. Depends
//! on ureq.
//!
//! Inserts are idempotent by `distinct_id`: rows with the same id are merged into one. A complete day is *folded*: its
//! starts are counted into a table without ids, its ids are copied to a table without starts, and then its submissions and
//! the ids of the previous day are dropped. Every step can be repeated, by this process or another one, with the same
//! result. `append` returns when the insert has returned, on a cluster from a quorum of replicas.

mod address;
mod http;
mod layout;
mod rows;
mod sql;
mod tables;

use std::collections::HashSet;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::backend::{FoldResult, ID_RETENTION_DAYS, ProbeResult, Sink, Store, StoreError, Tally};
use super::expiry::TRUSTED_AFTER_DAYS;
use crate::day::{Day, Week};
use crate::facet::FacetId;
use crate::schema::EventSchema;
use crate::start::{PropertyValue, Submission};
pub use address::ClickHouseUrl;
use http::{Http, INSERT_TIMEOUT, QUERY_TIMEOUT, TIMEOUT_EXCEEDED};
use layout::{IDS, Layout, RECENT, STARTS};
use rows::{ResultRow, malformed, number, text};
use sql::Sql;

/// The logs of a server that show when an event arrived, also without `log_queries`. docs/prehog.md says how to turn them off.
const LOGS_WITH_TIMES: [&str; 13] = [
    "aggregated_zookeeper_log",
    "asynchronous_metric_log",
    "blob_storage_log",
    "latency_log",
    "metric_log",
    "opentelemetry_span_log",
    "part_log",
    "processors_profile_log",
    "query_metric_log",
    "session_log",
    "text_log",
    "trace_log",
    "zookeeper_log",
];

/// A server or a cluster of servers, and a database on it.
pub struct ClickHouse {
    schema: &'static EventSchema,
    http: Http,
    layout: Layout,
    sql: Sql,
    /// The columns of `recent` to which the properties are written, in the order of the properties.
    recent_columns: Vec<String>,
}

impl ClickHouse {
    /// Connects to a server, and creates the database and its tables if they do not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not respond or rejects a statement, if it does not know the cluster, or if the
    /// tables are on another cluster or were written by a newer version of this program.
    pub fn open(url: &ClickHouseUrl) -> Result<Self, StoreError> {
        Self::open_within(url, QUERY_TIMEOUT)
    }

    /// Like [`open`](Self::open), for a thread that senders wait for: no statement, now or later, may take longer than an
    /// insert. A migration that takes longer is repeated until it is complete.
    pub(super) fn open_for_senders(url: &ClickHouseUrl) -> Result<Self, StoreError> {
        Self::open_within(url, INSERT_TIMEOUT)
    }

    fn open_within(url: &ClickHouseUrl, timeout: Duration) -> Result<Self, StoreError> {
        let schema = EventSchema::embedded()?;
        let http = Http::new(url, timeout)?;
        let layout = Layout::of(url, &http)?;
        let settings = layout.settings(&http)?;
        let http = http.with_settings(settings);
        let columns = tables::migrate(&http, &layout)?;
        let sql = Sql::new(schema, &columns.writable(schema, STARTS), &layout);
        Ok(Self { schema, http, layout, sql, recent_columns: columns.writable(schema, RECENT) })
    }

    /// Warns if the server keeps a log that shows when each event arrived. Its default configuration does.
    pub(super) fn warn_about_logs(&self) {
        // An upgrade of the server may rename the table of a log: it adds a number.
        let query = format!(
            "SELECT name FROM system.tables WHERE database = 'system' AND match(name, '^({})(_[0-9]+)?$') ORDER BY name",
            LOGS_WITH_TIMES.join("|")
        );
        // A user without access to the table can still store events.
        let rows: Vec<ResultRow> = self.http.system_rows(&query).unwrap_or_default();
        let logs: Vec<&str> = rows.iter().filter_map(|row| text(row, "name").ok()).collect();
        if !logs.is_empty() {
            tracing::warn!(
                "the ClickHouse server keeps logs that show when each event arrived: turn them off in the configuration of the server, and \
                 drop the tables {}",
                logs.join(", ")
            );
        }
    }

    /// Selects all starts of these days.
    fn all_starts(&self, first: Day, last: Day) -> Result<String, StoreError> {
        let is_folded = if self.layout.is_cluster() {
            // The servers could disagree on the folded days within one statement.
            let days = self.days(&sql::folded_days(first, last))?;
            // A list must not be empty.
            let days = days.iter().map(|day| day.0.to_string()).chain([sql::NO_DAY.to_string()]);
            format!("toUInt16(day) IN ({})", days.collect::<Vec<_>>().join(", "))
        } else {
            sql::IS_FOLDED.to_owned()
        };
        Ok(self.sql.all_starts(first, last, &is_folded))
    }

    /// Returns the first day that is not over by the clock of the server.
    fn first_open_day_of_server(&self) -> Result<Day, StoreError> {
        let rows: Vec<ResultRow> = self.http.rows(&sql::first_open_day())?;
        let day = rows.first().map_or(Ok(0), |row| number(row, "day"))?;
        Ok(Day(i32::try_from(day).unwrap_or(0)))
    }

    /// Returns the days before `first` of which a table has rows.
    fn days_before(&self, table: &str, first: Day) -> Result<Vec<Day>, StoreError> {
        self.days(&format!("SELECT DISTINCT day FROM {table} WHERE day < toDate('{first}') ORDER BY day"))
    }

    fn days(&self, query: &str) -> Result<Vec<Day>, StoreError> {
        let rows: Vec<ResultRow> = self.http.rows(query)?;
        rows.iter().map(|row| rows::day(row, "day")).collect()
    }

    /// Drops the days before `first` from a table.
    fn drop_days_before(&self, table: &str, first: Day) -> Result<(), StoreError> {
        for day in self.days_before(table, first)? {
            self.drop_day(table, day)?;
        }
        Ok(())
    }

    fn drop_day(&self, table: &str, day: Day) -> Result<(), StoreError> {
        match self.http.run(&self.layout.drop_day(table, day)) {
            // A server that is down drops the day when it is back, if another replica of its shard has done so.
            Err(StoreError::Rejected { code: TIMEOUT_EXCEEDED, .. })
                if !self.days_before(table, day.plus(1))?.contains(&day) =>
            {
                Ok(())
            }
            result => result,
        }
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
        self.http.insert(RECENT, &rows)
    }

    /// Does nothing: `forget_ids` folds complete days.
    fn fold(&mut self) -> Result<FoldResult, StoreError> {
        Ok(FoldResult { repeated: 0, is_separated: true })
    }

    fn tally(&mut self, first: Week, last: Week, floor: u64) -> Result<Tally, StoreError> {
        let all = self.all_starts(first.first_day(), last.last_day())?;
        let mut tally = Tally::default();
        for row in self.http.rows::<ResultRow>(&sql::by_day(&all))? {
            let day = rows::day(&row, "day")?;
            tally.weeks.entry(day.week()).or_default().days.insert(day, number(&row, "total")?);
        }
        for (index, facet) in self.schema.facets.iter().enumerate() {
            for row in self.http.rows::<ResultRow>(&self.sql.by_facet(&all, facet, floor))? {
                let week = tally.weeks.entry(rows::day(&row, "week")?.week()).or_default();
                let value = text(&row, "value")?.to_owned();
                week.facets.entry(FacetId(index)).or_default().insert(value, number(&row, "total")?);
            }
        }
        Ok(tally)
    }

    fn export(&mut self, first: Day, last: Day, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        // The timeout of a query includes reading its result. So each day has its own query, and is read as a whole, however
        // slow the sink is.
        for day in self.days(&sql::days_with_starts(first, last))? {
            let all = self.all_starts(day, day)?;
            let mut lines = String::new();
            self.http
                .query(&self.sql.by_start(&all))?
                .read_to_string(&mut lines)
                .map_err(|error| StoreError::Unreachable(error.to_string()))?;
            for line in lines.lines() {
                let row: ResultRow = serde_json::from_str(line).map_err(|_| malformed("starts"))?;
                let start = self.schema.start_from_named(&row)?;
                sink(day, &start, number(&row, "total")?)?;
            }
        }
        Ok(())
    }

    fn back_up(&mut self, _: &Path) -> Result<(), StoreError> {
        Err(StoreError::BackupUnsupported)
    }

    fn remove_before(&mut self, first: Day) -> Result<u64, StoreError> {
        let all = self.all_starts(Day(0), first.plus(-1))?;
        let mut removed = 0;
        for row in self.http.rows::<ResultRow>(&sql::by_day(&all))? {
            removed += number(&row, "total")?;
        }
        for table in [STARTS, RECENT] {
            self.drop_days_before(table, first)?;
        }
        Ok(removed)
    }

    fn forget_ids(&mut self, today: Day) -> Result<(), StoreError> {
        // A receiver whose clock is ahead must not fold a day for the others.
        let today = today.min(self.first_open_day_of_server()?);
        let folded = self.days(&sql::folded_days(Day(0), today))?;
        for day in self.days_before(RECENT, today)? {
            // Submissions that were assigned to a day after it was folded are dropped without being counted.
            if !folded.contains(&day) {
                self.http.run(&self.sql.fold(day))?;
                self.http.run(&sql::copy_ids(day))?;
                self.http.run(&format!("INSERT INTO folded (day) SELECT toDate('{day}') AS day"))?;
            }
        }
        // Another receiver may be folding the same day, so nothing that it still reads is dropped: the submissions of the day,
        // and the ids of the day before.
        let settled = self.days(&self.layout.settled_days())?;
        let mut first_unsettled = today;
        for day in self.days_before(RECENT, today)? {
            if settled.contains(&day) {
                self.drop_day(RECENT, day)?;
            } else {
                first_unsettled = first_unsettled.min(day);
            }
        }
        self.drop_days_before(IDS, first_unsettled.plus(-ID_RETENTION_DAYS))
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
        let all = self.all_starts(week.first_day(), week.last_day())?;
        let rows: Vec<ResultRow> = self.http.rows(&self.sql.distinct_values(&all, property))?;
        rows.iter().map(|row| text(row, "value").map(str::to_owned)).collect()
    }

    fn size(&mut self) -> Result<u64, StoreError> {
        let row: Vec<ResultRow> = self.http.rows(&self.layout.size())?;
        row.first().map_or(Ok(0), |row| number(row, "total"))
    }

    fn probe(&mut self) -> Result<ProbeResult, StoreError> {
        self.http.probe(&self.layout.probe())?;
        Ok(ProbeResult::Responding)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_documentation_turns_off_every_log_with_times() {
        let page = include_str!("../../../docs/prehog.md");
        let removed: Vec<&str> = page
            .lines()
            .filter_map(|line| line.trim().strip_prefix('<')?.strip_suffix(" remove=\"1\"/>"))
            .collect();
        assert_eq!(removed, super::LOGS_WITH_TIMES);
    }
}
