//! Hides small groups. Pure.
//!
//! Every week is a set of tables, each of which divides the same starts: by day, by run mode, by version and so on. In each
//! table, values with fewer starts than the minimum are hidden. So that they cannot be computed by subtracting the shown
//! values from the total, the hidden starts of a table must reach the minimum together; otherwise, the smallest shown values
//! are hidden as well until they do. A week with fewer starts than the minimum is hidden altogether. A property that requires
//! another one, such as the version of a helper, divides the starts of each of its values in the same way.
//!
//! A report over any range of weeks is computed from these tables alone, and a complete week does not change. So comparing
//! reports over different ranges reveals only what the tables of the single weeks show.

use std::collections::BTreeMap;

use crate::day::{Day, Week};
use crate::facet::{Facet, FacetId, FacetValue, PAIR_SEPARATOR};
use crate::store::{Tally, WeekTally};

/// The counts that may be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PublishedTally {
    /// The weeks with enough starts.
    pub(super) weeks: BTreeMap<Week, PublishedWeek>,
}

/// The counts of a week that may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublishedWeek {
    pub(super) total: u64,
    pub(super) days: PublishedTable<Day>,
    pub(super) facets: BTreeMap<FacetId, PublishedTable<String>>,
}

/// The counts of a table that may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublishedTable<K> {
    /// The starts of values that have enough and are not hidden together with others.
    pub(super) shown: BTreeMap<K, u64>,
    /// The starts of all other values together.
    pub(super) hidden: u64,
}

impl<K: Ord + Clone> PublishedTable<K> {
    /// Hides the values that are too small, in a table that divides `total` starts.
    fn new(total: u64, values: &BTreeMap<K, u64>, floor: u64) -> Self {
        let large = values.iter().filter(|(_, starts)| **starts >= floor);
        let mut shown: BTreeMap<K, u64> = large.map(|(value, starts)| (value.clone(), *starts)).collect();
        let mut hidden = total.saturating_sub(shown.values().sum());
        while hidden > 0 && hidden < floor {
            let Some((smallest, starts)) = shown.iter().min_by_key(|(_, starts)| **starts) else { break };
            hidden += starts;
            let smallest = smallest.clone();
            shown.remove(&smallest);
        }
        Self { shown, hidden }
    }
}

/// Hides the weeks, and the values in each week, that have fewer than `floor` starts.
pub(super) fn hide_small_groups(tally: &Tally, facets: &[Facet], floor: u64) -> PublishedTally {
    let large = tally.weeks.iter().filter(|(_, week)| week.total() >= floor);
    PublishedTally { weeks: large.map(|(week, tally)| (*week, publish_week(tally, facets, floor))).collect() }
}

fn publish_week(tally: &WeekTally, facets: &[Facet], floor: u64) -> PublishedWeek {
    let total = tally.total();
    let empty = BTreeMap::new();
    let mut published: BTreeMap<FacetId, PublishedTable<String>> = BTreeMap::new();
    for (index, facet) in facets.iter().enumerate() {
        let values = tally.facets.get(&FacetId(index)).unwrap_or(&empty);
        let required = match &facet.value {
            FacetValue::Pair { required_facet, .. } => published.get(required_facet),
            FacetValue::Text(_) | FacetValue::Range(_) | FacetValue::UseCases(_) => None,
        };
        let table = match required {
            Some(required) => publish_pairs(required, values, floor),
            None => PublishedTable::new(total, values, floor),
        };
        published.insert(FacetId(index), table);
    }
    PublishedWeek { total, days: PublishedTable::new(total, &tally.days, floor), facets: published }
}

/// Publishes the pairs whose first value is shown in the table `required`.
fn publish_pairs(
    required: &PublishedTable<String>,
    pairs: &BTreeMap<String, u64>,
    floor: u64,
) -> PublishedTable<String> {
    let mut all = PublishedTable { shown: BTreeMap::new(), hidden: required.hidden };
    for (first, starts) in &required.shown {
        let same_first = pairs.iter().filter(|(pair, _)| pair.split(PAIR_SEPARATOR).next() == Some(first));
        let same_first = same_first.map(|(pair, starts)| (pair.clone(), *starts)).collect();
        let table = PublishedTable::new(*starts, &same_first, floor);
        all.hidden += table.hidden;
        all.shown.extend(table.shown);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(values: &[(&str, u64)], floor: u64) -> (Vec<(String, u64)>, u64) {
        let values: BTreeMap<String, u64> =
            values.iter().map(|(name, starts)| ((*name).to_owned(), *starts)).collect();
        let table = PublishedTable::new(values.values().sum(), &values, floor);
        (table.shown.into_iter().collect(), table.hidden)
    }

    fn shown(values: &[(&str, u64)]) -> Vec<(String, u64)> {
        values.iter().map(|(name, starts)| ((*name).to_owned(), *starts)).collect()
    }

    #[test]
    fn values_with_enough_starts_are_shown() {
        assert_eq!(publish(&[("a", 10), ("b", 500)], 10), (shown(&[("a", 10), ("b", 500)]), 0));
        assert_eq!(publish(&[], 10), (vec![], 0));
    }

    #[test]
    fn the_smallest_large_value_is_hidden_with_a_small_one() {
        // Otherwise 513 - 510 would reveal the number of `a`.
        assert_eq!(publish(&[("a", 3), ("b", 10), ("c", 500)], 10), (shown(&[("c", 500)]), 13));
        assert_eq!(publish(&[("a", 3), ("b", 500)], 10), (vec![], 503));
    }

    #[test]
    fn small_values_that_reach_the_minimum_together_hide_no_others() {
        assert_eq!(publish(&[("a", 5), ("b", 5), ("c", 50)], 10), (shown(&[("c", 50)]), 10));
    }

    #[test]
    fn a_minimum_of_one_hides_nothing() {
        assert_eq!(publish(&[("a", 1), ("b", 2)], 1), (shown(&[("a", 1), ("b", 2)]), 0));
    }

    /// For any numbers: either nothing is hidden, or at least two values that reach the minimum together; and every shown value
    /// reaches the minimum.
    #[test]
    fn no_small_value_can_be_computed_by_subtraction() {
        let floor = 10;
        for seed in 0_u64..4000 {
            let number = |index: u64| {
                let mixed = (seed * 31 + index * 17 + 7).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
                if mixed.is_multiple_of(3) { mixed % 9 + 1 } else { mixed % 60 + 1 }
            };
            let values: BTreeMap<u64, u64> = (0..seed % 7 + 1).map(|index| (index, number(index))).collect();
            let total = values.values().sum();
            if total < floor {
                continue;
            }
            let table = PublishedTable::new(total, &values, floor);
            assert!(table.shown.values().all(|starts| *starts >= floor));
            let hidden: Vec<u64> = values
                .iter()
                .filter(|(key, _)| !table.shown.contains_key(key))
                .map(|(_, starts)| *starts)
                .collect();
            assert_eq!(hidden.iter().sum::<u64>(), table.hidden);
            assert!(hidden.is_empty() || (hidden.len() >= 2 && table.hidden >= floor), "{values:?}");
        }
    }

    #[test]
    fn a_small_week_is_hidden() {
        let mut tally = Tally::default();
        for (week, starts) in [(Week(10), 9), (Week(11), 10)] {
            let day = week.first_day();
            tally.weeks.insert(week, WeekTally { days: [(day, starts)].into(), facets: BTreeMap::new() });
        }
        let published = hide_small_groups(&tally, &[], 10);
        assert_eq!(published.weeks.keys().collect::<Vec<_>>(), [&Week(11)]);
    }

    #[test]
    fn pairs_divide_the_starts_of_their_first_value() {
        let required =
            PublishedTable { shown: [("x".to_owned(), 30), ("none".to_owned(), 50)].into(), hidden: 12 };
        let values = [("x v1".to_owned(), 28), ("y v1".to_owned(), 12), ("none".to_owned(), 50)].into();
        let table = publish_pairs(&required, &values, 10);
        // `x v1` is hidden because the other versions of `x` have only 2 starts. `y` is already hidden.
        assert_eq!(table.shown, [("none".to_owned(), 50)].into());
        assert_eq!(table.hidden, 12 + 30);
    }
}
