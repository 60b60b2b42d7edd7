//! The table `starts`: how often each start happened on each day. It has a column for each property, with the name of the
//! property. Depends on rusqlite.

use std::collections::HashSet;

use rusqlite::types::{ToSql, ToSqlOutput};
use rusqlite::{Connection, Row, params, params_from_iter};

use super::connection::{count_from_sql, count_to_sql};
use crate::day::{Day, Week};
use crate::property::Property;
use crate::schema::EventSchema;
use crate::start::{OTHER, PropertyValue, Start};
use crate::store::backend::{Sink, StoreError};
use crate::store::distinct_values::MAX_DISTINCT_VALUES;

/// An absent value is stored as an empty string.
impl ToSql for PropertyValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Absent => "".into(),
            Self::Text(text) => text.as_str().into(),
            Self::Count(count) => (*count).into(),
        })
    }
}

/// Adds to the number of times that starts happened on a day.
pub(super) fn add(
    connection: &Connection,
    schema: &EventSchema,
    day: Day,
    counts: &[(&Start, u64)],
) -> Result<(), StoreError> {
    let parameters: String = (0..schema.properties.len()).map(|_| ", ?").collect();
    let mut statement = connection.prepare_cached(&format!(
        "INSERT INTO starts (day, {}, starts) VALUES (?{parameters}, ?)
         ON CONFLICT DO UPDATE SET starts = starts + excluded.starts",
        schema.names().join(", "),
    ))?;
    for (start, count) in counts {
        let count = count_to_sql(*count);
        let values = start.0.iter().map(|value| value as &dyn ToSql);
        let row = std::iter::once(&day.0 as &dyn ToSql).chain(values).chain([&count as _]);
        statement.execute(params_from_iter(row))?;
    }
    Ok(())
}

/// Passes every start of these days to `sink`, in order.
pub(super) fn for_each(
    connection: &Connection,
    schema: &EventSchema,
    first: Day,
    last: Day,
    sink: &mut Sink<'_>,
) -> Result<(), StoreError> {
    let names = schema.names().join(", ");
    let mut statement = connection.prepare(&format!(
        "SELECT day, starts, {names} FROM starts WHERE day BETWEEN ?1 AND ?2 ORDER BY day, {names}"
    ))?;
    let mut rows = statement.query(params![first.0, last.0])?;
    while let Some(row) = rows.next()? {
        let values = (2..).zip(&schema.properties).map(|(column, property)| value(row, column, property));
        let start = Start(values.collect::<Result<_, _>>()?);
        sink(Day(row.get(0)?), &start, count_from_sql(row.get(1)?))?;
    }
    Ok(())
}

/// Returns the different values of a property in a week, up to the limit.
pub(super) fn distinct_values(
    connection: &Connection,
    schema: &EventSchema,
    week: Week,
    property: usize,
) -> Result<HashSet<String>, StoreError> {
    let Some(name) = schema.properties.get(property).map(Property::name) else { return Ok(HashSet::new()) };
    let mut statement = connection.prepare(&format!(
        "SELECT DISTINCT {name} FROM starts WHERE day BETWEEN ?1 AND ?2 AND {name} NOT IN ('', '{OTHER}') LIMIT ?3"
    ))?;
    let parameters = params![week.first_day().0, week.last_day().0, MAX_DISTINCT_VALUES];
    Ok(statement.query_map(parameters, |row| row.get(0))?.collect::<Result<_, _>>()?)
}

fn value(row: &Row<'_>, column: usize, property: &Property) -> rusqlite::Result<PropertyValue> {
    if property.is_count() {
        return row.get(column).map(PropertyValue::Count);
    }
    let text: String = row.get(column)?;
    Ok(if text.is_empty() { PropertyValue::Absent } else { PropertyValue::Text(text) })
}
