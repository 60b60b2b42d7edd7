//! Folding: counts submissions, each id once. Depends on rusqlite and the inbox. Everything happens in the caller's
//! transaction.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::connection::count_to_sql;
use super::ids;
use super::inbox::Contents;
use crate::day::Day;
use crate::start::{Facet, Start};
use crate::store::backend::StoreError;

/// Counts the contents of an epoch. Returns how many of the submissions were repetitions.
pub(super) fn fold(connection: &Connection, contents: Contents) -> Result<u64, StoreError> {
    let Contents { mut submissions, starts } = contents;
    // Sorted like the tables of ids, so that consecutive ids are on the same page. The sort is stable: of two submissions
    // with the same id, the first one counts.
    submissions.sort_by_key(|(day, id, _)| (*day, *id));
    let mut counts: HashMap<(Day, usize), u64> = HashMap::new();
    let mut repeated = 0;
    for same_day in submissions.chunk_by(|one, next| one.0 == next.0) {
        let Some((day, ..)) = same_day.first() else { continue };
        ids::prepare_table(connection, *day)?;
        // The other table may still hold the ids of a day long ago. An id that is found there is a repetition, too.
        let (table, other) = ids::tables(*day);
        let mut insert_new = connection.prepare_cached(&format!(
            "INSERT OR IGNORE INTO {table} (id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM {other} WHERE id = ?1)"
        ))?;
        let mut insert_repeated =
            connection.prepare_cached(&format!("INSERT OR IGNORE INTO {table} (id) VALUES (?1)"))?;
        for (day, id, index) in same_day {
            if insert_new.execute(params![id])? == 1 {
                *counts.entry((*day, *index)).or_default() += 1;
            } else {
                repeated += 1;
                // So that it is still a repetition if it arrives again tomorrow.
                insert_repeated.execute(params![id])?;
            }
        }
    }
    let counts: Vec<(Day, &Start, u64)> = counts
        .into_iter()
        .filter_map(|((day, index), count)| Some((day, starts.get(index)?, count)))
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
            count_to_sql(*count),
        ])?;
    }
    Ok(())
}

fn add_tallies(connection: &Connection, counts: &[(Day, &Start, u64)]) -> Result<(), StoreError> {
    let mut tallies: HashMap<(Day, Facet, String), u64> = HashMap::new();
    for (day, start, count) in counts {
        for facet in Facet::ALL {
            *tallies.entry((*day, facet, start.facet_value(facet))).or_default() += count;
        }
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO tallies (day, facet, value, starts) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET starts = starts + excluded.starts",
    )?;
    for ((day, facet, value), count) in &tallies {
        statement.execute(params![day.0, facet.name(), value, count_to_sql(*count)])?;
    }
    Ok(())
}
