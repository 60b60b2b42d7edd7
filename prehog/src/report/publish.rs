//! Hides small groups. Pure.
//!
//! Every week is a set of tables, each of which divides the same starts: by day, by run mode, by version and so on.
//! Within a table, values with fewer than the smallest group's starts are hidden. So that subtracting what is shown from
//! the whole does not give them back, what is hidden in a table is at least a group itself: where it is not, the smallest
//! values that are shown are hidden with them. A week that is itself too small is hidden altogether. The versions of a
//! helper divide the starts of that helper, in the same way.
//!
//! A report over any weeks is computed from these tables alone, and a week that is over does not change. So whoever
//! compares reports over different weeks learns what the weeks' own tables say, and no more.

use std::collections::BTreeMap;

use crate::day::{Day, Week};
use crate::start::{BESIDE, Facet};
use crate::store::{Tally, WeekTally};

/// What may be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Published {
    /// Every week that is large enough.
    pub(super) weeks: BTreeMap<Week, PublishedWeek>,
}

/// What may be shown of a week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublishedWeek {
    pub(super) total: u64,
    pub(super) days: Group<Day>,
    pub(super) facets: BTreeMap<Facet, Group<String>>,
}

/// What may be shown of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group<K> {
    /// Values that are large enough, and not hidden with others.
    pub(super) shown: BTreeMap<K, u64>,
    /// The starts of all others together.
    pub(super) hidden: u64,
}

impl<K: Ord + Clone> Group<K> {
    /// Hides what is too small of a table that divides `total`.
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

pub(super) fn publish(tally: &Tally, floor: u64) -> Published {
    let large = tally.weeks.iter().filter(|(_, week)| week.total() >= floor);
    Published { weeks: large.map(|(week, tally)| (*week, publish_week(tally, floor))).collect() }
}

fn publish_week(tally: &WeekTally, floor: u64) -> PublishedWeek {
    let total = tally.total();
    let none = BTreeMap::new();
    let values = |facet| tally.facets.get(&facet).unwrap_or(&none);
    let mut facets: BTreeMap<Facet, Group<String>> = Facet::ALL
        .into_iter()
        .filter(|facet| *facet != Facet::HelperVersion)
        .map(|facet| (facet, Group::new(total, values(facet), floor)))
        .collect();
    let versions =
        facets.get(&Facet::Helper).map(|helpers| versions(helpers, values(Facet::HelperVersion), floor));
    if let Some(versions) = versions {
        facets.insert(Facet::HelperVersion, versions);
    }
    PublishedWeek { total, days: Group::new(total, &tally.days, floor), facets }
}

/// The versions of those helpers that are shown.
fn versions(helpers: &Group<String>, versions: &BTreeMap<String, u64>, floor: u64) -> Group<String> {
    let mut all = Group { shown: BTreeMap::new(), hidden: helpers.hidden };
    for (helper, starts) in &helpers.shown {
        let its = versions.iter().filter(|(value, _)| value.split(BESIDE).next() == Some(helper));
        let its = its.map(|(value, starts)| (value.clone(), *starts)).collect();
        let group = Group::new(*starts, &its, floor);
        all.hidden += group.hidden;
        all.shown.extend(group.shown);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(values: &[(&str, u64)], floor: u64) -> (Vec<(String, u64)>, u64) {
        let values: BTreeMap<String, u64> =
            values.iter().map(|(name, starts)| ((*name).to_owned(), *starts)).collect();
        let group = Group::new(values.values().sum(), &values, floor);
        (group.shown.into_iter().collect(), group.hidden)
    }

    fn shown(values: &[(&str, u64)]) -> Vec<(String, u64)> {
        values.iter().map(|(name, starts)| ((*name).to_owned(), *starts)).collect()
    }

    #[test]
    fn what_is_large_enough_is_shown() {
        assert_eq!(group(&[("a", 10), ("b", 500)], 10), (shown(&[("a", 10), ("b", 500)]), 0));
        assert_eq!(group(&[], 10), (vec![], 0));
    }

    #[test]
    fn a_small_group_takes_the_smallest_large_one_with_it() {
        // Else 513 - 510 would be the number of a.
        assert_eq!(group(&[("a", 3), ("b", 10), ("c", 500)], 10), (shown(&[("c", 500)]), 13));
        assert_eq!(group(&[("a", 3), ("b", 500)], 10), (vec![], 503));
    }

    #[test]
    fn small_groups_that_are_a_group_together_take_none() {
        assert_eq!(group(&[("a", 5), ("b", 5), ("c", 50)], 10), (shown(&[("c", 50)]), 10));
    }

    #[test]
    fn a_group_of_one_hides_nothing() {
        assert_eq!(group(&[("a", 1), ("b", 2)], 1), (shown(&[("a", 1), ("b", 2)]), 0));
    }

    /// Whatever the numbers: what is hidden is nothing or a group, of two values at least, and what is shown is a group.
    #[test]
    fn nothing_small_can_be_subtracted() {
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
            let group = Group::new(total, &values, floor);
            assert!(group.shown.values().all(|starts| *starts >= floor));
            let hidden: Vec<u64> = values
                .iter()
                .filter(|(key, _)| !group.shown.contains_key(key))
                .map(|(_, starts)| *starts)
                .collect();
            assert_eq!(hidden.iter().sum::<u64>(), group.hidden);
            assert!(hidden.is_empty() || (hidden.len() >= 2 && group.hidden >= floor), "{values:?}");
        }
    }

    #[test]
    fn a_small_week_is_hidden() {
        let mut tally = Tally::default();
        for (week, starts) in [(Week(10), 9), (Week(11), 10)] {
            let day = week.first();
            tally.weeks.insert(week, WeekTally { days: [(day, starts)].into(), facets: BTreeMap::new() });
        }
        let published = publish(&tally, 10);
        assert_eq!(published.weeks.keys().collect::<Vec<_>>(), [&Week(11)]);
    }

    #[test]
    fn versions_divide_the_starts_of_their_helper() {
        let helpers = Group { shown: [("x".to_owned(), 30), ("none".to_owned(), 50)].into(), hidden: 12 };
        let leaves = [("x v1".to_owned(), 28), ("y v1".to_owned(), 12), ("none".to_owned(), 50)].into();
        let group = versions(&helpers, &leaves, 10);
        // The 2 starts of x in other versions take v1 with them; y is hidden as a helper already.
        assert_eq!(group.shown, [("none".to_owned(), 50)].into());
        assert_eq!(group.hidden, 12 + 30);
    }
}
