//! The embedded store: a SQLite file and a second one, the inbox, for submissions that just arrived. Both use WAL mode and
//! sync every commit. Depends on rusqlite.
//!
//! `append` writes a batch to the inbox; when it returns, the batch is on disk. Folding takes thousands of submissions from
//! the inbox, finds repetitions and counts the rest. Afterwards both write-ahead logs are emptied, because their old pages
//! connect the ids to their starts. The transaction that counts an epoch of the inbox also records that
//! the epoch is counted. Therefore, everything counts once, even if a process is killed in between or several processes fold the
//! same file. Reading folds first, so that no submission is missing from a result. Removed data is overwritten in the files,
//! except that SQLite leaves copies of rows that it moved in the unused parts of pages. Ids are not among them, because their tables are
//! emptied as a whole.

mod backup;
mod connection;
mod fold;
mod ids;
mod inbox;
mod starts;
mod tallies;

use std::collections::HashSet;
use std::io;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};

use super::backend::{FOLD_BATCH, FoldResult, ProbeResult, Sink, Store, StoreError, Tally};
use super::expiry::TRUSTED_AFTER_DAYS;
use super::migrations;
use crate::day::{Day, Week};
use crate::schema::EventSchema;
use crate::start::Submission;
use connection::{
    FileKind, IfEmpty, LOG_INDEX_SUFFIX, LOG_SUFFIX, OpenFile, count_from_sql, create, wait_while_busy,
    with_suffix,
};
use inbox::{INBOX_SUFFIX, Inbox};

/// How many submissions the inbox may hold before `append` itself folds them. Reached if no process folds, or if more
/// submissions arrive than can be counted.
const INBOX_LIMIT: i64 = 4 * FOLD_BATCH as i64;

const KIND: FileKind = FileKind { migrations: migrations::SQLITE, table: "tallies" };

/// The suffixes of the files next to a store that is, or was, in use.
const STORE_SUFFIXES: [&str; 3] = [LOG_SUFFIX, LOG_INDEX_SUFFIX, INBOX_SUFFIX];

/// An open file and its inbox.
pub struct Sqlite {
    schema: &'static EventSchema,
    file: OpenFile,
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
    /// Returns an error if the file cannot be opened or migrated, or was written by another program or a newer version of this one.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        create(path).map_err(|error| StoreError::Create { path: path.to_owned(), error })?;
        Self::open_file(path, IfEmpty::Create)
    }

    /// Opens a file. Creates only its inbox if that does not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if the file does not exist or is empty, and for the same reasons as [`open`](Self::open).
    pub fn open_existing(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Missing(path.to_owned()));
        }
        Self::open_file(path, IfEmpty::Refuse)
    }

    fn open_file(path: &Path, if_empty: IfEmpty) -> Result<Self, StoreError> {
        let schema = EventSchema::embedded()?;
        let mut file = OpenFile::open(path, &KIND, if_empty)?;
        tallies::ensure_facets(&mut file.connection, schema)?;
        let inbox = Inbox::open(schema, path, last_folded_epoch(&file.connection)?)?;
        Ok(Self { schema, file, inbox, inbox_len: 0, repeated: 0 })
    }

    /// Counts everything that is in the inbox.
    fn fold_all(&mut self) -> Result<(), StoreError> {
        // At most two rounds: first an epoch that a killed process left behind, then what arrived since.
        while !self.inbox.is_empty()? {
            // The lock of this transaction lets only one process fold at a time.
            let transaction =
                self.file.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
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

    fn probe_main_file(&mut self) -> Result<(), StoreError> {
        let transaction = self.file.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Changes the page, unlike an update to the same value, so that something is written to the disk.
        transaction.execute("INSERT INTO folded (epoch) VALUES (-1)", [])?;
        transaction.execute("DELETE FROM folded WHERE epoch = -1", [])?;
        Ok(transaction.commit()?)
    }

    fn check_in_place(&self) -> Result<(), StoreError> {
        self.file.check_in_place()?;
        self.inbox.file.check_in_place()
    }

    fn truncate_logs(&self) -> Result<(), StoreError> {
        // One of them is emptied even if the other one is not.
        let truncated = [self.file.truncate_log()?, self.inbox.file.truncate_log()?];
        if truncated.contains(&false) {
            tracing::warn!("another process is reading the store; removed data will be overwritten later");
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
        self.check_in_place()
    }

    fn fold(&mut self) -> Result<FoldResult, StoreError> {
        self.fold_all()?;
        self.check_in_place()?;
        // An export may read the store for minutes.
        let truncated = [self.inbox.file.try_truncate_log()?, self.file.try_truncate_log()?];
        Ok(FoldResult { repeated: std::mem::take(&mut self.repeated), is_separated: truncated == [true; 2] })
    }

    fn tally(&mut self, first: Week, last: Week, floor: u64) -> Result<Tally, StoreError> {
        self.fold_all()?;
        // All queries see the same snapshot.
        let transaction = self.file.connection.transaction()?;
        tallies::read(&transaction, self.schema, (first, last), floor)
    }

    fn export(&mut self, first: Day, last: Day, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        self.fold_all()?;
        starts::for_each(&self.file.connection, self.schema, first, last, sink)
    }

    fn back_up(&mut self, file: &Path) -> Result<(), StoreError> {
        // Otherwise, the copy would be written next to it before this fails.
        if file.is_dir() {
            let error = io::ErrorKind::IsADirectory.into();
            return Err(StoreError::Backup { path: file.to_owned(), error });
        }
        let part = with_suffix(file, backup::PART_SUFFIX);
        let is_of_store = |path: &Path| self.file.contains(path) || self.inbox.file.contains(path);
        if is_of_store(file) || is_of_store(&part) {
            return Err(StoreError::BackupReplacesStore(file.to_owned()));
        }
        // A backup has none of these files, and one of another backup would be taken for a part of the new one.
        let mut files_of_store = STORE_SUFFIXES.iter().map(|suffix| with_suffix(file, suffix));
        if let Some(found) = files_of_store.find(|path| path.exists()) {
            return Err(StoreError::BackupReplacesOtherStore(found));
        }
        self.fold_all()?;
        backup::write(&self.file.connection, file)
    }

    fn remove_before(&mut self, first: Day) -> Result<u64, StoreError> {
        self.fold_all()?;
        let transaction = self.file.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let removed: i64 = transaction.query_row(
            "SELECT COALESCE(SUM(starts), 0) FROM starts WHERE day < ?1",
            params![first.0],
            |row| row.get(0),
        )?;
        transaction.execute("DELETE FROM starts WHERE day < ?1", params![first.0])?;
        transaction.execute("DELETE FROM tallies WHERE day < ?1", params![first.0])?;
        transaction.commit()?;
        self.truncate_logs()?;
        Ok(count_from_sql(removed))
    }

    fn forget_ids(&mut self, today: Day) -> Result<(), StoreError> {
        self.fold_all()?;
        let transaction = self.file.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        ids::forget(&transaction, today)?;
        transaction.commit()?;
        self.truncate_logs()
    }

    fn record_maintenance(&mut self, today: Day) -> Result<Vec<Day>, StoreError> {
        let connection = &self.file.connection;
        connection.execute("INSERT OR IGNORE INTO maintained_days (day) VALUES (?1)", params![today.0])?;
        let mut statement = connection
            .prepare_cached("SELECT day FROM maintained_days WHERE day <= ?1 ORDER BY day DESC LIMIT ?2")?;
        let days = statement.query_map(params![today.0, TRUSTED_AFTER_DAYS], |row| row.get(0).map(Day))?;
        Ok(days.collect::<Result<_, _>>()?)
    }

    fn distinct_values(&mut self, week: Week, property: usize) -> Result<HashSet<String>, StoreError> {
        starts::distinct_values(&self.file.connection, self.schema, week, property)
    }

    fn size(&mut self) -> Result<u64, StoreError> {
        Ok(self.file.size()? + self.inbox.file.size()?)
    }

    fn probe(&mut self) -> Result<ProbeResult, StoreError> {
        self.check_in_place()?;
        self.inbox.probe()?;
        // Storing needs only the inbox. While another connection writes to the main file, as counting does, it is writable.
        self.file.connection.busy_handler(None)?;
        let probed = self.probe_main_file();
        self.file.connection.busy_handler(Some(wait_while_busy))?;
        match probed {
            Err(StoreError::Sqlite(error)) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {}
            result => result?,
        }
        Ok(ProbeResult::Writable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A commit waits for the disk, and removed data is overwritten: on every connection, before and after every operation
    /// that changes a setting.
    #[test]
    fn every_connection_has_the_settings_that_the_store_relies_on() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Sqlite::open(&directory.path().join("events.db")).unwrap();
        let start = crate::start::Start(
            store.schema.properties.iter().map(|property| property.default_value()).collect(),
        );
        let submission = Submission { id: [1; 16], day: Day(20_000), start };
        for round in 0..3 {
            for connection in [&store.file.connection, &store.inbox.file.connection] {
                let number =
                    |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
                let settings =
                    ["synchronous", "secure_delete", "temp_store"].map(|pragma| number(pragma).unwrap());
                // FULL, ON and MEMORY.
                assert_eq!(settings, [2, 1, 2], "round {round}");
                let journal: String =
                    connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
                assert_eq!(journal, "wal");
            }
            store.append(std::slice::from_ref(&submission)).unwrap();
            store.fold().unwrap();
            store.forget_ids(Day(20_000)).unwrap();
            store.probe().unwrap();
        }
    }
}
