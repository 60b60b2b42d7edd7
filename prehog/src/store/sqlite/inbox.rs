//! The inbox: a separate file for submissions that are stored but not yet counted. Depends on rusqlite. It does not detect
//! repetitions: a repeated submission is in it as often as it arrived.
//!
//! It is a separate file because SQLite allows one write transaction per file at a time: storing never waits for folding.
//! Its rows belong to epochs. Closing an epoch begins the next one in the other table, so that the rows being counted do
//! not change and can be removed as a whole.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, TransactionBehavior, params};
use serde::Serializer as _;

use super::connection::{FileKind, IfEmpty, OpenFile, create_next_to, with_suffix};
use crate::day::Day;
use crate::schema::EventSchema;
use crate::start::{PropertyValue, Start, Submission};
use crate::store::backend::StoreError;
use crate::store::migrations;

/// Appended to the name of the main file for the name of the inbox.
pub(super) const INBOX_SUFFIX: &str = ".inbox";

const KIND: FileKind = FileKind { migrations: migrations::INBOX, table: "arrived_even" };

/// The length of an id in bytes.
const ID_LEN: usize = 16;

/// How many bytes a probe writes.
const PROBE_LEN: u32 = 64 * 1024;

/// The capacity to reserve for one start, in bytes.
const START_CAPACITY: usize = 96;

/// An open inbox.
pub(super) struct Inbox {
    pub(super) file: OpenFile,
    encoding: StartEncoding,
    /// The current epoch, when it was last read.
    epoch: i64,
}

/// An epoch to which no more submissions are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClosedEpoch {
    pub(super) epoch: i64,
    /// Whether it was closed earlier, but not completely folded.
    pub(super) is_leftover: bool,
}

/// The contents of an epoch.
#[derive(Default)]
pub(super) struct Contents {
    /// The day and the id of each submission, and the index of its start in `starts`.
    pub(super) submissions: Vec<(Day, [u8; 16], usize)>,
    /// The distinct starts.
    pub(super) starts: Vec<Start>,
}

impl Inbox {
    /// Opens the inbox of a main file, or creates it if it does not exist. `last_folded` is the last epoch that is counted.
    pub(super) fn open(schema: &EventSchema, main: &Path, last_folded: i64) -> Result<Self, StoreError> {
        let path = with_suffix(main, INBOX_SUFFIX);
        if let Err(error) = create_next_to(main, &path) {
            return Err(StoreError::Create { path, error });
        }
        let mut file = OpenFile::open(&path, &KIND, IfEmpty::Create)?;
        if current_epoch(&file.connection)? <= last_folded {
            // The file is new, or was replaced by an old copy. The submissions in it were counted long ago.
            let transaction = file.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if current_epoch(&transaction)? <= last_folded {
                transaction.execute("DELETE FROM arrived_even", [])?;
                transaction.execute("DELETE FROM arrived_odd", [])?;
                begin_epoch(&transaction, last_folded + 1)?;
            }
            transaction.commit()?;
        }
        let epoch = current_epoch(&file.connection)?;
        Ok(Self { file, encoding: StartEncoding::new(schema), epoch })
    }

    /// Appends submissions to the current epoch and returns when they are on disk. Returns how many submissions the epoch
    /// has now.
    pub(super) fn append(&mut self, batch: &[Submission]) -> Result<i64, StoreError> {
        for same_day in batch.chunk_by(|one, next| one.day == next.day) {
            let Some(Submission { day, .. }) = same_day.first() else { continue };
            let mut ids = Vec::with_capacity(same_day.len() * ID_LEN);
            let mut starts = Vec::with_capacity(same_day.len() * START_CAPACITY);
            for submission in same_day {
                ids.extend(submission.id);
                self.encoding.encode(&mut starts, &submission.start)?;
            }
            let starts = ToSqlOutput::Borrowed(ValueRef::Text(&starts));
            loop {
                let table = table(self.epoch);
                let mut statement = self.file.connection.prepare_cached(&format!(
                    "INSERT INTO {table} (position, day, ids, starts)
                     SELECT (SELECT COALESCE(MAX(position), 0) FROM {table}) + ?1, ?2, ?3, ?4 FROM current WHERE epoch = ?5"
                ))?;
                if statement.execute(params![same_day.len(), day.0, ids, starts, self.epoch])? > 0 {
                    break;
                }
                // Another epoch has begun.
                self.epoch = current_epoch(&self.file.connection)?;
            }
        }
        Ok(self.file.connection.last_insert_rowid())
    }

    /// Returns true if there are no submissions. Never waits for a lock.
    pub(super) fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(is_epoch_empty(&self.file.connection, 0)? && is_epoch_empty(&self.file.connection, 1)?)
    }

    /// Closes the current epoch, unless the previous one still has submissions. Returns the closed epoch to fold, or `None`
    /// if both are empty. `last_folded` is the last epoch that is counted.
    pub(super) fn close(&mut self, last_folded: i64) -> Result<Option<ClosedEpoch>, StoreError> {
        let transaction = self.file.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut current = current_epoch(&transaction)?;
        if current <= last_folded {
            // The file was replaced by an old copy while it was in use. Submissions that arrived since then are in it and
            // will be counted; the old ones are recognised as repetitions by their ids. The parity does not change, so that
            // the epoch stays in the same table.
            let behind = last_folded + 1 - current;
            current += behind + behind % 2;
            begin_epoch(&transaction, current)?;
        }
        let closed = if !is_epoch_empty(&transaction, current - 1)? {
            Some(ClosedEpoch { epoch: current - 1, is_leftover: true })
        } else if !is_epoch_empty(&transaction, current)? {
            begin_epoch(&transaction, current + 1)?;
            Some(ClosedEpoch { epoch: current, is_leftover: false })
        } else {
            None
        };
        transaction.commit()?;
        Ok(closed)
    }

    /// Reads the contents of a closed epoch.
    pub(super) fn read(&self, closed: ClosedEpoch) -> Result<Contents, StoreError> {
        let mut contents = Contents::default();
        let mut indices: HashMap<String, usize> = HashMap::new();
        let sql = format!("SELECT day, ids, starts FROM {} ORDER BY position", table(closed.epoch));
        let mut statement = self.file.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let day = Day(row.get(0)?);
            let ids = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            let starts = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
            let (ids, rest) = ids.as_chunks::<ID_LEN>();
            if !rest.is_empty() || ids.len() != starts.lines().count() {
                return Err(unexpected_data());
            }
            for (id, line) in ids.iter().zip(starts.lines()) {
                let index = match indices.get(line) {
                    Some(index) => *index,
                    None => {
                        contents.starts.push(self.encoding.decode(line)?);
                        indices.insert(line.to_owned(), contents.starts.len() - 1);
                        contents.starts.len() - 1
                    }
                };
                contents.submissions.push((day, *id, index));
            }
        }
        Ok(contents)
    }

    /// Removes the submissions of a closed epoch that is counted, unless another process already did.
    pub(super) fn clear(&mut self, closed: ClosedEpoch) -> Result<(), StoreError> {
        // `append` waits for this transaction, so it is not synced. If it is lost in a power failure, it is repeated.
        self.file.connection.pragma_update(None, "synchronous", "NORMAL")?;
        let cleared = self.clear_unsynced(closed);
        self.file.connection.pragma_update(None, "synchronous", "FULL")?;
        cleared
    }

    fn clear_unsynced(&mut self, closed: ClosedEpoch) -> Result<(), StoreError> {
        let transaction = self.file.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Otherwise the table already belongs to a later epoch.
        if current_epoch(&transaction)? == closed.epoch + 1 {
            transaction.execute(&format!("DELETE FROM {}", table(closed.epoch)), [])?;
        }
        Ok(transaction.commit()?)
    }

    /// Writes about as much as a batch of submissions needs, and fails if that is not possible.
    pub(super) fn probe(&mut self) -> Result<(), StoreError> {
        let transaction = self.file.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("INSERT INTO probe (data) VALUES (zeroblob(?1))", params![PROBE_LEN])?;
        transaction.execute("DELETE FROM probe", [])?;
        Ok(transaction.commit()?)
    }
}

fn table(epoch: i64) -> &'static str {
    if epoch.rem_euclid(2) == 0 { "arrived_even" } else { "arrived_odd" }
}

fn current_epoch(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.prepare_cached("SELECT epoch FROM current")?.query_row([], |row| row.get(0))?)
}

fn begin_epoch(connection: &Connection, epoch: i64) -> Result<(), StoreError> {
    connection.execute("UPDATE current SET epoch = ?1", params![epoch])?;
    Ok(())
}

fn is_epoch_empty(connection: &Connection, epoch: i64) -> Result<bool, StoreError> {
    Ok(!connection.prepare_cached(&format!("SELECT 1 FROM {} LIMIT 1", table(epoch)))?.exists([])?)
}

/// The representation of a start as one line: a JSON array of its values, in the order in which the properties were added to
/// the event. A line that an earlier version wrote lacks the properties that were added since.
struct StartEncoding {
    /// The index and the default value of each property, in the order of the values in a line.
    order: Vec<(usize, PropertyValue)>,
}

impl StartEncoding {
    fn new(schema: &EventSchema) -> Self {
        let mut order: Vec<_> = schema.properties.iter().enumerate().collect();
        // The sort is stable: properties of the same version stay in the order of their declarations.
        order.sort_by_key(|(_, property)| property.rule.since);
        Self { order: order.into_iter().map(|(index, property)| (index, property.default_value())).collect() }
    }

    /// Appends a line.
    fn encode(&self, lines: &mut Vec<u8>, start: &Start) -> Result<(), StoreError> {
        if start.0.len() != self.order.len() {
            return Err(unexpected_data());
        }
        // Writing to memory does not fail.
        serde_json::Serializer::new(&mut *lines)
            .collect_seq(self.order.iter().map(|(index, _)| &start.0[*index]))
            .map_err(|_| unexpected_data())?;
        lines.push(b'\n');
        Ok(())
    }

    fn decode(&self, line: &str) -> Result<Start, StoreError> {
        let found: Vec<PropertyValue> = serde_json::from_str(line).map_err(|_| unexpected_data())?;
        if found.len() > self.order.len() {
            return Err(unexpected_data());
        }
        let mut values = vec![PropertyValue::Absent; self.order.len()];
        let mut found = found.into_iter();
        for (index, default) in &self.order {
            let value = found.next().unwrap_or_else(|| default.clone());
            let is_count = |value: &PropertyValue| matches!(value, PropertyValue::Count(_));
            if is_count(&value) != is_count(default) {
                return Err(unexpected_data());
            }
            values[*index] = value;
        }
        Ok(Start(values.into()))
    }
}

fn unexpected_data() -> StoreError {
    StoreError::UnexpectedData("the inbox has malformed rows".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::extended_schema;

    #[test]
    fn a_line_of_an_earlier_version_lacks_only_new_properties() {
        let (before, after) = (EventSchema::embedded().unwrap(), extended_schema());
        let mut start = Start(before.properties.iter().map(|property| property.default_value()).collect());
        start.0[0] = PropertyValue::Text("one-shot".to_owned());
        let mut line = Vec::new();
        StartEncoding::new(before).encode(&mut line, &start).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(StartEncoding::new(before).decode(line.trim_end()).unwrap(), start);
        let decoded = StartEncoding::new(&after).decode(line.trim_end()).unwrap();
        assert_eq!(after.named_values(&decoded)["run_mode"], "one-shot");
        assert_eq!(after.named_values(&decoded)["new_count"], 0);
        // A line of a later version cannot be read.
        let mut line = Vec::new();
        StartEncoding::new(&after).encode(&mut line, &decoded).unwrap();
        assert!(StartEncoding::new(before).decode(std::str::from_utf8(&line).unwrap().trim_end()).is_err());
    }
}
