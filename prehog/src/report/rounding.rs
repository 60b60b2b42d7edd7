//! Rounds the counts of a report down, so that they reveal no small group. Pure.
//!
//! Each count of a week, whether of a day, of a value or of the whole week, is rounded down to a multiple of the minimum size
//! of a group, independently of all other counts. A smaller group is therefore not shown at all. No difference of two counts
//! is published. A table with many values and its total leave at least as many candidates for the number of hidden starts as the
//! minimum, or do not exclude that there are none, also for an attacker who sent all of the starts that are shown. With few values, they
//! leave fewer, because each hidden value has less than the minimum. The same is true of a part of a table that another facet divides
//! further, such as a join method by use case: the part is the total of its own small table.
//!
//! A report over any range of weeks is computed from these numbers alone, and a complete week does not change. So comparing
//! reports over different ranges reveals only what the numbers of the single weeks show.

use std::collections::BTreeMap;

use crate::day::{Day, Week};
use crate::facet::FacetId;
use crate::store::{Tally, WeekTally};

/// The rounded counts of each week that has at least the minimum of starts.
pub(super) type RoundedTally = BTreeMap<Week, RoundedWeek>;

/// The rounded counts of a week. Contains no zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RoundedWeek {
    pub(super) total: u64,
    pub(super) days: BTreeMap<Day, u64>,
    pub(super) facets: BTreeMap<FacetId, BTreeMap<String, u64>>,
}

/// Rounds all counts down to multiples of `min_group`, which must not be 0.
pub(super) fn round_down(tally: &Tally, min_group: u64) -> RoundedTally {
    let weeks = tally.weeks.iter().map(|(week, tally)| (*week, round_week(tally, min_group)));
    weeks.filter(|(_, week)| week.total > 0).collect()
}

/// Returns by how much a sum of `numbers` rounded numbers can be too small.
pub(super) fn max_hidden(min_group: u64, numbers: u64) -> u64 {
    min_group.saturating_sub(1).saturating_mul(numbers)
}

fn round_week(tally: &WeekTally, min_group: u64) -> RoundedWeek {
    let facets = tally.facets.iter().map(|(facet, values)| (*facet, round_table(values, min_group)));
    RoundedWeek {
        total: round(tally.total(), min_group),
        days: round_table(&tally.days, min_group),
        facets: facets.collect(),
    }
}

fn round_table<K: Ord + Clone>(table: &BTreeMap<K, u64>, min_group: u64) -> BTreeMap<K, u64> {
    let rounded = table.iter().map(|(key, count)| (key.clone(), round(*count, min_group)));
    rounded.filter(|(_, count)| *count > 0).collect()
}

fn round(count: u64, min_group: u64) -> u64 {
    count - count % min_group
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN_GROUP: u64 = 10;

    /// The week of a table, with all starts on Monday.
    fn week(values: &[u64]) -> WeekTally {
        let values: BTreeMap<String, u64> =
            values.iter().enumerate().map(|(index, count)| (format!("value {index}"), *count)).collect();
        let days = [(Week(10).first_day(), values.values().sum())].into();
        WeekTally { days, facets: [(FacetId(0), values)].into() }
    }

    fn rounded(values: &[u64], min_group: u64) -> RoundedWeek {
        round_week(&week(values), min_group)
    }

    #[test]
    fn a_group_is_shown_in_multiples_of_the_minimum() {
        let week = rounded(&[9, 10, 19, 500], MIN_GROUP);
        assert_eq!(week.total, 530);
        assert_eq!(week.facets[&FacetId(0)].values().copied().collect::<Vec<_>>(), [10, 10, 500]);
    }

    #[test]
    fn a_minimum_of_one_hides_nothing() {
        let week = rounded(&[1, 2, 30], 1);
        assert_eq!((week.total, week.facets[&FacetId(0)].len()), (33, 3));
    }

    #[test]
    fn a_small_week_is_hidden() {
        let tally = Tally { weeks: [(Week(10), week(&[9])), (Week(11), week(&[5, 5]))].into() };
        assert_eq!(round_down(&tally, MIN_GROUP).keys().collect::<Vec<_>>(), [&Week(11)]);
    }

    /// Nine fake starts with a rare value do not reveal a single start with another one.
    #[test]
    fn fake_starts_of_one_value_do_not_reveal_another_one() {
        assert_eq!(rounded(&[503, 9, 1], MIN_GROUP), rounded(&[503, 9], MIN_GROUP));
        assert_eq!(rounded(&[503, 9, 1], MIN_GROUP), rounded(&[503, 9, 2, 4], MIN_GROUP));
    }

    /// Returns the maximum number of real starts with hidden values: each has less than the minimum, including its fake starts.
    fn max_real(published: &RoundedWeek, fakes: &[u64]) -> u64 {
        let shown = &published.facets[&FacetId(0)];
        let hidden =
            fakes.iter().enumerate().filter(|(index, _)| !shown.contains_key(&format!("value {index}")));
        hidden.map(|(_, fakes)| MIN_GROUP - 1 - fakes).sum()
    }

    /// Checks what is left unknown of the number of real starts with hidden values: it is one of at least as many numbers as the
    /// minimum, except at the ends of its range: it may also be 0, or all hidden values may be as large as possible.
    fn check_candidates(published: &RoundedWeek, fakes: &[u64], hidden: u64) {
        let candidates = candidates(published, fakes);
        let context = format!("{published:?} {fakes:?} {candidates:?}");
        assert!(candidates.contains(&hidden), "{hidden}: {context}");
        let is_at_an_end = [0, max_real(published, fakes)].iter().any(|end| candidates.contains(end));
        assert!(candidates.len() as u64 >= MIN_GROUP || is_at_an_end, "{context}");
    }

    /// Returns every number of real starts with hidden values that agrees with a published table, for an attacker who knows how
    /// many fake starts each value has.
    fn candidates(published: &RoundedWeek, fakes: &[u64]) -> Vec<u64> {
        let shown = &published.facets[&FacetId(0)];
        let (mut least, mut most) = (0, 0);
        for (index, fakes) in fakes.iter().enumerate() {
            match shown.get(&format!("value {index}")) {
                Some(count) => {
                    least += (*count).max(*fakes);
                    most += count + MIN_GROUP - 1;
                }
                None => {
                    least += fakes;
                    most += fakes;
                }
            }
        }
        let agrees =
            |hidden: &u64| least + hidden < published.total + MIN_GROUP && most + hidden >= published.total;
        (0..=max_real(published, fakes)).filter(agrees).collect()
    }

    /// With few values, there can be fewer numbers than the minimum: the one-shot starts are at least 1, because the total is 510, and at
    /// most 9, because they are hidden.
    #[test]
    fn hidden_starts_of_a_single_value_have_few_candidates() {
        assert_eq!(candidates(&rounded(&[505, 6], MIN_GROUP), &[0, 0]), (1..=9).collect::<Vec<_>>());
    }

    /// For any table, and any fake starts.
    #[test]
    fn the_number_of_hidden_starts_is_unknown_except_at_the_ends_of_its_range() {
        let mut seed = 1_u64;
        let mut number = |bound: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % bound
        };
        for _ in 0..20_000 {
            let values = 1 + number(6);
            let real: Vec<u64> =
                (0..values).map(|_| if number(2) == 0 { number(MIN_GROUP) } else { number(50) }).collect();
            // Including amounts at the edge of a multiple, and values that only have fakes.
            let fakes: Vec<u64> = (0..values)
                .map(|_| match number(3) {
                    0 => 0,
                    1 => number(4) * MIN_GROUP + MIN_GROUP - 1,
                    _ => number(60),
                })
                .collect();
            let all: Vec<u64> = real.iter().zip(&fakes).map(|(real, fake)| real + fake).collect();
            let published = rounded(&all, MIN_GROUP);
            let shown = &published.facets[&FacetId(0)];
            assert!(shown.values().chain([&published.total]).all(|count| count % MIN_GROUP == 0));
            let hidden =
                real.iter().enumerate().filter(|(index, _)| !shown.contains_key(&format!("value {index}")));
            let hidden: u64 = hidden.map(|(_, real)| real).sum();
            check_candidates(&published, &fakes, hidden);
        }
    }

    /// The same for each row of a cross table, of which the total is published in the table of its own facet.
    #[test]
    fn the_number_of_hidden_starts_in_a_row_of_a_cross_table_is_unknown_except_at_the_ends_of_its_range() {
        let mut seed = 7_u64;
        let mut number = |bound: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % bound
        };
        for _ in 0..5000 {
            let (rows, columns) = (1 + number(4), 1 + number(5));
            let mut cells = |edge: bool| -> Vec<Vec<u64>> {
                let mut cell = || match number(3) {
                    0 => number(MIN_GROUP),
                    1 if edge => number(4) * MIN_GROUP + MIN_GROUP - 1,
                    _ => number(40),
                };
                (0..rows).map(|_| (0..columns).map(|_| cell()).collect()).collect()
            };
            let (real, fakes) = (cells(false), cells(true));
            let mut tally = WeekTally::default();
            for (row, (real, fakes)) in real.iter().zip(&fakes).enumerate() {
                for (column, (real, fakes)) in real.iter().zip(fakes).enumerate() {
                    let mut count = |facet, value| {
                        *tally.facets.entry(FacetId(facet)).or_default().entry(value).or_default() +=
                            real + fakes;
                    };
                    count(0, format!("row {row}"));
                    count(1, format!("row {row}|value {column}"));
                }
            }
            tally.days = [(Week(10).first_day(), tally.facets[&FacetId(0)].values().sum())].into();
            let published = round_week(&tally, MIN_GROUP);
            for (row, (real, fakes)) in real.iter().zip(&fakes).enumerate() {
                let cells = &published.facets[&FacetId(1)];
                let shown = |column: usize| cells.get(&format!("row {row}|value {column}"));
                let row_table = RoundedWeek {
                    total: published.facets[&FacetId(0)].get(&format!("row {row}")).copied().unwrap_or(0),
                    days: BTreeMap::new(),
                    facets: [(
                        FacetId(0),
                        (0..fakes.len())
                            .filter_map(|column| Some((format!("value {column}"), *shown(column)?)))
                            .collect(),
                    )]
                    .into(),
                };
                let hidden: u64 = real
                    .iter()
                    .enumerate()
                    .filter(|(column, _)| shown(*column).is_none())
                    .map(|(_, real)| real)
                    .sum();
                check_candidates(&row_table, fakes, hidden);
            }
        }
    }
}
