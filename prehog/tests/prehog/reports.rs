//! The report: the page on its own listener, all formats, and the rounding of its numbers.

use prehog::Options;
use prehog::day::{Day, Week};
use prehog::report::{Format, MAX_ROWS, NOTES, Report, WeekRange};
use prehog::server::{Listeners, ServeError};
use prehog::start::Submission;
use prehog::store::{Store, StoreUrl};
use serde_json::{Value, json};

use crate::fixture::{SUBMIT_PATH, TestReceiver, fixed_clock, noon, sqlite_in, start};

/// Returns the last complete week at the time of the tests.
fn last_week() -> Week {
    Day::of(noon()).week().plus(-1)
}

fn fill(store: &mut dyn Store, day: Day, version: &str, join_type: &str, from: u32, count: u32) {
    let start = start(json!({
        "run_mode": "one-shot",
        "version": version,
        "join_type": join_type,
        "destinations_configured": 2,
        "destinations_configured_database_access": 1,
    }));
    let batch: Vec<Submission> = (from..from + count)
        .map(|number| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            Submission { id, day, start: start.clone() }
        })
        .collect();
    store.append(&batch).unwrap();
}

fn store_sample(store: &StoreUrl) {
    let mut store = store.open().unwrap();
    let day = last_week().first_day();
    fill(&mut *store, day, "0.1.0", "github", 0, 500);
    fill(&mut *store, day.plus(1), "0.2.0", "token", 1000, 20);
    fill(&mut *store, day.plus(1), "7.7.7", "spacelift", 2000, 3);
    // The week before has only a few starts.
    fill(&mut *store, day.plus(-2), "9.9.9", "tpm", 3000, 9);
}

#[tokio::test]
async fn the_report_is_served_on_its_own_listener() {
    let receiver = TestReceiver::start().await;
    store_sample(&receiver.store);
    let (status, page) = receiver.get_report("/").await;
    assert_eq!(status, 200);
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("github"));
    // No external resources and no scripts.
    for word in ["http://", "https://", "<script", "src=", "@import", "url("] {
        assert!(!page.contains(word), "{word}");
    }
    for note in NOTES {
        assert!(page.contains(note), "{note}");
    }
    let (_, json) = receiver.get_report("/report.json").await;
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["starts"], 520);
    assert_eq!(receiver.get_report("/report.csv").await.1.lines().next(), Some("table,value,starts,note"));
    // This listener does not receive events.
    assert_eq!(receiver.get_report(SUBMIT_PATH).await.0, 404);
    receiver.stop().await;
}

#[test]
fn a_small_group_is_in_no_format() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_in(directory.path());
    store_sample(&store);
    let weeks = WeekRange::last_complete(Day::of(noon()));
    let report = Report::from_store(&mut *store.open().unwrap(), weeks, 10).unwrap();
    for format in [Format::Html, Format::Json, Format::Csv] {
        let rendered = report.render(format);
        for small in ["7.7.7", "spacelift", "9.9.9", "tpm"] {
            assert!(!rendered.contains(small), "{small} in {format:?}");
        }
    }
    // Every number is rounded, so that the version with 3 starts is not the difference of two numbers.
    let versions = report.table("version").unwrap();
    let starts: Vec<u64> = versions.rows.iter().map(|row| row.starts).collect();
    assert_eq!(starts, [500, 20]);
    assert!(report.weeks.iter().filter_map(|week| week.starts).eq([520]));
}

/// The difference of two reports is what the weeks by which they differ show on their own.
#[test]
fn comparing_reports_reveals_no_small_group() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_in(directory.path());
    let mut opened = store.open().unwrap();
    let first = Week(2000);
    for week in 0..4_u32 {
        let day = first.plus(i32::try_from(week).unwrap()).first_day();
        fill(&mut *opened, day, "0.1.0", "github", week * 10_000, 100);
        // Large in all weeks together, but small in the last one.
        let rare = if week == 3 { 2 } else { 30 };
        fill(&mut *opened, day, "0.2.0", "tpm", week * 10_000 + 5000, rare);
    }
    let mut starts = |from: i32, to: i32| {
        let report =
            Report::from_store(&mut *opened, WeekRange { first: first.plus(from), last: first.plus(to) }, 10)
                .unwrap();
        report
            .table("join_type")
            .unwrap()
            .rows
            .iter()
            .find(|row| row.value == "tpm")
            .map_or(0, |row| row.starts)
    };
    assert_eq!(starts(0, 2), 90);
    assert_eq!(starts(0, 3) - starts(0, 2), 0);
    assert_eq!(starts(3, 3), 0);
}

#[test]
fn a_report_without_enough_starts_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_in(directory.path());
    for starts in [0, 1] {
        fill(&mut *store.open().unwrap(), last_week().first_day(), "0.1.0", "tpm", 0, starts);
        let weeks = WeekRange::last_complete(Day::of(noon()));
        let report = Report::from_store(&mut *store.open().unwrap(), weeks, 10).unwrap();
        assert_eq!(report.starts, 0);
        let page = report.render(Format::Html);
        assert!(
            page.contains("<strong>0</strong>") && page.contains("class=\"empty\"") && !page.contains("tpm")
        );
    }
}

/// However many values there are, a report stays small. With groups of one start, nothing is rounded.
#[test]
fn a_table_has_a_limited_number_of_rows() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_in(directory.path());
    let mut opened = store.open().unwrap();
    for number in 0..1000 {
        let version = format!("{number}.0.0");
        fill(
            &mut *opened,
            last_week().first_day(),
            &version,
            "token",
            number * 2,
            if number < 7 { 2 } else { 1 },
        );
    }
    let report = Report::from_store(&mut *opened, WeekRange::last_complete(Day::of(noon())), 1).unwrap();
    let versions = report.table("version").unwrap();
    assert_eq!((versions.rows.len(), versions.more_values, versions.more_starts), (MAX_ROWS, 900, 900));
    assert_eq!(versions.rows[0].starts, 2);
    for format in [Format::Html, Format::Json, Format::Csv] {
        assert!(report.render(format).len() < 100_000, "{format:?}");
    }
}

/// Only a report that is printed locally may show small groups, and it says so.
#[tokio::test]
async fn the_served_report_shows_no_small_groups() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_in(directory.path());
    store_sample(&store);
    let events = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options { min_group: 9, ..Options::new(fixed_clock(noon())) };
    let listeners = Listeners { events, report: None, metrics: None };
    let served = prehog::serve(listeners, store.clone(), options, std::future::pending()).await;
    assert!(matches!(served, Err(ServeError::MinGroupTooSmall)));
    let notes = |min_group| {
        let weeks = WeekRange::last_complete(Day::of(noon()));
        Report::from_store(&mut *store.open().unwrap(), weeks, min_group).unwrap().notes.len()
    };
    assert_eq!((notes(9), notes(10)), (NOTES.len() + 1, NOTES.len()));
}

/// All text in a report is escaped, although all values come from closed sets.
#[test]
fn text_in_a_report_is_never_markup_or_a_formula() {
    const MARKUP: &str = "\"></title></svg><script>'&amp;,";
    const FORMULA: &str = "==cmd|' /C calc'!A0";
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_in(directory.path());
    store_sample(&store);
    let weeks = WeekRange::last_complete(Day::of(noon()));
    let report = Report::from_store(&mut *store.open().unwrap(), weeks, 10).unwrap();
    let with = |text: &'static str| {
        let mut report = report.clone();
        report.notes.push(text);
        let rows = report.tables.iter_mut().flat_map(|table| {
            (table.key, table.description) = (text.to_owned(), format!("{text} `{text}`"));
            &mut table.table.rows
        });
        for row in rows.chain(&mut report.use_cases).chain(&mut report.combinations.rows) {
            row.value = text.to_owned();
        }
        report
    };

    let page = with(MARKUP).render(Format::Html);
    assert!(page.contains("&quot;&gt;&lt;/title&gt;&lt;/svg&gt;&lt;script&gt;'&amp;amp;,"), "{page}");
    let plain = with("plain").render(Format::Html);
    for character in ['<', '>', '"'] {
        assert_eq!(
            page.matches(character).count(),
            plain.matches(character).count(),
            "{character} in {page}"
        );
    }

    let csv = with(MARKUP).render(Format::Csv);
    assert!(csv.contains(",\"\"\"></title></svg><script>'&amp;,\","), "{csv}");
    let csv = with(FORMULA).render(Format::Csv);
    assert!(csv.contains(",cmd|' /C calc'!A0,") && !csv.contains('='), "{csv}");

    let json: Value = serde_json::from_str(&with(MARKUP).render(Format::Json)).unwrap();
    assert_eq!(json["use_cases"][0]["value"], MARKUP);
}
