//! Limits how many different values of a property are stored per week, so that a sender cannot fill the store and the report
//! with invented ones. Depends on the store.

use std::collections::{BTreeMap, HashSet};

use super::backend::Store;
use crate::day::Week;
use crate::schema::EventSchema;
use crate::start::{PropertyValue, Submission};

/// The maximum number of different values of a property per week. Any other value is treated as one that is not listed.
pub const MAX_DISTINCT_VALUES: usize = 1000;

/// How many weeks are remembered: this one and, around midnight, the week before or after it.
const MAX_WEEKS: usize = 2;

/// The values that are stored in the current week.
pub(super) struct DistinctValues {
    /// The properties that have a limit: the index, and what is stored instead of a value over the limit.
    properties: Vec<(usize, PropertyValue)>,
    /// The values of each of these properties, by week.
    weeks: BTreeMap<Week, Vec<HashSet<String>>>,
}

impl DistinctValues {
    pub(super) fn new(schema: &EventSchema) -> Self {
        let properties = schema.properties.iter().enumerate();
        let limited = properties.filter(|(_, property)| property.is_limited());
        let limited = limited.map(|(index, property)| (index, property.unlisted_value()));
        Self { properties: limited.collect(), weeks: BTreeMap::new() }
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
                let values = self.properties.iter().map(|(property, _)| {
                    // Storing must be possible even if counting is not. The limit then applies to new values only.
                    store.distinct_values(week, *property).unwrap_or_default()
                });
                self.weeks.insert(week, values.collect());
            }
            let Some(known) = self.weeks.get_mut(&week) else { continue };
            for ((index, unlisted), known) in self.properties.iter().zip(known) {
                let Some(value) = submission.start.0.get_mut(*index) else { continue };
                if let PropertyValue::Text(text) = value
                    && !known.contains(text.as_str())
                    && value != unlisted
                {
                    if known.len() < MAX_DISTINCT_VALUES {
                        known.insert(value.as_str().to_owned());
                    } else {
                        value.clone_from(unlisted);
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
    const HELPER_VERSION: usize = 4;

    fn submission(number: usize, day: Day) -> Submission {
        let schema = EventSchema::embedded().unwrap();
        let mut start: Vec<PropertyValue> =
            schema.properties.iter().map(|property| property.default_value()).collect();
        for (index, name) in [(VERSION, "version"), (HELPER_VERSION, "helper_version")] {
            assert_eq!(schema.properties[index].name(), name);
            start[index] = PropertyValue::Text(format!("{number}.0.0"));
        }
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        Submission { id, day, start: Start(start.into()) }
    }

    fn values(batch: &[Submission], property: usize) -> Vec<&str> {
        batch.iter().map(|submission| submission.start.0[property].as_str()).collect()
    }

    /// As values that are not listed, a version becomes `other` and the version of a helper is left out.
    #[test]
    fn values_over_the_limit_are_replaced_until_the_next_week() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.db");
        let mut store = Sqlite::open(&path).unwrap();
        let schema = EventSchema::embedded().unwrap();
        let monday = Week(2000).first_day();
        let mut distinct = DistinctValues::new(schema);
        let mut first: Vec<_> = (0..MAX_DISTINCT_VALUES).map(|number| submission(number, monday)).collect();
        assert_eq!(distinct.limit(&mut first, &mut store), 0);
        store.append(&first).unwrap();
        store.fold().unwrap();
        // Another process knows the values from the store.
        for mut distinct in [distinct, DistinctValues::new(schema)] {
            let mut more = [submission(MAX_DISTINCT_VALUES, monday.plus(6)), submission(7, monday.plus(6))];
            assert_eq!(distinct.limit(&mut more, &mut store), 2);
            assert_eq!(values(&more, VERSION), ["other", "7.0.0"]);
            assert_eq!(values(&more, HELPER_VERSION), ["", "7.0.0"]);
            let mut next_week = [submission(MAX_DISTINCT_VALUES, monday.plus(7))];
            assert_eq!(distinct.limit(&mut next_week, &mut store), 0);
            // Weeks in any order, as with a clock that is set back and forth.
            for week in [1, 3, 0, 2, 0] {
                distinct.limit(&mut [submission(8, monday.plus(week * 7))], &mut store);
            }
            assert!(distinct.weeks.len() <= MAX_WEEKS);
        }
    }
}
