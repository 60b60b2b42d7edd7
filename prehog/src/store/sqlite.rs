//! The embedded store: one SQLite file. Depends on rusqlite.
//!
//! A batch is one transaction, in WAL mode with a full sync: when `append` returns, it is on disk. Whatever is removed
//! is overwritten in the file.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};

use super::{ID_DAYS, Sink, Store, StoreError, Tally};
use crate::day::{Day, Week};
use crate::start::{Facet, Start, Submission};

/// The migrations, in order; `user_version` in the file counts those that are done.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/sqlite/0001-starts.sql")];

/// How long to wait for another process that writes to the same file.
const PATIENCE: Duration = Duration::from_secs(4);

/// An open file.
pub struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    /// Opens a file, which is made where there is none.
    ///
    /// # Errors
    ///
    /// Where it cannot be opened or brought up to date, or a newer version of this program wrote it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.pragma_update(None, "cache_size", -8192)?;
        connection.set_prepared_statement_cache_capacity(32);
        migrate(&mut connection)?;
        Ok(Self { connection })
    }
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let done = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, usize>(0))
    };
    let known = MIGRATIONS.len();
    if done(connection)? == known {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = done(&transaction)?;
    if version > known {
        return Err(StoreError::Foreign(format!("its version is {version}, and this program knows {known}")));
    }
    for migration in MIGRATIONS.iter().skip(version) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}

impl Store for Sqlite {
    fn append(&mut self, batch: &[Submission]) -> Result<usize, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut starts: HashMap<(Day, &Start), u64> = HashMap::new();
        let mut new = 0;
        let mut turned = None;
        for Submission { id, day, start } in batch {
            if turned != Some(*day) {
                turn_to(&transaction, *day)?;
                turned = Some(*day);
            }
            if is_new(&transaction, *day, id)? {
                new += 1;
                *starts.entry((*day, start)).or_default() += 1;
            }
        }
        let mut tallies: HashMap<(Day, Facet, String), u64> = HashMap::new();
        for ((day, start), count) in &starts {
            add_start(&transaction, *day, start, *count)?;
            for facet in Facet::ALL {
                *tallies.entry((*day, facet, start.value(facet))).or_default() += count;
            }
        }
        let mut statement = transaction.prepare_cached(
            "INSERT INTO tallies (day, facet, value, starts) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET starts = starts + excluded.starts",
        )?;
        for ((day, facet, value), count) in &tallies {
            statement.execute(params![day.0, facet.name(), value, number(*count)])?;
        }
        drop(statement);
        transaction.commit()?;
        Ok(new)
    }

    fn tally(&mut self, first: Week, last: Week, floor: u64) -> Result<Tally, StoreError> {
        // One snapshot for all of it.
        let transaction = self.connection.transaction()?;
        let mut tally = Tally::default();
        let range = (first.first().0, last.last().0);
        let mut days = transaction.prepare_cached(
            "SELECT day, SUM(starts) FROM tallies WHERE day BETWEEN ?1 AND ?2 AND facet = 'run_mode' GROUP BY day",
        )?;
        let mut rows = days.query(params![range.0, range.1])?;
        while let Some(row) = rows.next()? {
            let day = Day(row.get(0)?);
            tally.weeks.entry(day.week()).or_default().days.insert(day, count(row.get(1)?));
        }
        let mut values = transaction.prepare_cached(
            "SELECT (day + 3) / 7, facet, value, SUM(starts) AS total FROM tallies WHERE day BETWEEN ?1 AND ?2
             GROUP BY 1, 2, 3 HAVING total >= ?3",
        )?;
        let mut rows = values.query(params![range.0, range.1, number(floor)])?;
        while let Some(row) = rows.next()? {
            let name: String = row.get(1)?;
            let facet = Facet::from_name(&name).ok_or(StoreError::Foreign(name))?;
            let week = tally.weeks.entry(Week(row.get(0)?)).or_default();
            week.facets.entry(facet).or_default().insert(row.get(2)?, count(row.get(3)?));
        }
        Ok(tally)
    }

    fn export(&mut self, first: Day, last: Day, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare(
            "SELECT day, run_mode, version, join_type, helper, helper_version, destinations, destinations_database,
                 destinations_kubernetes, destinations_application, starts
             FROM starts WHERE day BETWEEN ?1 AND ?2 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10",
        )?;
        let mut rows = statement.query(params![first.0, last.0])?;
        let some = |text: String| (!text.is_empty()).then_some(text);
        while let Some(row) = rows.next()? {
            let start = Start {
                run_mode: row.get(1)?,
                version: row.get(2)?,
                join_type: row.get(3)?,
                helper: some(row.get(4)?),
                helper_version: some(row.get(5)?),
                destinations_configured: row.get(6)?,
                destinations_configured_database_access: row.get(7)?,
                destinations_configured_kubernetes_access: row.get(8)?,
                destinations_configured_application_access: row.get(9)?,
            };
            sink(Day(row.get(0)?), &start, count(row.get(10)?))?;
        }
        Ok(())
    }

    fn retain(&mut self, first: Day) -> Result<u64, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let gone: i64 = transaction.query_row(
            "SELECT COALESCE(SUM(starts), 0) FROM starts WHERE day < ?1",
            params![first.0],
            |row| row.get(0),
        )?;
        transaction.execute("DELETE FROM starts WHERE day < ?1", params![first.0])?;
        transaction.execute("DELETE FROM tallies WHERE day < ?1", params![first.0])?;
        transaction.commit()?;
        self.truncate_log()?;
        Ok(count(gone))
    }

    fn forget_ids(&mut self, today: Day) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut gone = 0;
        for (parity, table) in [(0, "ids_even"), (1, "ids_odd")] {
            let day: i32 = transaction.query_row(
                "SELECT day FROM ids_of WHERE parity = ?1",
                params![parity],
                |row| row.get(0),
            )?;
            if day < today.0 - ID_DAYS {
                gone += transaction.execute(&format!("DELETE FROM {table}"), [])?;
            }
        }
        transaction.commit()?;
        if gone > 0 {
            self.truncate_log()?;
        }
        Ok(())
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        // Takes the lock that writing takes, and finds out whether the file is read-only.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("UPDATE ids_of SET day = day WHERE parity = 0", [])?;
        Ok(transaction.rollback()?)
    }
}

impl Sqlite {
    /// Moves everything into the file and empties the log beside it, where removed things would live on.
    fn truncate_log(&self) -> Result<(), StoreError> {
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }
}

/// Makes the tables of ids ready for a day: what its table holds of an earlier day goes.
fn turn_to(transaction: &Transaction<'_>, day: Day) -> Result<(), StoreError> {
    let parity = day.0.rem_euclid(2);
    let turned = transaction
        .prepare_cached("UPDATE ids_of SET day = ?1 WHERE parity = ?2 AND day < ?1")?
        .execute(params![day.0, parity])?;
    if turned > 0 {
        let table = if parity == 0 { "ids_even" } else { "ids_odd" };
        transaction.execute(&format!("DELETE FROM {table}"), [])?;
    }
    Ok(())
}

/// Notes an id; false where it was noted on this day or the day before.
fn is_new(transaction: &Transaction<'_>, day: Day, id: &[u8; 16]) -> Result<bool, StoreError> {
    let (find_other, insert) = if day.0.rem_euclid(2) == 0 {
        ("SELECT 1 FROM ids_odd WHERE id = ?1", "INSERT OR IGNORE INTO ids_even (id) VALUES (?1)")
    } else {
        ("SELECT 1 FROM ids_even WHERE id = ?1", "INSERT OR IGNORE INTO ids_odd (id) VALUES (?1)")
    };
    // The other table may hold a day long gone: an id that is in it is a repetition nevertheless.
    if transaction.prepare_cached(find_other)?.exists(params![id])? {
        return Ok(false);
    }
    Ok(transaction.prepare_cached(insert)?.execute(params![id])? == 1)
}

fn add_start(transaction: &Transaction<'_>, day: Day, start: &Start, count: u64) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO starts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT DO UPDATE SET starts = starts + excluded.starts",
    )?;
    statement.execute(params![
        day.0,
        start.run_mode,
        start.version,
        start.join_type,
        start.helper.as_deref().unwrap_or_default(),
        start.helper_version.as_deref().unwrap_or_default(),
        start.destinations_configured,
        start.destinations_configured_database_access,
        start.destinations_configured_kubernetes_access,
        start.destinations_configured_application_access,
        number(count),
    ])?;
    Ok(())
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
