//! The inbox: a file of its own for what was stored and is not counted yet. Depends on rusqlite. It decides nothing: a
//! repeated submission is in it as often as it came.
//!
//! It is a file of its own because SQLite lets one transaction write to a file: who stores never waits for who counts.
//! Its rows belong to epochs. Closing one begins the next in the other table, so that what is counted stands still and
//! goes as a whole.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior, params};

use super::{StoreError, connect, migrate, truncate_log};
use crate::day::Day;
use crate::start::{Start, Submission};

const MIGRATIONS: [&str; 1] = [include_str!("../migrations/inbox/0001-arrivals.sql")];

/// Bytes of an id.
const ID: usize = 16;

/// Room for the line of a start.
const LINE: usize = 96;

/// An open inbox.
pub(super) struct Inbox {
    connection: Connection,
}

/// An epoch that nothing is written to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) epoch: i64,
    /// Whether it was closed by somebody who did not come to its end.
    pub(super) is_left: bool,
}

/// What is in an epoch.
#[derive(Default)]
pub(super) struct Arrived {
    /// Each submission: its day, its id, and its start's place in `starts`.
    pub(super) submissions: Vec<(Day, [u8; 16], usize)>,
    /// Each start that differs from the others.
    pub(super) starts: Vec<Start>,
}

impl Inbox {
    /// Opens the file, which is made where there is none. `folded` is the last epoch that is counted.
    pub(super) fn open(path: &Path, folded: i64) -> Result<Self, StoreError> {
        let mut connection = connect(path)?;
        migrate(&mut connection, &MIGRATIONS)?;
        if epoch(&connection)? <= folded {
            // It is new, or an old copy was put in its place. What that holds was counted long ago.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if epoch(&transaction)? <= folded {
                transaction.execute("DELETE FROM arrived_even", [])?;
                transaction.execute("DELETE FROM arrived_odd", [])?;
                begin_epoch(&transaction, folded + 1)?;
            }
            transaction.commit()?;
        }
        Ok(Self { connection })
    }

    /// Writes submissions, and returns when they are on disk: how many the epoch has then.
    pub(super) fn write(&mut self, batch: &[Submission]) -> Result<i64, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let table = table(epoch(&transaction)?);
        let sql = format!(
            "INSERT INTO {table} (position, day, ids, starts)
             VALUES ((SELECT COALESCE(MAX(position), 0) FROM {table}) + ?1, ?2, ?3, ?4)"
        );
        let mut statement = transaction.prepare_cached(&sql)?;
        for of_day in batch.chunk_by(|one, next| one.day == next.day) {
            let Some(Submission { day, .. }) = of_day.first() else { continue };
            let mut ids = Vec::with_capacity(of_day.len() * ID);
            let mut starts = Vec::with_capacity(of_day.len() * LINE);
            for submission in of_day {
                ids.extend(submission.id);
                write(&mut starts, &submission.start)?;
            }
            // JSON is UTF-8.
            let starts = String::from_utf8_lossy(&starts);
            statement.execute(params![of_day.len(), day.0, ids, starts])?;
        }
        drop(statement);
        let length = transaction.last_insert_rowid();
        transaction.commit()?;
        Ok(length)
    }

    /// Whether there is nothing in it. Waits for nobody.
    pub(super) fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(is_empty(&self.connection, 0)? && is_empty(&self.connection, 1)?)
    }

    /// Closes the epoch that is written to, unless one that was closed before is still there. None where there is
    /// nothing in either. `folded` is the last epoch that is counted.
    pub(super) fn close(&mut self, folded: i64) -> Result<Option<Closed>, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut current = epoch(&transaction)?;
        if current <= folded {
            // An old copy was put in its place while it was in use. What arrived since is in it and is counted; by their
            // ids, those that were counted before are not. The table stays the one that it is.
            let behind = folded + 1 - current;
            current += behind + behind % 2;
            begin_epoch(&transaction, current)?;
        }
        let closed = if !is_empty(&transaction, current - 1)? {
            Some(Closed { epoch: current - 1, is_left: true })
        } else if !is_empty(&transaction, current)? {
            begin_epoch(&transaction, current + 1)?;
            Some(Closed { epoch: current, is_left: false })
        } else {
            None
        };
        transaction.commit()?;
        Ok(closed)
    }

    /// What is in a closed epoch.
    pub(super) fn read(&self, closed: Closed) -> Result<Arrived, StoreError> {
        let mut arrived = Arrived::default();
        let mut places: HashMap<String, usize> = HashMap::new();
        let sql = format!("SELECT day, ids, starts FROM {} ORDER BY position", table(closed.epoch));
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let day = Day(row.get(0)?);
            let ids = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            let starts = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
            let (ids, rest) = ids.as_chunks::<ID>();
            if !rest.is_empty() || ids.len() != starts.lines().count() {
                return Err(foreign());
            }
            for (id, line) in ids.iter().zip(starts.lines()) {
                let place = match places.get(line) {
                    Some(place) => *place,
                    None => {
                        arrived.starts.push(read(line)?);
                        places.insert(line.to_owned(), arrived.starts.len() - 1);
                        arrived.starts.len() - 1
                    }
                };
                arrived.submissions.push((day, *id, place));
            }
        }
        Ok(arrived)
    }

    /// Empties a closed epoch that is counted; nothing where somebody else has done so.
    pub(super) fn clear(&mut self, closed: Closed) -> Result<(), StoreError> {
        // Who stores waits for this. If the power goes before it is on disk, it is done again.
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        let cleared = self.clear_now(closed);
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        cleared
    }

    fn clear_now(&mut self, closed: Closed) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Else its table has another epoch by now.
        if epoch(&transaction)? == closed.epoch + 1 {
            transaction.execute(&format!("DELETE FROM {}", table(closed.epoch)), [])?;
        }
        Ok(transaction.commit()?)
    }

    /// Takes the lock that writing takes, and finds out whether the file is read-only.
    pub(super) fn probe(&mut self) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("UPDATE current SET epoch = epoch", [])?;
        Ok(transaction.rollback()?)
    }

    /// Empties the log beside the file.
    pub(super) fn truncate_log(&self) -> Result<(), StoreError> {
        truncate_log(&self.connection)
    }
}

fn table(epoch: i64) -> &'static str {
    if epoch.rem_euclid(2) == 0 { "arrived_even" } else { "arrived_odd" }
}

fn epoch(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.prepare_cached("SELECT epoch FROM current")?.query_row([], |row| row.get(0))?)
}

fn begin_epoch(connection: &Connection, epoch: i64) -> Result<(), StoreError> {
    connection.execute("UPDATE current SET epoch = ?1", params![epoch])?;
    Ok(())
}

fn is_empty(connection: &Connection, epoch: i64) -> Result<bool, StoreError> {
    Ok(!connection.prepare_cached(&format!("SELECT 1 FROM {} LIMIT 1", table(epoch)))?.exists([])?)
}

/// Writes a start as a line: a list in JSON, in the order of its fields.
fn write(lines: &mut Vec<u8>, start: &Start) -> Result<(), StoreError> {
    let list = (
        &start.run_mode,
        &start.version,
        &start.join_type,
        &start.helper,
        &start.helper_version,
        start.destinations_configured,
        start.destinations_configured_database_access,
        start.destinations_configured_kubernetes_access,
        start.destinations_configured_application_access,
    );
    // Into memory it does not fail.
    serde_json::to_writer(&mut *lines, &list).map_err(|_| foreign())?;
    lines.push(b'\n');
    Ok(())
}

fn read(line: &str) -> Result<Start, StoreError> {
    type List = (String, String, String, Option<String>, Option<String>, u32, u32, u32, u32);
    let list: List = serde_json::from_str(line).map_err(|_| foreign())?;
    let (run_mode, version, join_type, helper, helper_version, all, database, kubernetes, application) = list;
    Ok(Start {
        run_mode,
        version,
        join_type,
        helper,
        helper_version,
        destinations_configured: all,
        destinations_configured_database_access: database,
        destinations_configured_kubernetes_access: kubernetes,
        destinations_configured_application_access: application,
    })
}

fn foreign() -> StoreError {
    StoreError::Foreign("what is in the inbox is not as it was written".to_owned())
}
