//! Folding: counts submissions, each id once. Depends on rusqlite and the inbox. Everything happens in the caller's
//! transaction.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::inbox::Contents;
use super::{ids, starts as starts_table, tallies};
use crate::day::Day;
use crate::schema::EventSchema;
use crate::start::Start;
use crate::store::backend::StoreError;

/// Counts the contents of an epoch. Returns how many of the submissions were repetitions.
pub(super) fn fold(
    connection: &Connection,
    schema: &EventSchema,
    contents: Contents,
) -> Result<u64, StoreError> {
    let Contents { mut submissions, starts } = contents;
    // Sorted like the tables of ids, so that consecutive ids are on the same page. The sort is stable: of two submissions
    // with the same id, the first one counts.
    submissions.sort_by_key(|(day, id, _)| (*day, *id));
    let mut counts: HashMap<(Day, usize), u64> = HashMap::new();
    let mut repeated = 0;
    for same_day in submissions.chunk_by(|one, next| one.0 == next.0) {
        let Some((day, ..)) = same_day.first() else { continue };
        ids::begin_day(connection, *day)?;
        // The other tables may still hold the ids of a day long ago. An id that is found there is a repetition, too.
        let (table, [one, other]) = ids::tables(*day);
        let mut insert_new = connection.prepare_cached(&format!(
            "INSERT OR IGNORE INTO {table} (id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM {one} WHERE id = ?1)
             AND NOT EXISTS (SELECT 1 FROM {other} WHERE id = ?1)"
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
    starts_table::add(connection, schema, &counts)?;
    tallies::add(connection, schema, &counts)?;
    Ok(repeated)
}
