//! The ids of two days, in a table for the even and one for the odd day, so that a day's ids go as a whole. Depends on
//! rusqlite. All of it happens in the caller's transaction.

use rusqlite::{Connection, params};

use super::{ID_DAYS, StoreError};
use crate::day::Day;

/// The table of even days, and that of odd ones.
const TABLES: [&str; 2] = ["ids_even", "ids_odd"];

fn parity(day: Day) -> i32 {
    day.0.rem_euclid(2)
}

/// The table of a day, and the other one.
pub(super) fn tables(day: Day) -> (&'static str, &'static str) {
    let [even, odd] = TABLES;
    if parity(day) == 0 { (even, odd) } else { (odd, even) }
}

/// Makes the tables ready for a day: what its table holds of an earlier day goes.
pub(super) fn turn_to(connection: &Connection, day: Day) -> Result<(), StoreError> {
    let turned = connection
        .prepare_cached("UPDATE ids_of SET day = ?1 WHERE parity = ?2 AND day < ?1")?
        .execute(params![day.0, parity(day)])?;
    if turned > 0 { empty(connection, tables(day).0) } else { Ok(()) }
}

/// Removes what is no longer kept.
pub(super) fn forget(connection: &Connection, today: Day) -> Result<(), StoreError> {
    // The newest day of either parity that has come, or comes next.
    for latest in [today, today.plus(1)] {
        let parity = parity(latest);
        let day: i32 =
            connection
                .query_row("SELECT day FROM ids_of WHERE parity = ?1", params![parity], |row| row.get(0))?;
        if day < today.0 - ID_DAYS {
            empty(connection, tables(latest).0)?;
        }
        // The clock was ahead. What is in the table goes when a day of its parity that has come is over.
        if day > latest.0 {
            connection.execute("UPDATE ids_of SET day = ?1 WHERE parity = ?2", params![latest.0, parity])?;
        }
    }
    Ok(())
}

fn empty(connection: &Connection, table: &str) -> Result<(), StoreError> {
    connection.execute(&format!("DELETE FROM {table}"), [])?;
    Ok(())
}
