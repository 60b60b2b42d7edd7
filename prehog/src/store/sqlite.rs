//! The embedded store: a SQLite file and a second one, the inbox, for submissions that just arrived. Both use WAL mode and
//! sync every commit. Depends on rusqlite.
//!
//! `append` writes a batch to the inbox; when it returns, the batch is on disk. Folding takes thousands of submissions from
//! the inbox, finds repetitions and counts the rest. The transaction that counts an epoch of the inbox also records that
//! the epoch is counted. Therefore, everything counts once, even if a process is killed in between or several processes fold the
//! same file. Reading folds first, so that no submission is missing from a result. Removed data is overwritten in the files.

mod connection;
mod fold;
mod ids;
mod inbox;
mod starts;
mod tallies;

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior, params};

use super::backend::{FOLD_BATCH, Sink, Store, StoreError, Tally};
use super::migrations;
use crate::day::{Day, Week};
use crate::schema::EventSchema;
use crate::start::Submission;
use connection::{connect, count_from_sql, migrate, truncate_log};
use inbox::Inbox;

/// Appended to the name of the file for the name of the inbox.
const INBOX_SUFFIX: &str = ".inbox";

/// How many submissions the inbox may hold before `append` itself folds them. Reached if no process folds, or if more
/// submissions arrive than can be counted.
const INBOX_LIMIT: i64 = 4 * FOLD_BATCH as i64;

/// An open file and its inbox.
pub struct Sqlite {
    schema: &'static EventSchema,
    connection: Connection,
    inbox: Inbox,
    /// How many submissions the current epoch of the inbox had after the last write.
    inbox_len: i64,
    /// Repetitions that were found but not yet returned by `fold`.
    repeated: u64,
}

impl Sqlite {
    /// Opens a file, or creates it if it does not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or migrated, or was written by a newer version of this program.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let schema = EventSchema::embedded()?;
        let mut connection = connect(path)?;
        // Starts that were counted before a facet existed have a value in that facet, too.
        migrate(&mut connection, &migrations::SQLITE, |connection| tallies::rebuild(connection, schema))?;
        let mut inbox_path = path.as_os_str().to_owned();
        inbox_path.push(INBOX_SUFFIX);
        let inbox = Inbox::open(schema, Path::new(&inbox_path), last_folded_epoch(&connection)?)?;
        Ok(Self { schema, connection, inbox, inbox_len: 0, repeated: 0 })
    }

    /// Counts everything that is in the inbox.
    fn fold_all(&mut self) -> Result<(), StoreError> {
        // At most two rounds: first an epoch that a killed process left behind, then what arrived since.
        while !self.inbox.is_empty()? {
            // The lock of this transaction lets only one process fold at a time.
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let last_folded = last_folded_epoch(&transaction)?;
            let Some(closed) = self.inbox.close(last_folded)? else { break };
            if closed.epoch > last_folded {
                let repeated = fold::fold(&transaction, self.schema, self.inbox.read(closed)?)?;
                transaction.execute("UPDATE folded SET epoch = ?1", params![closed.epoch])?;
                transaction.commit()?;
                self.repeated += repeated;
            } else {
                transaction.rollback()?;
            }
            self.inbox.clear(closed)?;
            if !closed.is_leftover {
                break;
            }
        }
        Ok(())
    }
}

/// Returns the last epoch of the inbox that is counted.
fn last_folded_epoch(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.prepare_cached("SELECT epoch FROM folded")?.query_row([], |row| row.get(0))?)
}

impl Store for Sqlite {
    fn append(&mut self, batch: &[Submission]) -> Result<(), StoreError> {
        if self.inbox_len >= INBOX_LIMIT {
            self.fold_all()?;
        }
        self.inbox_len = self.inbox.append(batch)?;
        Ok(())
    }

    fn fold(&mut self) -> Result<u64, StoreError> {
        self.fold_all()?;
        Ok(std::mem::take(&mut self.repeated))
    }

    fn tally(&mut self, first: Week, last: Week, floor: u64) -> Result<Tally, StoreError> {
        self.fold_all()?;
        // All queries see the same snapshot.
        let transaction = self.connection.transaction()?;
        tallies::read(&transaction, self.schema, (first, last), floor)
    }

    fn export(&mut self, first: Day, last: Day, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        self.fold_all()?;
        starts::for_each(&self.connection, self.schema, first, last, sink)
    }

    fn remove_before(&mut self, first: Day) -> Result<u64, StoreError> {
        self.fold_all()?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let removed: i64 = transaction.query_row(
            "SELECT COALESCE(SUM(starts), 0) FROM starts WHERE day < ?1",
            params![first.0],
            |row| row.get(0),
        )?;
        transaction.execute("DELETE FROM starts WHERE day < ?1", params![first.0])?;
        transaction.execute("DELETE FROM tallies WHERE day < ?1", params![first.0])?;
        transaction.commit()?;
        truncate_log(&self.connection)?;
        Ok(count_from_sql(removed))
    }

    fn forget_ids(&mut self, today: Day) -> Result<(), StoreError> {
        self.fold_all()?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        ids::forget(&transaction, today)?;
        transaction.commit()?;
        // Even if no id was removed here: folding removes expired ids as well.
        truncate_log(&self.connection)?;
        self.inbox.truncate_log()
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        // Takes the write lock, and fails if the file is read-only.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("UPDATE ids_of SET day = day WHERE parity = 0", [])?;
        transaction.rollback()?;
        self.inbox.probe()
    }
}
