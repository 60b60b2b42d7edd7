//! Folding: counts submissions, each id once. Depends on rusqlite and the inbox. Everything happens in the caller's
//! transaction.

use rusqlite::{Connection, params};

use super::inbox::Contents;
use super::{ids, starts as starts_table, tallies};
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
        let mut counts = vec![0; starts.len()];
        for (_, id, index) in same_day {
            if insert_new.execute(params![id])? == 1 {
                counts[*index] += 1;
            } else {
                repeated += 1;
                // So that it is still a repetition if it arrives again tomorrow.
                insert_repeated.execute(params![id])?;
            }
        }
        let mut counts: Vec<(&Start, u64)> =
            starts.iter().zip(counts).filter(|(_, count)| *count > 0).collect();
        // So that the order of the rows on a page does not show in which order these starts arrived.
        counts.sort_unstable();
        starts_table::add(connection, schema, *day, &counts)?;
        tallies::add(connection, schema, *day, &counts)?;
    }
    Ok(repeated)
}
