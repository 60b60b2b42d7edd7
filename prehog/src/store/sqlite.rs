//! The embedded store: a SQLite file, and another one beside it for what just arrived, both in WAL mode with a full sync.
//! Depends on rusqlite.
//!
//! `append` writes a batch to the inbox: when it returns, the batch is on disk. Folding takes what is there, thousands at
//! a time, finds repetitions and counts the rest. The commit that counts an epoch of the inbox also says that it is
//! counted: whoever is killed in between, and however many processes fold the same file, everything counts once. A reader
//! folds first, so that nothing is missing from what it reads. Whatever is removed is overwritten in the files.

mod fold;
mod ids;
mod inbox;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::{FOLD, ID_DAYS, Sink, Store, StoreError, Tally};
use crate::day::{Day, Week};
use crate::start::{Facet, Start, Submission};
use inbox::Inbox;

/// The migrations, in order; `user_version` in the file counts those that are done.
const MIGRATIONS: [&str; 2] =
    [include_str!("migrations/sqlite/0001-starts.sql"), include_str!("migrations/sqlite/0002-inbox.sql")];

/// What is added to the file's name for the one of the inbox.
const INBOX: &str = ".inbox";

/// How often to look again whether another one who writes to the same file is done, and how long to wait in between.
/// Most take less than a millisecond; it is given up after four seconds or so.
const LOOKS: i32 = 4000;
const SHORT: Duration = Duration::from_micros(100);
const LONG: Duration = Duration::from_millis(1);
/// How many times that is soon.
const SOON: i32 = 50;

/// How much the inbox may hold before nothing more is stored until it is folded: where nobody folds, or more comes than
/// can be counted.
const FULLEST: i64 = 4 * FOLD as i64;

/// Pages in the log beside a file at which a commit moves them into it: some milliseconds of work.
const LOG_PAGES: u32 = 4000;

/// An open file, and its inbox.
pub struct Sqlite {
    connection: Connection,
    inbox: Inbox,
    /// How much the inbox had when it was last written to.
    arrived: i64,
    /// Repetitions that were found and not told yet.
    repeated: u64,
}

impl Sqlite {
    /// Opens a file, which is made where there is none.
    ///
    /// # Errors
    ///
    /// Where it cannot be opened or brought up to date, or a newer version of this program wrote it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = connect(path)?;
        migrate(&mut connection, &MIGRATIONS)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(INBOX);
        let inbox = Inbox::open(Path::new(&beside), folded(&connection)?)?;
        Ok(Self { connection, inbox, arrived: 0, repeated: 0 })
    }

    /// Counts everything that is in the inbox.
    fn fold_all(&mut self) -> Result<(), StoreError> {
        // What somebody left who was killed, and then what arrived since.
        while !self.inbox.is_empty()? {
            // One at a time, of all processes.
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let folded = folded(&transaction)?;
            let Some(closed) = self.inbox.close(folded)? else { break };
            if closed.epoch > folded {
                let repeated = fold::fold(&transaction, self.inbox.read(closed)?)?;
                transaction.execute("UPDATE folded SET epoch = ?1", params![closed.epoch])?;
                transaction.commit()?;
                self.repeated += repeated;
            } else {
                transaction.rollback()?;
            }
            self.inbox.clear(closed)?;
            if !closed.is_left {
                break;
            }
        }
        Ok(())
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_handler(Some(wait_for_others))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "cache_size", -8192)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// SQLite's own way to wait doubles what it waits, up to a tenth of a second: too long for who has a sender waiting.
#[expect(clippy::disallowed_methods, reason = "SQLite asks how long to wait, in a thread of the store's own")]
fn wait_for_others(looked: i32) -> bool {
    std::thread::sleep(if looked < SOON { SHORT } else { LONG });
    looked < LOOKS
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), StoreError> {
    let done = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, usize>(0))
    };
    let known = migrations.len();
    if done(connection)? == known {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = done(&transaction)?;
    if version > known {
        return Err(StoreError::Foreign(format!("its version is {version}, and this program knows {known}")));
    }
    for migration in migrations.iter().skip(version) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}

/// The last epoch of the inbox that is counted.
fn folded(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.prepare_cached("SELECT epoch FROM folded")?.query_row([], |row| row.get(0))?)
}

/// Moves everything into the file and empties the log beside it, where removed things would live on. Where somebody reads
/// the log for longer than one waits, that is left to the next time.
fn truncate_log(connection: &Connection) -> Result<(), StoreError> {
    let is_busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy {
        tracing::warn!("somebody reads the store for long: what was removed is overwritten later");
    }
    Ok(())
}

impl Store for Sqlite {
    fn append(&mut self, batch: &[Submission]) -> Result<(), StoreError> {
        if self.arrived >= FULLEST {
            self.fold_all()?;
        }
        self.arrived = self.inbox.write(batch)?;
        Ok(())
    }

    fn fold(&mut self) -> Result<u64, StoreError> {
        self.fold_all()?;
        Ok(std::mem::take(&mut self.repeated))
    }

    fn tally(&mut self, first: Week, last: Week, floor: u64) -> Result<Tally, StoreError> {
        self.fold_all()?;
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
        self.fold_all()?;
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
        self.fold_all()?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let gone: i64 = transaction.query_row(
            "SELECT COALESCE(SUM(starts), 0) FROM starts WHERE day < ?1",
            params![first.0],
            |row| row.get(0),
        )?;
        transaction.execute("DELETE FROM starts WHERE day < ?1", params![first.0])?;
        transaction.execute("DELETE FROM tallies WHERE day < ?1", params![first.0])?;
        transaction.commit()?;
        truncate_log(&self.connection)?;
        Ok(count(gone))
    }

    fn forget_ids(&mut self, today: Day) -> Result<(), StoreError> {
        self.fold_all()?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        ids::forget(&transaction, today)?;
        transaction.commit()?;
        // Whether or not any went: folding has removed some since.
        truncate_log(&self.connection)?;
        self.inbox.truncate_log()
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        // Takes the lock that writing takes, and finds out whether the file is read-only.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("UPDATE ids_of SET day = day WHERE parity = 0", [])?;
        transaction.rollback()?;
        self.inbox.probe()
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
