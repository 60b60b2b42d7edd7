//! A receiver whose clock is wrong for a while: nothing is removed too early, and nothing is counted twice.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use prehog::Options;
use prehog::day::Day;
use tempfile::TempDir;

use crate::fixture::{STORE, TestReceiver, body, fixed_clock, noon, sqlite_in, stored, uuid, wait_until};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEARS: Duration = Duration::from_secs(2 * 365 * 24 * 60 * 60);

/// Runs a receiver at a time until it has maintained the store, and submits a start with an id.
async fn run_at(now: SystemTime, directory: TempDir, id: u64) -> TempDir {
    let store = sqlite_in(directory.path());
    let options =
        Options { rate_limit: 0, retain_days: NonZeroU32::new(14), ..Options::new(fixed_clock(now)) };
    let receiver = TestReceiver::start_on(directory, store, options).await;
    let mut event = body(&uuid(id));
    event["start"]["destinationsKubernetes"] = id.into();
    assert_eq!(receiver.submit(&event).await.status(), 200);
    let file = rusqlite::Connection::open(receiver.directory.path().join(STORE)).unwrap();
    let is_maintained = async || {
        let sql = "SELECT COUNT(*) FROM maintained_days WHERE day = ?1";
        file.query_row(sql, [Day::of(now).0], |row| row.get::<_, i64>(0)).unwrap() == 1
    };
    wait_until("maintenance", is_maintained).await;
    // The threads finish their tasks before the receiver stops.
    receiver.stop().await
}

/// Returns the numbers of starts by their ids.
fn counts(directory: &TempDir) -> Vec<(u64, u64)> {
    let store = sqlite_in(directory.path());
    let rows = stored(&store);
    let id = |event: &serde_json::Value| event["destinations_configured_kubernetes_access"].as_u64();
    let mut counts: Vec<_> = rows.iter().map(|(_, event, count)| (id(event).unwrap_or(0), *count)).collect();
    counts.sort_unstable();
    counts
}

#[tokio::test]
async fn a_clock_that_was_ahead_removes_no_starts() {
    let mut directory = tempfile::tempdir().unwrap();
    for days in 0..7 {
        directory = run_at(noon() + DAY * days, directory, 1).await;
    }
    // Ahead for some days, and then right again.
    for (number, now) in (2..).zip([noon() + YEARS, noon() + YEARS + DAY, noon() + YEARS + 2 * DAY]) {
        directory = run_at(now, directory, number).await;
        assert!(counts(&directory).contains(&(1, 1)));
    }
    directory = run_at(noon() + 7 * DAY, directory, 5).await;
    assert_eq!(counts(&directory), [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
}

#[tokio::test]
async fn old_starts_are_removed_in_time() {
    let mut directory = run_at(noon(), tempfile::tempdir().unwrap(), 1).await;
    // Noon is on a Wednesday. On the Tuesday 13 days later, the Monday of its week is older than 14 days.
    for days in 1..13 {
        directory = run_at(noon() + DAY * days, directory, 2).await;
        assert!(counts(&directory).contains(&(1, 1)), "{days}");
    }
    directory = run_at(noon() + DAY * 13, directory, 3).await;
    assert_eq!(counts(&directory).iter().filter(|(id, _)| *id == 1).count(), 0);
}

#[tokio::test]
async fn a_repetition_after_the_clock_was_ahead_counts_once() {
    for ahead in [DAY, 2 * DAY, 3 * DAY, 4 * DAY, YEARS] {
        let mut directory = run_at(noon() - DAY, tempfile::tempdir().unwrap(), 1).await;
        directory = run_at(noon(), directory, 2).await;
        directory = run_at(noon() + ahead, directory, 3).await;
        directory = run_at(noon() + ahead, directory, 2).await;
        for id in [2, 3] {
            directory = run_at(noon(), directory, id).await;
        }
        assert_eq!(counts(&directory), [(1, 1), (2, 1), (3, 1)], "{ahead:?}");
    }
}
