//! Folding: counts what arrived, each id once. Depends on rusqlite and the inbox. All of it happens in the caller's
//! transaction or none of it.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::inbox::Arrived;
use super::{StoreError, ids, number};
use crate::day::Day;
use crate::start::{Facet, Start};

/// Counts what arrived. Returns how many of it were repetitions.
pub(super) fn fold(connection: &Connection, arrived: Arrived) -> Result<u64, StoreError> {
    let Arrived { mut submissions, starts } = arrived;
    // In the order of the ids' tables: neighbours are on one page. Of two with the same id the first one stays first.
    submissions.sort_by_key(|(day, id, _)| (*day, *id));
    let mut counts: HashMap<(Day, usize), u64> = HashMap::new();
    let mut repeated = 0;
    for of_day in submissions.chunk_by(|one, next| one.0 == next.0) {
        let Some((day, ..)) = of_day.first() else { continue };
        ids::turn_to(connection, *day)?;
        // The other table may hold a day long gone: an id that is in it is a repetition nevertheless.
        let (table, other) = ids::tables(*day);
        let mut note = connection.prepare_cached(&format!(
            "INSERT OR IGNORE INTO {table} (id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM {other} WHERE id = ?1)"
        ))?;
        let mut note_again =
            connection.prepare_cached(&format!("INSERT OR IGNORE INTO {table} (id) VALUES (?1)"))?;
        for (day, id, place) in of_day {
            if note.execute(params![id])? == 1 {
                *counts.entry((*day, *place)).or_default() += 1;
            } else {
                repeated += 1;
                // So that who repeats it tomorrow repeats it, too.
                note_again.execute(params![id])?;
            }
        }
    }
    let counts: Vec<(Day, &Start, u64)> = counts
        .into_iter()
        .filter_map(|((day, place), count)| Some((day, starts.get(place)?, count)))
        .collect();
    add_starts(connection, &counts)?;
    add_tallies(connection, &counts)?;
    Ok(repeated)
}

fn add_starts(connection: &Connection, counts: &[(Day, &Start, u64)]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO starts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT DO UPDATE SET starts = starts + excluded.starts",
    )?;
    for (day, start, count) in counts {
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

fn add_tallies(connection: &Connection, counts: &[(Day, &Start, u64)]) -> Result<(), StoreError> {
    let mut tallies: HashMap<(Day, Facet, String), u64> = HashMap::new();
    for (day, start, count) in counts {
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
