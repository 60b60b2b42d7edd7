//! The same tests for every store: everything that is appended is counted, with the same results. Each test exists as
//! `on_sqlite::NAME` and as `on_clickhouse::NAME`. The latter needs the address of a ClickHouse server in the variable
//! `PREHOG_TEST_CLICKHOUSE`; `.ci/clickhouse` starts one.

use std::collections::BTreeMap;

use prehog::day::{Day, Week};
use prehog::facet::FacetId;
use prehog::report::{Format, Report, WeekRange};
use prehog::start::{PropertyValue, Start, Submission};
use prehog::store::{Store, StoreError, StoreUrl, WeekTally};
use serde_json::json;

use crate::fixture::{schema, start, stored};

/// A Monday.
const MONDAY: Day = Day(20_409);

/// Makes a test for each store from functions that take the URL of an empty store.
macro_rules! test_on_every_store {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[test]
                fn $name() {
                    let directory = tempfile::tempdir().unwrap();
                    super::$name(&super::sqlite_in(&directory));
                }
            )+
        }

        mod on_clickhouse {
            $(
                #[test]
                #[ignore = "needs a ClickHouse server: .ci/clickhouse"]
                fn $name() {
                    super::$name(&super::clickhouse(stringify!($name)));
                }
            )+

            #[test]
            #[ignore = "needs a ClickHouse server: .ci/clickhouse"]
            fn a_report_equals_that_of_sqlite() {
                let directory = tempfile::tempdir().unwrap();
                let sqlite = super::rendered_reports(&super::sqlite_in(&directory));
                assert_eq!(super::rendered_reports(&super::clickhouse("same_report")), sqlite);
            }
        }
    };
}

test_on_every_store!(
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

fn sqlite_in(directory: &tempfile::TempDir) -> StoreUrl {
    StoreUrl::Sqlite(directory.path().join("events.db"))
}

fn clickhouse(name: &str) -> StoreUrl {
    format!("clickhouse:{}", empty_database(name)).parse().unwrap()
}

/// Returns the address of an empty ClickHouse database, including its name.
#[expect(clippy::disallowed_methods, reason = "the variable names the server of the test run")]
pub(crate) fn empty_database(name: &str) -> String {
    let server = std::env::var("PREHOG_TEST_CLICKHOUSE")
        .unwrap_or_else(|_| panic!("PREHOG_TEST_CLICKHOUSE is not set: run this test with .ci/clickhouse"));
    let database = format!("prehog_test_{name}_{}", std::process::id());
    let agent = ureq::Agent::config_builder().proxy(None).build().new_agent();
    agent.post(&server).send(format!("DROP DATABASE IF EXISTS {database}")).unwrap();
    format!("{server}/{database}")
}

fn submission(number: u32, day: Day) -> Submission {
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

fn batch(numbers: std::ops::Range<u32>, day: Day) -> Vec<Submission> {
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

fn total(store: &mut dyn Store, week: Week) -> u64 {
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
        let report = Report::from_store(&mut *store, weeks, min_group).unwrap();
        let total = 7 * 37;
        assert_eq!(report.starts, 4 * (total - total % min_group));
        (min_group, report.render(Format::Json), report.render(Format::Html))
    };
    [1, 10, 40].into_iter().map(render).collect()
}

/// The files as version 2 of the schema had them, with starts that are counted and starts that are still in the inbox.
#[test]
fn a_file_of_an_older_version_is_upgraded() {
    let directory = tempfile::tempdir().unwrap();
    let url = sqlite_in(&directory);
    let file = rusqlite::Connection::open(directory.path().join("events.db")).unwrap();
    file.execute_batch(include_str!("../../src/store/migrations/sqlite/0001-starts.sql")).unwrap();
    file.execute_batch(include_str!("../../src/store/migrations/sqlite/0002-inbox.sql")).unwrap();
    file.execute_batch(&format!(
        "INSERT INTO starts VALUES ({0}, 'one-shot', '0.1.0', 'github', 'gha:teleport-actions/auth', 'v1', 4, 1, 2, 0, 30);
         INSERT INTO starts VALUES ({0}, 'continuous', '0.1.0', 'token', '', '', 0, 0, 0, 0, 12);
         INSERT INTO tallies VALUES ({0}, 'run_mode', 'one-shot', 30), ({0}, 'run_mode', 'continuous', 12);
         PRAGMA user_version = 2;",
        MONDAY.0
    ))
    .unwrap();
    let inbox = rusqlite::Connection::open(directory.path().join("events.db.inbox")).unwrap();
    inbox.execute_batch(include_str!("../../src/store/migrations/inbox/0001-arrivals.sql")).unwrap();
    let starts = "[\"one-shot\",\"0.1.0\",\"github\",\"gha:teleport-actions/auth\",\"v1\",4,1,2,0]\n\
                [\"continuous\",\"0.2.0\",\"iam\",null,null,1,0,0,1]\n";
    let ids = [[1_u8; 16], [2; 16]].concat();
    inbox.execute("UPDATE current SET epoch = 1", []).unwrap();
    inbox
        .execute("INSERT INTO arrived_odd VALUES (2, ?1, ?2, ?3)", rusqlite::params![MONDAY.0, ids, starts])
        .unwrap();
    inbox.pragma_update(None, "user_version", 1).unwrap();
    // An id of Monday that is already counted.
    file.execute("UPDATE ids_of SET day = ?1 WHERE parity = ?2", [MONDAY.0, MONDAY.0 % 2]).unwrap();
    file.execute("INSERT INTO ids_odd VALUES (?1)", [[3_u8; 16]]).unwrap();
    drop((file, inbox));

    let mut store = url.open().unwrap();
    let tally = store.tally(MONDAY.week(), MONDAY.week(), 1).unwrap();
    let week = &tally.weeks[&MONDAY.week()];
    let facet = |name: &str| week.facets[&schema().facet(name).unwrap()].clone();
    let counts = |counts: &[(&str, u64)]| -> BTreeMap<String, u64> {
        counts.iter().map(|(value, count)| ((*value).to_owned(), *count)).collect()
    };
    assert_eq!(facet("run_mode"), counts(&[("continuous", 13), ("one-shot", 31)]));
    let use_cases = [("application", 1), ("database+kubernetes+other", 31), ("none", 12)];
    assert_eq!(facet("use_cases"), counts(&use_cases));
    assert_eq!(facet("destinations_configured"), counts(&[("0", 12), ("1", 1), ("3 to 5", 31)]));
    let event = json!({
        "run_mode": "one-shot",
        "version": "0.1.0",
        "join_type": "github",
        "helper": "gha:teleport-actions/auth",
        "helper_version": "v1",
        "destinations_configured": 4,
        "destinations_configured_database_access": 1,
        "destinations_configured_kubernetes_access": 2,
    });
    let event: serde_json::Value = schema().named_values(&start(event)).into();
    assert!(stored(&url).contains(&(MONDAY.to_string(), event, 31)), "{:?}", stored(&url));
    store.append(&[Submission { id: [3; 16], ..submission(0, MONDAY) }]).unwrap();
    assert_eq!(store.fold().unwrap().repeated, 1);
}

#[test]
fn a_file_of_a_newer_version_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let url = StoreUrl::Sqlite(path.clone());
    drop(url.open().unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(url.open(), Err(StoreError::NewerVersion { found: 99, .. })));
}

/// Other operations fold as well. `fold` also returns the repetitions that they found.
#[test]
fn every_repetition_is_reported_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = StoreUrl::Sqlite(directory.path().join("events.db")).open().unwrap();
    let repeat = |store: &mut dyn Store| {
        store.append(&[submission(1, MONDAY), submission(1, MONDAY)]).unwrap();
    };
    repeat(&mut *store);
    assert_eq!(store.fold().unwrap().repeated, 1);
    repeat(&mut *store);
    store.forget_ids(MONDAY).unwrap();
    repeat(&mut *store);
    store.remove_before(MONDAY).unwrap();
    assert_eq!(store.fold().unwrap().repeated, 4);
    assert_eq!(store.fold().unwrap().repeated, 0);
}

/// Before 3.51.3, SQLite has a bug because of which two writing connections can lose a committed transaction.
#[test]
fn sqlite_is_recent_enough_to_lose_no_transaction() {
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}

/// If the inbox is replaced by an old copy while it is in use, submissions that arrive afterwards are counted.
#[test]
fn submissions_after_the_restore_of_an_old_inbox_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let url = StoreUrl::Sqlite(directory.path().join("events.db"));
    let mut store = url.open().unwrap();
    let inbox = rusqlite::Connection::open(directory.path().join("events.db.inbox")).unwrap();
    let mut count = 0;
    for behind in [1, 2, 5, 0, 4, 3] {
        for _ in 0..6 {
            count += 1;
            store.append(&[submission(count, MONDAY)]).unwrap();
            store.fold().unwrap();
        }
        inbox.execute("UPDATE current SET epoch = epoch - ?1", [behind]).unwrap();
        for _ in 0..2 {
            count += 1;
            store.append(&[submission(count, MONDAY)]).unwrap();
            store.fold().unwrap();
        }
        let starts: u64 = stored(&url).iter().map(|(_, _, starts)| starts).sum();
        assert_eq!(starts, u64::from(count), "{behind}");
    }
}

/// A clock that was ahead for a while does not prolong the retention of ids.
#[test]
fn ids_of_a_future_day_are_removed_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = StoreUrl::Sqlite(directory.path().join("events.db")).open().unwrap();
    let ids = || -> u32 {
        let file = rusqlite::Connection::open(directory.path().join("events.db")).unwrap();
        file.query_row("SELECT (SELECT count(*) FROM ids_0) + (SELECT count(*) FROM ids_1) + (SELECT count(*) FROM ids_2)", [], |row| {
            row.get(0)
        })
        .unwrap()
    };
    for ahead in [0, 1, 2, 31, 32] {
        store.append(&[submission(7, MONDAY.plus(ahead))]).unwrap();
        store.forget_ids(MONDAY).unwrap();
    }
    assert!(ids() > 0);
    for later in 1..=4 {
        store.forget_ids(MONDAY.plus(later)).unwrap();
    }
    assert_eq!(ids(), 0);
}
