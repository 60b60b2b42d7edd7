//! The ids of the last days, in three tables: one for each remainder of the number of a day when it is divided by 3, so that
//! the ids of a day are removed as a whole. Depends on rusqlite. Everything happens in the caller's transaction.

use rusqlite::{Connection, params};

use crate::day::Day;
use crate::store::backend::{ID_RETENTION_DAYS, StoreError};

const TABLES: [&str; 3] = ["ids_0", "ids_1", "ids_2"];

fn remainder(day: Day) -> usize {
    usize::try_from(day.0.rem_euclid(3)).unwrap_or(0)
}

/// Returns the table for a day and the other two.
pub(super) fn tables(day: Day) -> (&'static str, [&'static str; 2]) {
    let table = |after| TABLES[(remainder(day) + after) % 3];
    (table(0), [table(1), table(2)])
}

/// Records that the table for a day gets ids of it. Older ids in the table are kept until this day expires.
pub(super) fn begin_day(connection: &Connection, day: Day) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE ids_day SET day = ?1 WHERE remainder = ?2 AND day < ?1")?
        .execute(params![day.0, remainder(day)])?;
    Ok(())
}

/// Removes expired ids.
pub(super) fn forget(connection: &Connection, today: Day) -> Result<(), StoreError> {
    // The latest day that each of the three tables can belong to.
    for latest in [today, today.plus(1), today.plus(2)] {
        let remainder = remainder(latest);
        let day: i32 = connection.query_row(
            "SELECT day FROM ids_day WHERE remainder = ?1",
            params![remainder],
            |row| row.get(0),
        )?;
        if day < today.0 - ID_RETENTION_DAYS {
            connection.execute(&format!("DELETE FROM {}", tables(latest).0), [])?;
        }
        // The clock was ahead. Pretend that the ids are of the latest possible day, so that they do not outlive it.
        if day > latest.0 {
            connection
                .execute("UPDATE ids_day SET day = ?1 WHERE remainder = ?2", params![latest.0, remainder])?;
        }
    }
    Ok(())
}
