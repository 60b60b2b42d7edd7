//! The ids of two days, in one table for the even day and one for the odd day, so that the ids of a day are removed as a
//! whole. Depends on rusqlite. Everything happens in the caller's transaction.

use rusqlite::{Connection, params};

use crate::day::Day;
use crate::store::backend::{ID_RETENTION_DAYS, StoreError};

const EVEN: &str = "ids_even";
const ODD: &str = "ids_odd";

fn parity(day: Day) -> i32 {
    day.0.rem_euclid(2)
}

/// Returns the table for a day and the other one.
pub(super) fn tables(day: Day) -> (&'static str, &'static str) {
    if parity(day) == 0 { (EVEN, ODD) } else { (ODD, EVEN) }
}

/// Prepares the table for the ids of a day: removes the ids of an earlier day from it.
pub(super) fn prepare_table(connection: &Connection, day: Day) -> Result<(), StoreError> {
    let updated = connection
        .prepare_cached("UPDATE ids_of SET day = ?1 WHERE parity = ?2 AND day < ?1")?
        .execute(params![day.0, parity(day)])?;
    if updated > 0 { clear(connection, tables(day).0) } else { Ok(()) }
}

/// Removes expired ids.
pub(super) fn forget(connection: &Connection, today: Day) -> Result<(), StoreError> {
    // One day of each parity.
    for latest in [today, today.plus(1)] {
        let parity = parity(latest);
        let day: i32 =
            connection
                .query_row("SELECT day FROM ids_of WHERE parity = ?1", params![parity], |row| row.get(0))?;
        if day < today.0 - ID_RETENTION_DAYS {
            clear(connection, tables(latest).0)?;
        }
        // The clock was ahead. Pretend that the ids are of the latest possible day, so that they do not outlive it.
        if day > latest.0 {
            connection.execute("UPDATE ids_of SET day = ?1 WHERE parity = ?2", params![latest.0, parity])?;
        }
    }
    Ok(())
}

fn clear(connection: &Connection, table: &str) -> Result<(), StoreError> {
    connection.execute(&format!("DELETE FROM {table}"), [])?;
    Ok(())
}
