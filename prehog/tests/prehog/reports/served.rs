//! The report on its own listener: what a query selects, its headers, and its links.

use prehog::Options;
use prehog::day::Day;
use prehog::report::{Format, NOTES, Report, WeekRange};
use prehog::server::{Listeners, ServeError};
use serde_json::Value;

use super::{last_week, store_sample};
use crate::fixture::{STORE, SUBMIT_PATH, TestReceiver, client, fixed_clock, noon, report_of, sqlite_in};

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
    let (_, csv) = receiver.get_report("/report.csv").await;
    assert_eq!(csv.lines().next(), Some("table,value,by,week,starts,before,note"));
    // This listener does not receive events.
    assert_eq!(receiver.get_report(SUBMIT_PATH).await.0, 404);
    receiver.stop().await;
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
        Report::from_store(&mut *store.open().unwrap(), weeks, min_group, Day::of(noon()))
            .unwrap()
            .notes
            .len()
    };
    assert_eq!((notes(9), notes(10)), (NOTES.len() + 1, NOTES.len()));
}

#[tokio::test]
async fn a_query_selects_complete_weeks() {
    let receiver = TestReceiver::start().await;
    store_sample(&receiver.store);
    let range = async |query: &str| {
        let (status, body) = receiver.get_report(&format!("/report.json{query}")).await;
        let report: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{status} {body}"));
        (report["since"].as_str().unwrap().to_owned(), report["until"].as_str().unwrap().to_owned())
    };
    let expected = |since: &str, until: &str| (since.to_owned(), until.to_owned());
    // It is 2026-11-18, a Wednesday.
    assert_eq!(range("").await, expected("2026-08-24", "2026-11-15"));
    assert_eq!(range("?since=2026-11-11").await, expected("2026-11-09", "2026-11-15"));
    assert_eq!(range("?until=2026-11-01").await, expected("2026-08-10", "2026-11-01"));
    assert_eq!(range("?since=2026-10-07&until=2026-10-08").await, expected("2026-10-05", "2026-10-11"));
    for refused in [
        "since=yesterday",
        "since=",
        "since=2026-11-10&until=2026-11-09",
        // The current week, whose exact numbers could be found out with fake events.
        "until=2026-11-16",
        "since=2026-11-16",
        "since=2000-01-01",
        "since=2026-11-09&since=2026-11-10",
        "min_group=1",
        "%FF",
    ] {
        for path in ["/", "/report.json", "/report.csv"] {
            let (status, body) = receiver.get_report(&format!("{path}?{refused}")).await;
            assert_eq!(status, 400, "{path}?{refused}: {body}");
            assert!(!body.contains("github"), "{body}");
        }
    }
    receiver.stop().await;
}

/// Whether it is a report, a message about the query, or one about the store.
#[tokio::test]
async fn every_response_forbids_scripts_and_guessing_its_type() {
    let receiver = TestReceiver::start().await;
    store_sample(&receiver.store);
    let client = client();
    let mut types = Vec::new();
    for (path, status) in [
        ("/", 200),
        ("/report.json", 200),
        ("/report.csv", 200),
        ("/?since=yesterday", 400),
        ("/report.json?since=yesterday", 400),
        ("/report.csv?since=yesterday", 400),
        ("/report.json", 503),
    ] {
        if status == 503 {
            std::fs::remove_file(receiver.directory.path().join(STORE)).unwrap();
        }
        let response = client.get(format!("http://{}{path}", receiver.report)).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        types.push(header("content-type").split(';').next().unwrap().to_owned());
    }
    let expected =
        ["text/html", "application/json", "text/csv", "text/html", "text/plain", "text/plain", "text/plain"];
    assert_eq!(types, expected);
    receiver.stop().await;
}

/// The page links to other weeks and formats, relative to its own address.
#[tokio::test]
async fn the_links_of_the_page_lead_to_reports() {
    let receiver = TestReceiver::start().await;
    store_sample(&receiver.store);
    let mut seen = Vec::new();
    for page in ["/", "/?until=2026-10-01"] {
        let (_, page) = receiver.get_report(page).await;
        let links = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        for link in links.filter(|link| !link.starts_with('#')) {
            let (status, _) = receiver.get_report(&format!("/{}", link.replace("&amp;", "&"))).await;
            assert_eq!(status, 200, "{link}");
            seen.push(link);
        }
    }
    let count = |start: &str| seen.iter().filter(|link| link.starts_with(start)).count();
    // Three periods and the earlier weeks, and once the later ones.
    assert_eq!((count("./?since="), count("report.csv?"), count("report.json?")), (9, 2, 2), "{seen:?}");
    // A report that is printed has no server to link to.
    let printed = report_of(&mut *receiver.store.open().unwrap(), WeekRange::ending(last_week(), 1));
    assert!(!printed.render(Format::Html).contains("<nav"));
    receiver.stop().await;
}
