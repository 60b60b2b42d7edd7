//! The table `tallies`: how many starts have each value of each facet on each day. Depends on rusqlite.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, TransactionBehavior, params};

use super::connection::{count_from_sql, count_to_sql};
use super::starts;
use crate::day::{Day, Week};
use crate::schema::EventSchema;
use crate::start::Start;
use crate::store::backend::{StoreError, Tally};

/// Reads the counts of these weeks, without values that have fewer than `floor` starts in a week.
pub(super) fn read(
    connection: &Connection,
    schema: &EventSchema,
    (first, last): (Week, Week),
    floor: u64,
) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    let (first, last) = (first.first_day().0, last.last_day().0);
    // Every start has one value in each facet, so any facet counts all starts of a day.
    let any_facet = schema.facets.first().map(|facet| &facet.name);
    let mut days = connection.prepare_cached(
        "SELECT day, SUM(starts) FROM tallies WHERE day BETWEEN ?1 AND ?2 AND facet = ?3 GROUP BY day",
    )?;
    let mut rows = days.query(params![first, last, any_facet])?;
    while let Some(row) = rows.next()? {
        let day = Day(row.get(0)?);
        tally.weeks.entry(day.week()).or_default().days.insert(day, count_from_sql(row.get(1)?));
    }
    let mut values = connection.prepare_cached(
        "SELECT (day + 3) / 7, facet, value, SUM(starts) AS total FROM tallies WHERE day BETWEEN ?1 AND ?2
         GROUP BY 1, 2, 3 HAVING total >= ?3",
    )?;
    let mut rows = values.query(params![first, last, count_to_sql(floor)])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(1)?;
        let facet = schema.facet(&name).ok_or(StoreError::UnexpectedData(name))?;
        let week = tally.weeks.entry(Week(row.get(0)?)).or_default();
        week.facets.entry(facet).or_default().insert(row.get(2)?, count_from_sql(row.get(3)?));
    }
    Ok(tally)
}

/// Adds starts of a day to the counts of their values.
pub(super) fn add(
    connection: &Connection,
    schema: &EventSchema,
    day: Day,
    counts: &[(&Start, u64)],
) -> Result<(), StoreError> {
    let mut tallies = Tallies::default();
    for (start, count) in counts {
        tallies.count(schema, day, start, *count);
    }
    tallies.write(connection, schema)
}

/// Counts all starts again if the table does not have exactly the facets of this program. Starts that were counted before a facet
/// existed have a value in that facet, too.
pub(super) fn ensure_facets(connection: &mut Connection, schema: &EventSchema) -> Result<(), StoreError> {
    if has_facets(connection, schema)? {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have counted them in the meantime.
    if !has_facets(&transaction, schema)? {
        rebuild(&transaction, schema)?;
    }
    Ok(transaction.commit()?)
}

fn has_facets(connection: &Connection, schema: &EventSchema) -> Result<bool, StoreError> {
    let mut statement = connection.prepare("SELECT name FROM facets")?;
    let counted: BTreeSet<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(counted == schema.facets.iter().map(|facet| facet.name.clone()).collect())
}

fn rebuild(connection: &Connection, schema: &EventSchema) -> Result<(), StoreError> {
    connection.execute_batch("DELETE FROM tallies; DELETE FROM facets")?;
    for facet in &schema.facets {
        connection.execute("INSERT INTO facets (name) VALUES (?1)", params![facet.name])?;
    }
    let mut tallies = Tallies::default();
    starts::for_each(connection, schema, Day(i32::MIN), Day(i32::MAX), &mut |day, start, count| {
        tallies.count(schema, day, start, count);
        Ok(())
    })?;
    tallies.write(connection, schema)
}

/// The number of starts by value, for each facet of each day.
#[derive(Default)]
struct Tallies {
    days: HashMap<Day, Vec<HashMap<String, u64>>>,
    /// The value that was counted last, whose memory is used again.
    value: String,
}

impl Tallies {
    fn count(&mut self, schema: &EventSchema, day: Day, start: &Start, count: u64) {
        let facets = self.days.entry(day).or_insert_with(|| vec![HashMap::new(); schema.facets.len()]);
        for (facet, values) in schema.facets.iter().zip(facets) {
            self.value.clear();
            facet.write_value(start, &mut self.value);
            match values.get_mut(&self.value) {
                Some(sum) => *sum += count,
                None => {
                    values.insert(self.value.clone(), count);
                }
            }
        }
    }

    fn write(&self, connection: &Connection, schema: &EventSchema) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO tallies (day, facet, value, starts) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET starts = starts + excluded.starts",
        )?;
        for (day, facets) in &self.days {
            for (facet, values) in schema.facets.iter().zip(facets) {
                for (value, count) in values {
                    statement.execute(params![day.0, facet.name, value, count_to_sql(*count)])?;
                }
            }
        }
        Ok(())
    }
}
