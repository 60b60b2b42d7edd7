//! Folding: counts what is in the journal, each id once, and empties it. Depends on rusqlite and the journal. All of it
//! happens in the caller's transaction or none of it, so that whoever is killed in between, and however many processes
//! fold the same file, every submission is counted once.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::{StoreError, journal, number};
use crate::day::Day;
use crate::start::{Facet, Start, Submission};

/// Counts what is in the journal. Returns how many of it were repetitions.
pub(super) fn fold(connection: &Connection) -> Result<u64, StoreError> {
    let mut submissions = journal::read(connection)?;
    // In the order of the ids' tables: neighbours are on one page. Of two with the same id the first one stays first.
    submissions.sort_by_key(|submission| (submission.day, submission.id));
    let mut starts: HashMap<(Day, &Start), u64> = HashMap::new();
    let mut repeated = 0;
    let mut turned = None;
    for Submission { id, day, start } in &submissions {
        if turned != Some(*day) {
            turn_to(connection, *day)?;
            turned = Some(*day);
        }
        if is_new(connection, *day, id)? {
            *starts.entry((*day, start)).or_default() += 1;
        } else {
            repeated += 1;
        }
    }
    add_starts(connection, &starts)?;
    add_tallies(connection, &starts)?;
    journal::clear(connection)?;
    Ok(repeated)
}

/// Makes the tables of ids ready for a day: what its table holds of an earlier day goes.
fn turn_to(connection: &Connection, day: Day) -> Result<(), StoreError> {
    let parity = day.0.rem_euclid(2);
    let turned = connection
        .prepare_cached("UPDATE ids_of SET day = ?1 WHERE parity = ?2 AND day < ?1")?
        .execute(params![day.0, parity])?;
    if turned > 0 {
        let table = if parity == 0 { "ids_even" } else { "ids_odd" };
        connection.execute(&format!("DELETE FROM {table}"), [])?;
    }
    Ok(())
}

/// Notes an id; false where it was noted on this day or the day before.
fn is_new(connection: &Connection, day: Day, id: &[u8; 16]) -> Result<bool, StoreError> {
    let (find_other, insert) = if day.0.rem_euclid(2) == 0 {
        ("SELECT 1 FROM ids_odd WHERE id = ?1", "INSERT OR IGNORE INTO ids_even (id) VALUES (?1)")
    } else {
        ("SELECT 1 FROM ids_even WHERE id = ?1", "INSERT OR IGNORE INTO ids_odd (id) VALUES (?1)")
    };
    // The other table may hold a day long gone: an id that is in it is a repetition nevertheless.
    if connection.prepare_cached(find_other)?.exists(params![id])? {
        return Ok(false);
    }
    Ok(connection.prepare_cached(insert)?.execute(params![id])? == 1)
}

fn add_starts(connection: &Connection, starts: &HashMap<(Day, &Start), u64>) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO starts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT DO UPDATE SET starts = starts + excluded.starts",
    )?;
    for ((day, start), count) in starts {
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
            number(*count),
        ])?;
    }
    Ok(())
}

fn add_tallies(connection: &Connection, starts: &HashMap<(Day, &Start), u64>) -> Result<(), StoreError> {
    let mut tallies: HashMap<(Day, Facet, String), u64> = HashMap::new();
    for ((day, start), count) in starts {
        for facet in Facet::ALL {
            *tallies.entry((*day, facet, start.value(facet))).or_default() += count;
        }
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO tallies (day, facet, value, starts) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET starts = starts + excluded.starts",
    )?;
    for ((day, facet, value), count) in &tallies {
        statement.execute(params![day.0, facet.name(), value, number(*count)])?;
    }
    Ok(())
}
