//! One suite for every store: what goes in comes out, counted the same. ClickHouse is tested where
//! `PREHOG_TEST_CLICKHOUSE` names a server (`.ci/clickhouse` starts one); without it these are skipped with a line that
//! says so, except under `CI=true`, where that is a failure.

use std::collections::BTreeMap;
use std::io::Write as _;

use prehog::day::{Day, Week};
use prehog::report::{Format, Span, make};
use prehog::start::{Facet, Start, Submission};
use prehog::store::{Store, StoreUrl};

use crate::lab::stored;

/// A Monday.
const MONDAY: Day = Day(20_409);

#[expect(clippy::disallowed_methods, reason = "the edge where a run of the tests names its server")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Runs a case against each store, an empty one of its own.
fn each(case: &str, run: impl Fn(&StoreUrl)) {
    let folder = tempfile::tempdir().unwrap();
    run(&StoreUrl::Sqlite(folder.path().join("events.db")));
    if let Some(server) = clickhouse(case) {
        run(&format!("clickhouse:{server}").parse().unwrap());
    }
}

/// An empty database of a case's own, as the address of its server and its name; none where there is no server.
pub(crate) fn clickhouse(case: &str) -> Option<String> {
    let Some(server) = variable("PREHOG_TEST_CLICKHOUSE") else {
        let is_wanted = variable("CI").is_some_and(|ci| ci == "true");
        assert!(!is_wanted, "there is no ClickHouse server: run this with .ci/clickhouse");
        // Not a print macro: the harness would swallow the line.
        let mut errors = std::io::stderr();
        writeln!(errors, "skipped: {case} on ClickHouse, for want of a server").unwrap();
        return None;
    };
    let database = format!("prehog_test_{case}_{}", std::process::id());
    let agent = ureq::Agent::config_builder().proxy(None).build().new_agent();
    agent.post(&server).send(format!("DROP DATABASE IF EXISTS {database}")).unwrap();
    Some(format!("{server}/{database}"))
}

fn submission(number: u32, day: Day) -> Submission {
    let mut id = *b"\0\0\0\0\0\0\x40\0\x80\0\0\0\0\0\0\0";
    id[12..].copy_from_slice(&number.to_be_bytes());
    let pick = |values: &[&str], by: u32| (*values)[(number / by) as usize % values.len()].to_owned();
    let helper =
        Some(pick(&["", "gha:teleport-actions/auth", "other"], 1)).filter(|helper| !helper.is_empty());
    let listed = helper.as_deref() == Some("gha:teleport-actions/auth");
    let (database, kubernetes, application) = (number % 2, number / 2 % 3, number / 6 % 2);
    let start = Start {
        run_mode: pick(&["one-shot", "continuous"], 1),
        version: pick(&["0.1.0", "0.2.0", "15.0.0-dev"], 7),
        join_type: pick(&["github", "token", "other", "kubernetes"], 5),
        helper_version: Some(pick(&["v1", "v1.2.3"], 3)).filter(|_| listed),
        helper,
        destinations_configured: database + kubernetes + application + number / 12 % 2,
        destinations_configured_database_access: database,
        destinations_configured_kubernetes_access: kubernetes,
        destinations_configured_application_access: application,
    };
    Submission { id, day, start }
}

fn batch(numbers: std::ops::Range<u32>, day: Day) -> Vec<Submission> {
    numbers.map(|number| submission(number, day)).collect()
}

/// What a store should say, counted by hand.
fn wanted(all: &[Submission]) -> Vec<(String, serde_json::Value, u64)> {
    let mut counts: BTreeMap<(Day, Start), u64> = BTreeMap::new();
    for Submission { day, start, .. } in all {
        *counts.entry((*day, start.clone())).or_default() += 1;
    }
    sorted(
        counts
            .into_iter()
            .map(|((day, start), count)| (day.to_string(), serde_json::to_value(start).unwrap(), count)),
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
    store.tally(week, week, 1).unwrap().weeks.get(&week).map_or(0, prehog::store::WeekTally::total)
}

#[test]
fn what_goes_in_comes_out() {
    each("in_and_out", |url| {
        let mut store = url.open().unwrap();
        assert_eq!(stored(url), []);
        let all = [batch(0..150, MONDAY), batch(150..300, MONDAY.plus(2)), batch(300..400, MONDAY.plus(7))]
            .concat();
        for part in all.chunks(70) {
            store.append(part).unwrap();
        }
        // Another one finds it whether or not it was folded.
        assert_eq!(sorted(stored(url)), wanted(&all));
        store.fold().unwrap();
        assert_eq!(sorted(stored(url)), wanted(&all));
        store.probe().unwrap();
        // Another one that opens the same finds the same.
        assert_eq!(total(&mut *url.open().unwrap(), MONDAY.week()), 300);
    });
}

#[test]
fn a_tally_counts_each_facet() {
    each("tally", |url| {
        let mut store = url.open().unwrap();
        let all = [batch(0..300, MONDAY), batch(300..340, MONDAY.plus(8))].concat();
        store.append(&all).unwrap();
        for floor in [1, 30] {
            let mut counts: BTreeMap<(Week, Facet, String), u64> = BTreeMap::new();
            for Submission { day, start, .. } in &all {
                for facet in Facet::ALL {
                    *counts.entry((day.week(), facet, start.value(facet))).or_default() += 1;
                }
            }
            counts.retain(|_, count| *count >= floor);
            let tally = store.tally(MONDAY.week(), MONDAY.week().plus(5), floor).unwrap();
            let mut found = BTreeMap::new();
            for (week, tally) in &tally.weeks {
                for (facet, values) in &tally.facets {
                    found
                        .extend(values.iter().map(|(value, count)| ((*week, *facet, value.clone()), *count)));
                }
            }
            assert_eq!(found, counts);
            let days: Vec<_> = tally.weeks.values().flat_map(|week| week.days.clone()).collect();
            assert_eq!(days, [(MONDAY, 300), (MONDAY.plus(8), 40)]);
        }
    });
}

#[test]
fn a_repeated_submission_counts_once() {
    each("repeated", |url| {
        let mut store = url.open().unwrap();
        // Not folded between the first two.
        for fold in [false, true, true] {
            store.append(&batch(0..20, MONDAY)).unwrap();
            if fold {
                store.fold().unwrap();
            }
        }
        // In one batch, in another process, and across midnight.
        store.append(&[batch(20..30, MONDAY), batch(20..30, MONDAY)].concat()).unwrap();
        url.open().unwrap().append(&batch(5..15, MONDAY)).unwrap();
        store.append(&batch(0..31, MONDAY.plus(1))).unwrap();
        assert_eq!(total(&mut *store, MONDAY.week()), 31);
        for (today, again) in [(1, 31), (2, 31), (3, 31)] {
            store.forget_ids(MONDAY.plus(today)).unwrap();
            assert_eq!(total(&mut *store, MONDAY.week()), again, "{today} days later");
        }
        assert_eq!(stored(url).iter().map(|(_, _, count)| count).sum::<u64>(), 31);
    });
}

/// Each is a repetition of the one of the day before.
#[test]
fn a_submission_that_is_repeated_day_after_day_counts_once() {
    each("daily", |url| {
        let mut store = url.open().unwrap();
        for day in 0..5 {
            store.append(&batch(0..3, MONDAY.plus(day))).unwrap();
            store.fold().unwrap();
        }
        assert_eq!(total(&mut *store, MONDAY.week()), 3);
    });
}

#[test]
fn forgetting_ids_keeps_the_starts_however_often_it_is_done() {
    each("forgetting", |url| {
        let mut store = url.open().unwrap();
        let mut all = Vec::new();
        for day in 0..5 {
            let numbers = u32::try_from(day * 50).unwrap();
            let part = batch(numbers..numbers + 50, MONDAY.plus(day));
            store.append(&part).unwrap();
            all.extend(part);
            store.forget_ids(MONDAY.plus(day)).unwrap();
            url.open().unwrap().forget_ids(MONDAY.plus(day)).unwrap();
            assert_eq!(sorted(stored(url)), wanted(&all), "on day {day}");
        }
        store.forget_ids(MONDAY.plus(30)).unwrap();
        assert_eq!(sorted(stored(url)), wanted(&all));
    });
}

#[test]
fn what_is_past_its_time_goes() {
    each("retain", |url| {
        let mut store = url.open().unwrap();
        let (old, new) = (batch(0..40, MONDAY.plus(-3)), batch(40..100, MONDAY));
        store.append(&[old, new.clone()].concat()).unwrap();
        store.forget_ids(MONDAY.plus(1)).unwrap();
        assert_eq!(store.retain(MONDAY).unwrap(), 40);
        assert_eq!(store.retain(MONDAY).unwrap(), 0);
        assert_eq!(sorted(stored(url)), wanted(&new));
        assert_eq!(total(&mut *store, MONDAY.week().plus(-1)), 0);
        assert_eq!(total(&mut *store, MONDAY.week()), 60);
    });
}

#[test]
fn every_store_gives_the_same_report() {
    let reports = std::cell::RefCell::new(Vec::new());
    each("report", |url| {
        let mut store = url.open().unwrap();
        for week in 0..4 {
            for day in 0..7 {
                let numbers = u32::try_from(week * 700 + day * 37).unwrap();
                store.append(&batch(numbers..numbers + 37, MONDAY.plus(week * 7 + day))).unwrap();
            }
            store.forget_ids(MONDAY.plus(week * 7 + 6)).unwrap();
        }
        let span = Span { first: MONDAY.week().plus(-1), last: MONDAY.week().plus(4) };
        for min_group in [1, 10, 40] {
            let report = make(&mut *store, span, min_group).unwrap();
            assert_eq!(report.starts, 4 * 7 * 37);
            reports.borrow_mut().push((min_group, report.render(Format::Json), report.render(Format::Html)));
        }
    });
    let reports = reports.into_inner();
    for other in reports.chunks(3).skip(1) {
        assert_eq!(reports[..3], *other);
    }
}

#[test]
fn a_file_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let url = StoreUrl::Sqlite(path.clone());
    drop(url.open().unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(url.open().err().unwrap().to_string().contains("99"));
}

/// Whether a repetition is found by folding or on the way to something else, it is told once.
#[test]
fn repetitions_are_told_whenever_they_were_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = StoreUrl::Sqlite(folder.path().join("events.db")).open().unwrap();
    let repeat = |store: &mut dyn Store| {
        store.append(&[submission(1, MONDAY), submission(1, MONDAY)]).unwrap();
    };
    repeat(&mut *store);
    assert_eq!(store.fold().unwrap(), 1);
    repeat(&mut *store);
    store.forget_ids(MONDAY).unwrap();
    repeat(&mut *store);
    store.retain(MONDAY).unwrap();
    assert_eq!(store.fold().unwrap(), 4);
    assert_eq!(store.fold().unwrap(), 0);
}

/// 3.51.3 is the first without a fault by which two connections that write can lose what one of them committed.
#[test]
fn sqlite_is_one_that_loses_nothing() {
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}

/// The inbox of an old copy of the file, put in place while it is in use: what arrives from then on is counted.
#[test]
fn an_inbox_that_falls_behind_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::Sqlite(folder.path().join("events.db"));
    let mut store = url.open().unwrap();
    let inbox = rusqlite::Connection::open(folder.path().join("events.db.inbox")).unwrap();
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

/// A clock that was ahead for a while does not make ids stay.
#[test]
fn ids_of_a_day_that_has_not_come_go_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = StoreUrl::Sqlite(folder.path().join("events.db")).open().unwrap();
    let ids = || -> u32 {
        let file = rusqlite::Connection::open(folder.path().join("events.db")).unwrap();
        file.query_row("SELECT (SELECT count(*) FROM ids_even) + (SELECT count(*) FROM ids_odd)", [], |row| {
            row.get(0)
        })
        .unwrap()
    };
    for ahead in [0, 1, 2, 31, 32] {
        store.append(&[submission(7, MONDAY.plus(ahead))]).unwrap();
        store.forget_ids(MONDAY).unwrap();
    }
    assert!(ids() > 0);
    store.forget_ids(MONDAY.plus(2)).unwrap();
    store.forget_ids(MONDAY.plus(3)).unwrap();
    assert_eq!(ids(), 0);
}
