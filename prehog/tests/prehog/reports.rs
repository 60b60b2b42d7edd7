//! The report: the page on its own listener, its forms, and nothing in it of a group that is too small.

use prehog::day::{Day, Week};
use prehog::report::{Format, NOTES, Span, make};
use prehog::start::{Start, Submission};
use prehog::store::{Store, StoreUrl};
use serde_json::Value;

use crate::lab::{Receiver, noon};

/// The last week that is over at noon.
fn last_week() -> Week {
    Day::of(noon()).week().plus(-1)
}

fn fill(store: &mut dyn Store, day: Day, version: &str, join_type: &str, from: u32, count: u32) {
    let start = Start {
        run_mode: "one-shot".to_owned(),
        version: version.to_owned(),
        join_type: join_type.to_owned(),
        helper: None,
        helper_version: None,
        destinations_configured: 2,
        destinations_configured_database_access: 1,
        destinations_configured_kubernetes_access: 0,
        destinations_configured_application_access: 0,
    };
    let batch: Vec<Submission> = (from..from + count)
        .map(|number| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            Submission { id, day, start: start.clone() }
        })
        .collect();
    store.append(&batch).unwrap();
}

fn sample(store: &StoreUrl) {
    let mut store = store.open().unwrap();
    let day = last_week().first();
    fill(&mut *store, day, "0.1.0", "github", 0, 500);
    fill(&mut *store, day.plus(1), "0.2.0", "token", 1000, 20);
    fill(&mut *store, day.plus(1), "7.7.7", "spacelift", 2000, 3);
    // The week before has only a few.
    fill(&mut *store, day.plus(-2), "9.9.9", "tpm", 3000, 9);
}

#[tokio::test]
async fn the_page_is_served_on_its_own_listener() {
    let receiver = Receiver::start().await;
    sample(&receiver.store);
    let (status, page) = receiver.get_report("/").await;
    assert_eq!(status, 200);
    assert!(page.starts_with("<!doctype html>") && page.contains("github"));
    // Nothing is loaded and nothing runs.
    for word in ["http://", "https://", "<script", "src=", "@import", "url("] {
        assert!(!page.contains(word), "{word}");
    }
    for note in NOTES {
        assert!(page.contains(note), "{note}");
    }
    let (_, json) = receiver.get_report("/report.json").await;
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["starts"], 523);
    assert_eq!(receiver.get_report("/report.csv").await.1.lines().next(), Some("table,value,starts,note"));
    // No event is taken there.
    assert_eq!(receiver.get_report(crate::lab::PATH).await.0, 404);
    receiver.stop().await;
}

#[test]
fn a_small_group_is_in_no_form_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = StoreUrl::Sqlite(folder.path().join("events.db"));
    sample(&store);
    let span = Span::finished(Day::of(noon()));
    let report = make(&mut *store.open().unwrap(), span, 10).unwrap();
    for format in [Format::Html, Format::Json, Format::Csv] {
        let text = report.render(format);
        for small in ["7.7.7", "spacelift", "9.9.9", "tpm"] {
            assert!(!text.contains(small), "{small} in {format:?}");
        }
    }
    // 3 of one version took the 20 of another with them.
    assert_eq!(report.versions.rows.len(), 1);
    assert_eq!((report.versions.rows[0].starts, report.versions.hidden), (500, 23));
    assert!(report.weeks.iter().filter_map(|week| week.starts).eq([523]));
}

/// Whatever two spans are compared, their difference is what the weeks between them show by themselves.
#[test]
fn shifting_the_weeks_isolates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = StoreUrl::Sqlite(folder.path().join("events.db"));
    let mut opened = store.open().unwrap();
    let first = Week(2000);
    for week in 0..4_u32 {
        let day = first.plus(i32::try_from(week).unwrap()).first();
        fill(&mut *opened, day, "0.1.0", "github", week * 10_000, 100);
        // Large over all weeks, small in the last one.
        let rare = if week == 3 { 2 } else { 30 };
        fill(&mut *opened, day, "0.2.0", "tpm", week * 10_000 + 5000, rare);
    }
    let mut of = |from: i32, to: i32| {
        let report = make(&mut *opened, Span { first: first.plus(from), last: first.plus(to) }, 10).unwrap();
        report.join_types.rows.iter().find(|row| row.value == "tpm").map_or(0, |row| row.starts)
    };
    assert_eq!(of(0, 2), 90);
    assert_eq!(of(0, 3) - of(0, 2), 0);
    assert_eq!(of(3, 3), 0);
}

#[test]
fn an_empty_store_has_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let store = StoreUrl::Sqlite(folder.path().join("events.db"));
    for starts in [0, 1] {
        fill(&mut *store.open().unwrap(), last_week().first(), "0.1.0", "tpm", 0, starts);
        let report = make(&mut *store.open().unwrap(), Span::finished(Day::of(noon())), 10).unwrap();
        assert_eq!(report.starts, 0);
        let page = report.render(Format::Html);
        assert!(page.contains("No week has a group that can be shown") && !page.contains("tpm"));
    }
}
