//! The journal: what was stored and is not counted yet. Depends on rusqlite. It decides nothing: a repeated submission
//! is in it as often as it came.
//!
//! It is written in order and emptied as a whole. So a write touches its last page only, whatever else the file holds,
//! and `secure_delete` leaves no byte of it behind.

use rusqlite::{Connection, Row, params};

use super::StoreError;
use crate::day::Day;
use crate::start::{Start, Submission};

/// Writes submissions to its end.
pub(super) fn write(connection: &Connection, batch: &[Submission]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO journal (id, day, run_mode, version, join_type, helper, helper_version, destinations,
             destinations_database, destinations_kubernetes, destinations_application)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for Submission { id, day, start } in batch {
        statement.execute(params![
            id,
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
        ])?;
    }
    Ok(())
}

/// Whether there is nothing in it.
pub(super) fn is_empty(connection: &Connection) -> Result<bool, StoreError> {
    Ok(!connection.prepare_cached("SELECT 1 FROM journal LIMIT 1")?.exists([])?)
}

/// Everything in it, in the order in which it came.
pub(super) fn read(connection: &Connection) -> Result<Vec<Submission>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, day, run_mode, version, join_type, helper, helper_version, destinations, destinations_database,
             destinations_kubernetes, destinations_application
         FROM journal ORDER BY position",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Submission { id: row.get(0)?, day: Day(row.get(1)?), start: start_at(row, 2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Empties it.
pub(super) fn clear(connection: &Connection) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM journal")?.execute([])?;
    Ok(())
}

/// The start in nine columns of a row, from that one on, as every table here has them.
pub(super) fn start_at(row: &Row<'_>, first: usize) -> Result<Start, rusqlite::Error> {
    let some = |text: String| (!text.is_empty()).then_some(text);
    Ok(Start {
        run_mode: row.get(first)?,
        version: row.get(first + 1)?,
        join_type: row.get(first + 2)?,
        helper: some(row.get(first + 3)?),
        helper_version: some(row.get(first + 4)?),
        destinations_configured: row.get(first + 5)?,
        destinations_configured_database_access: row.get(first + 6)?,
        destinations_configured_kubernetes_access: row.get(first + 7)?,
        destinations_configured_application_access: row.get(first + 8)?,
    })
}
