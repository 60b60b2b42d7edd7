//! Limits how many different values of a property are stored per week, so that a sender cannot fill the store and the report
//! with invented ones. Applies to the properties whose values are not a list but a pattern. Depends on the store.

use std::collections::{BTreeMap, HashSet};

use tbot::event::internal::ValueSet;

use super::backend::Store;
use crate::day::Week;
use crate::schema::EventSchema;
use crate::start::{OTHER, PropertyValue, Submission};

/// The maximum number of different values of a property per week. Any other value is stored as [`OTHER`].
pub const MAX_DISTINCT_VALUES: usize = 1000;

/// How many weeks are remembered: this one and, around midnight, the week before or after it.
const MAX_WEEKS: usize = 2;

/// The values that are stored in the current week.
pub(super) struct DistinctValues {
    /// The indices of the properties that have a limit.
    properties: Vec<usize>,
    /// The values of each of these properties, by week.
    weeks: BTreeMap<Week, Vec<HashSet<String>>>,
}

impl DistinctValues {
    pub(super) fn new(schema: &EventSchema) -> Self {
        let properties = schema.properties.iter().enumerate();
        let limited = properties.filter(|(_, property)| matches!(property.rule.values, ValueSet::Pattern(_)));
        Self { properties: limited.map(|(index, _)| index).collect(), weeks: BTreeMap::new() }
    }

    /// Replaces the values over the limit, and returns how many these are. The values of a new week are first read from the
    /// store, because an earlier process may have stored some.
    pub(super) fn limit(&mut self, batch: &mut [Submission], store: &mut dyn Store) -> u64 {
        let mut replaced = 0;
        for submission in batch {
            let week = submission.day.week();
            if !self.weeks.contains_key(&week) {
                while self.weeks.len() >= MAX_WEEKS {
                    self.weeks.pop_first();
                }
                let values = self.properties.iter().map(|property| {
                    // Storing must be possible even if counting is not. The limit then applies to new values only.
                    store.distinct_values(week, *property).unwrap_or_default()
                });
                self.weeks.insert(week, values.collect());
            }
            let Some(known) = self.weeks.get_mut(&week) else { continue };
            for (index, known) in self.properties.iter().zip(known) {
                if let Some(PropertyValue::Text(value)) = submission.start.0.get_mut(*index)
                    && !known.contains(value.as_str())
                    && value != OTHER
                {
                    if known.len() < MAX_DISTINCT_VALUES {
                        known.insert(value.clone());
                    } else {
                        OTHER.clone_into(value);
                        replaced += 1;
                    }
                }
            }
        }
        replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::day::Day;
    use crate::start::Start;
    use crate::store::Sqlite;

    const VERSION: usize = 1;

    fn submission(number: usize, day: Day) -> Submission {
        let schema = EventSchema::embedded().unwrap();
        let mut start: Vec<PropertyValue> =
            schema.properties.iter().map(|property| property.default_value()).collect();
        assert_eq!(schema.properties[VERSION].name(), "version");
        start[VERSION] = PropertyValue::Text(format!("{number}.0.0"));
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        Submission { id, day, start: Start(start.into()) }
    }

    fn versions(batch: &[Submission]) -> Vec<&str> {
        batch.iter().map(|submission| submission.start.0[VERSION].as_str()).collect()
    }

    #[test]
    fn values_over_the_limit_become_other_until_the_next_week() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.db");
        let mut store = Sqlite::open(&path).unwrap();
        let schema = EventSchema::embedded().unwrap();
        let monday = Week(2000).first_day();
        let mut values = DistinctValues::new(schema);
        let mut first: Vec<_> = (0..MAX_DISTINCT_VALUES).map(|number| submission(number, monday)).collect();
        assert_eq!(values.limit(&mut first, &mut store), 0);
        store.append(&first).unwrap();
        store.fold().unwrap();
        // Another process knows the values from the store.
        for mut values in [values, DistinctValues::new(schema)] {
            let mut more = [submission(MAX_DISTINCT_VALUES, monday.plus(6)), submission(7, monday.plus(6))];
            assert_eq!(values.limit(&mut more, &mut store), 1);
            assert_eq!(versions(&more), [OTHER, "7.0.0"]);
            let mut next_week = [submission(MAX_DISTINCT_VALUES, monday.plus(7))];
            assert_eq!(values.limit(&mut next_week, &mut store), 0);
            // Weeks in any order, as with a clock that is set back and forth.
            for week in [1, 3, 0, 2, 0] {
                values.limit(&mut [submission(8, monday.plus(week * 7))], &mut store);
            }
            assert!(values.weeks.len() <= MAX_WEEKS);
        }
    }
}
