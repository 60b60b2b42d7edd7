//! The same tests for every store: everything that is appended is counted, with the same results. Each test exists
//!
//! - on SQLite, as `on_sqlite::NAME`,
//! - on Debian's ClickHouse, as `on_clickhouse::NAME`, and on clusters of one shard and of two shards with two replicas each, as
//!   `on_cluster_of_replicas::NAME` and `on_cluster_of_replicated_shards::NAME`,
//! - on a current ClickHouse, as `on_chdb::NAME` and `on_chdb_as_cluster::NAME`.
//!
//! All but the first need servers: see `clickhouse.rs`.

use std::collections::BTreeMap;
use std::time::SystemTime;

use prehog::day::{Day, Week};
use prehog::facet::FacetId;
use prehog::report::{Format, Report, WeekRange};
use prehog::start::{PropertyValue, Start, Submission};
use prehog::store::{Store, StoreError, StoreUrl, WeekTally};
use serde_json::json;

use crate::clickhouse::{TestDatabase, run};
use crate::fixture::{noon, schema, start, stored};

/// A Monday.
pub(crate) const MONDAY: Day = Day(20_409);

/// Makes a test for each store from functions that take the URL of an empty store.
macro_rules! test_on_every_store {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[test]
                fn $name() {
                    let directory = tempfile::tempdir().unwrap();
                    super::$name(&crate::fixture::sqlite_in(directory.path()));
                }
            )+
        }

        test_on_servers!(on_clickhouse, TestDatabase::on_clickhouse, "needs a ClickHouse server: .ci/clickhouse", $($name),+);
        test_on_servers!(on_chdb, TestDatabase::on_chdb, "needs chdb: .ci/chdb", $($name),+);
        test_on_servers!(
            on_chdb_as_cluster, TestDatabase::on_chdb_as_cluster, "needs chdb: .ci/chdb", $($name),+
        );
        test_on_servers!(
            on_cluster_of_replicas, |_| ClusterDatabase::replicated(), "needs a ClickHouse cluster: .ci/clickhouse-cluster",
            $($name),+
        );
        test_on_servers!(
            on_cluster_of_replicated_shards, |_| ClusterDatabase::sharded_and_replicated(),
            "needs a ClickHouse cluster: .ci/clickhouse-cluster", $($name),+
        );
    };
}

/// Makes a test from each function and an empty database, and two that compare with another store.
macro_rules! test_on_servers {
    ($module:ident, $database:expr, $needs:literal, $($name:ident),+) => {
        mod $module {
            #[allow(unused_imports, reason = "each module uses one of them")]
            use crate::clickhouse::{ClusterDatabase, TestDatabase};

            $(
                #[test]
                #[ignore = $needs]
                fn $name() {
                    let database = ($database)(stringify!($name));
                    super::$name(&database.url());
                }
            )+

            #[test]
            #[ignore = $needs]
            fn a_report_equals_that_of_sqlite() {
                let database = ($database)("same_report");
                let directory = tempfile::tempdir().unwrap();
                let sqlite = super::rendered_reports(&crate::fixture::sqlite_in(directory.path()));
                assert_eq!(super::rendered_reports(&database.url()), sqlite);
            }
        }
    };
}

test_on_every_store!(
    a_day_that_is_not_over_is_not_counted_for_good,
    a_day_that_was_counted_too_early_affects_no_other,
    a_repeated_submission_counts_once,
    a_repetition_with_a_clock_that_is_ahead_counts_once,
    a_report_counts_all_starts,
    a_submission_that_is_repeated_every_day_counts_once,
    a_tally_counts_each_facet,
    appended_starts_are_exported,
    forgetting_ids_repeatedly_keeps_the_starts,
    starts_before_a_day_are_removed,
    starts_that_differ_in_one_property_are_counted_separately,
);

#[test]
#[ignore = "needs a ClickHouse server: .ci/clickhouse"]
fn a_newer_database_on_clickhouse_is_not_opened() {
    let database = TestDatabase::on_clickhouse("newer");
    drop(database.url().open().unwrap());
    drop(database.url().open().unwrap());
    run(&database.server, &format!("INSERT INTO {}.schema_version VALUES (99)", database.name));
    assert!(matches!(database.url().open(), Err(StoreError::NewerVersion { found: 99, .. })));
}

#[test]
#[ignore = "needs a ClickHouse server: .ci/clickhouse"]
fn a_cluster_that_the_server_does_not_know_is_refused_on_clickhouse() {
    let database = TestDatabase::on_clickhouse("no_cluster");
    let url: StoreUrl = format!("{}?cluster=nowhere", database.url()).parse().unwrap();
    assert!(matches!(url.open(), Err(StoreError::UnknownCluster { known, .. }) if known == "none"));
}

pub(crate) fn submission(number: u32, day: Day) -> Submission {
    let mut id = *b"\0\0\0\0\0\0\x40\0\x80\0\0\0\0\0\0\0";
    id[12..].copy_from_slice(&number.to_be_bytes());
    let pick = |values: &[&str], by: u32| (*values)[(number / by) as usize % values.len()].to_owned();
    let helper = pick(&["", "gha:teleport-actions/auth", "other"], 1);
    let helper_version =
        if helper == "gha:teleport-actions/auth" { pick(&["v1", "v1.2.3"], 3) } else { String::new() };
    let (database, kubernetes, application) = (number % 2, number / 2 % 3, number / 6 % 2);
    let start = start(json!({
        "run_mode": pick(&["one-shot", "continuous"], 1),
        "version": pick(&["0.1.0", "0.2.0", "15.0.0-dev"], 7),
        "join_type": pick(&["github", "token", "other", "kubernetes"], 5),
        "helper": helper,
        "helper_version": helper_version,
        "destinations_configured": database + kubernetes + application + number / 12 % 2,
        "destinations_configured_database_access": database,
        "destinations_configured_kubernetes_access": kubernetes,
        "destinations_configured_application_access": application,
    }));
    Submission { id, day, start }
}

pub(crate) fn batch(numbers: std::ops::Range<u32>, day: Day) -> Vec<Submission> {
    numbers.map(|number| submission(number, day)).collect()
}

/// Counts the starts, independently of a store.
fn expected(all: &[Submission]) -> Vec<(String, serde_json::Value, u64)> {
    let mut counts: BTreeMap<(Day, Start), u64> = BTreeMap::new();
    for Submission { day, start, .. } in all {
        *counts.entry((*day, start.clone())).or_default() += 1;
    }
    sorted(
        counts
            .into_iter()
            .map(|((day, start), count)| (day.to_string(), schema().named_values(&start).into(), count)),
    )
}

fn sorted(
    rows: impl IntoIterator<Item = (String, serde_json::Value, u64)>,
) -> Vec<(String, serde_json::Value, u64)> {
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(day, start, _)| format!("{day} {start}"));
    rows
}

pub(crate) fn total(store: &mut dyn Store, week: Week) -> u64 {
    store.tally(week, week, 1).unwrap().weeks.get(&week).map_or(0, WeekTally::total)
}

fn appended_starts_are_exported(url: &StoreUrl) {
    let mut store = url.open().unwrap();
    assert_eq!(stored(url), []);
    let all =
        [batch(0..150, MONDAY), batch(150..300, MONDAY.plus(2)), batch(300..400, MONDAY.plus(7))].concat();
    for part in all.chunks(70) {
        store.append(part).unwrap();
    }
    // Another connection sees the same, whether or not the starts are folded.
    assert_eq!(sorted(stored(url)), expected(&all));
    store.fold().unwrap();
    assert_eq!(sorted(stored(url)), expected(&all));
    store.probe().unwrap();
    assert_eq!(total(&mut *url.open().unwrap(), MONDAY.week()), 300);
}

fn a_tally_counts_each_facet(url: &StoreUrl) {
    let mut store = url.open().unwrap();
    let all = [batch(0..300, MONDAY), batch(300..340, MONDAY.plus(8))].concat();
    for (index, property) in schema().properties.iter().enumerate() {
        let is_varied = all.iter().any(|other| other.start.0[index] != all[0].start.0[index]);
        assert!(is_varied, "add values of `{}` to `submission`", property.name());
    }
    store.append(&all).unwrap();
    for floor in [1, 30] {
        let mut counts: BTreeMap<(Week, FacetId, String), u64> = BTreeMap::new();
        for Submission { day, start, .. } in &all {
            for (id, facet) in schema().facets.iter().enumerate() {
                *counts.entry((day.week(), FacetId(id), facet.value_of(start))).or_default() += 1;
            }
        }
        counts.retain(|_, count| *count >= floor);
        let tally = store.tally(MONDAY.week(), MONDAY.week().plus(5), floor).unwrap();
        let mut found = BTreeMap::new();
        for (week, tally) in &tally.weeks {
            for (facet, values) in &tally.facets {
                found.extend(values.iter().map(|(value, count)| ((*week, *facet, value.clone()), *count)));
            }
        }
        assert_eq!(found, counts);
        let days: Vec<_> = tally.weeks.values().flat_map(|week| week.days.clone()).collect();
        assert_eq!(days, [(MONDAY, 300), (MONDAY.plus(8), 40)]);
    }
}

fn a_repeated_submission_counts_once(url: &StoreUrl) {
    let mut store = url.open().unwrap();
    // With and without a fold in between.
    for fold in [false, true, true] {
        store.append(&batch(0..20, MONDAY)).unwrap();
        if fold {
            store.fold().unwrap();
        }
    }
    // In one batch, through another connection, and across midnight.
    store.append(&[batch(20..30, MONDAY), batch(20..30, MONDAY)].concat()).unwrap();
    url.open().unwrap().append(&batch(5..15, MONDAY)).unwrap();
    store.append(&batch(0..31, MONDAY.plus(1))).unwrap();
    assert_eq!(total(&mut *store, MONDAY.week()), 31);
    for today in 1..=3 {
        store.forget_ids(MONDAY.plus(today)).unwrap();
        assert_eq!(total(&mut *store, MONDAY.week()), 31, "{today} days later");
    }
    assert_eq!(stored(url).iter().map(|(_, _, count)| count).sum::<u64>(), 31);
}

/// A clock that is ahead for a while assigns some of the repetitions to a later day.
fn a_repetition_with_a_clock_that_is_ahead_counts_once(url: &StoreUrl) {
    let mut store = url.open().unwrap();
    for ahead in [0, 2, 0, 1, 3, 0, 4, 0] {
        store.append(&batch(0..5, MONDAY.plus(ahead))).unwrap();
        store.fold().unwrap();
        store.forget_ids(MONDAY).unwrap();
        assert_eq!(total(&mut *store, MONDAY.week()), 5, "{ahead}");
    }
}

/// A clock that was ahead across midnight.
fn a_day_that_was_counted_too_early_affects_no_other(url: &StoreUrl) {
    let mut store = url.open().unwrap();
    let mut all = Vec::new();
    for (ahead, today) in [(0, 0), (30, 31), (1, 2), (2, 3), (29, 30), (31, 32)] {
        let first = u32::try_from(ahead).unwrap() * 10;
        let part = batch(first..first + 10, MONDAY.plus(ahead));
        store.append(&part).unwrap();
        all.extend(part);
        assert_eq!(sorted(stored(url)), expected(&all), "{ahead}");
        store.forget_ids(MONDAY.plus(today)).unwrap();
        assert_eq!(sorted(stored(url)), expected(&all), "{ahead}");
    }
    // A repetition on the next day.
    store.append(&batch(310..320, MONDAY.plus(32))).unwrap();
    store.forget_ids(MONDAY.plus(33)).unwrap();
    assert_eq!(sorted(stored(url)), expected(&all));
}

/// The clock of one of several receivers is ahead. Those with the right time continue to store starts.
#[expect(clippy::disallowed_methods, reason = "the clock of the server cannot be set")]
fn a_day_that_is_not_over_is_not_counted_for_good(url: &StoreUrl) {
    let today = Day::of(SystemTime::now());
    let mut store = url.open().unwrap();
    store.append(&batch(0..10, today)).unwrap();
    store.append(&batch(10..20, today.plus(1))).unwrap();
    store.forget_ids(today.plus(2)).unwrap();
    store.append(&batch(20..30, today)).unwrap();
    store.append(&batch(30..40, today.plus(1))).unwrap();
    store.forget_ids(today.plus(3)).unwrap();
    let all = [
        batch(0..10, today),
        batch(20..30, today),
        batch(10..20, today.plus(1)),
        batch(30..40, today.plus(1)),
    ]
    .concat();
    assert_eq!(sorted(stored(url)), expected(&all));
}

/// Each submission repeats the one of the day before.
fn a_submission_that_is_repeated_every_day_counts_once(url: &StoreUrl) {
    let mut store = url.open().unwrap();
    for day in 0..5 {
        store.append(&batch(0..3, MONDAY.plus(day))).unwrap();
        store.fold().unwrap();
    }
    assert_eq!(total(&mut *store, MONDAY.week()), 3);
}

fn forgetting_ids_repeatedly_keeps_the_starts(url: &StoreUrl) {
    let mut store = url.open().unwrap();
    let mut all = Vec::new();
    for day in 0..5 {
        let numbers = u32::try_from(day * 50).unwrap();
        let part = batch(numbers..numbers + 50, MONDAY.plus(day));
        store.append(&part).unwrap();
        all.extend(part);
        store.forget_ids(MONDAY.plus(day)).unwrap();
        url.open().unwrap().forget_ids(MONDAY.plus(day)).unwrap();
        assert_eq!(sorted(stored(url)), expected(&all), "on day {day}");
    }
    store.forget_ids(MONDAY.plus(30)).unwrap();
    assert_eq!(sorted(stored(url)), expected(&all));
}

fn starts_before_a_day_are_removed(url: &StoreUrl) {
    let mut store = url.open().unwrap();
    let (old, new) = (batch(0..40, MONDAY.plus(-3)), batch(40..100, MONDAY));
    store.append(&[old, new.clone()].concat()).unwrap();
    store.forget_ids(MONDAY.plus(1)).unwrap();
    assert_eq!(store.remove_before(MONDAY).unwrap(), 40);
    assert_eq!(store.remove_before(MONDAY).unwrap(), 0);
    assert_eq!(sorted(stored(url)), expected(&new));
    assert_eq!(total(&mut *store, MONDAY.week().plus(-1)), 0);
    assert_eq!(total(&mut *store, MONDAY.week()), 60);
}

/// For every property, also after folding.
fn starts_that_differ_in_one_property_are_counted_separately(url: &StoreUrl) {
    let mut store = url.open().unwrap();
    let empty = start(json!({}));
    let mut starts = vec![empty.clone()];
    for index in 0..schema().properties.len() {
        let mut other = empty.clone();
        other.0[index] = match other.0[index] {
            PropertyValue::Count(_) => PropertyValue::Count(1),
            _ => PropertyValue::Text("other".to_owned()),
        };
        starts.push(other);
    }
    let all: Vec<Submission> =
        (0..).zip(starts).map(|(number, start)| Submission { start, ..submission(number, MONDAY) }).collect();
    store.append(&all).unwrap();
    for today in [0, 1, 5] {
        store.forget_ids(MONDAY.plus(today)).unwrap();
        assert_eq!(sorted(stored(url)), expected(&all), "{today} days later");
    }
}

fn a_report_counts_all_starts(url: &StoreUrl) {
    rendered_reports(url);
}

/// Appends starts of several weeks, and returns their report as JSON and HTML with different sizes of the smallest group.
fn rendered_reports(url: &StoreUrl) -> Vec<(u64, String, String)> {
    let mut store = url.open().unwrap();
    for week in 0..4 {
        for day in 0..7 {
            let first = u32::try_from(week * 700 + day * 37).unwrap();
            store.append(&batch(first..first + 37, MONDAY.plus(week * 7 + day))).unwrap();
        }
        store.forget_ids(MONDAY.plus(week * 7 + 6)).unwrap();
    }
    let weeks = WeekRange { first: MONDAY.week().plus(-1), last: MONDAY.week().plus(4) };
    let render = |min_group| {
        let report = Report::from_store(&mut *store, weeks, min_group, Day::of(noon())).unwrap();
        let total = 7 * 37;
        assert_eq!(report.starts, Some(4 * (total - total % min_group)));
        (min_group, report.render(Format::Json), report.render(Format::Html))
    };
    [1, 10, 40].into_iter().map(render).collect()
}
