//! Folding in the SQLite store: every submission is counted once, whatever fails or is replaced in between.

use prehog::day::Day;
use prehog::load::Agents;
use prehog::start::Submission;
use prehog::store::StoreUrl;
use rusqlite::Connection;

use crate::fixture::{INBOX, STORE, sqlite_in, stored};

/// Returns submissions of simulated agents.
pub(crate) fn batch(numbers: std::ops::Range<u64>) -> Vec<Submission> {
    let agents = Agents::new(1).unwrap();
    numbers.map(|number| agents.submission(number, Day(20_000))).collect()
}

#[test]
fn the_inbox_does_not_grow_without_limit() {
    let directory = tempfile::tempdir().unwrap();
    let url = sqlite_in(directory.path());
    let mut store = url.open().unwrap();
    let other = Connection::open(directory.path().join(STORE)).unwrap();
    other.execute_batch("ALTER TABLE tallies RENAME TO away").unwrap();
    let mut stored_before = 0;
    let (count, max) = (20_000, 400_000);
    while stored_before < max && store.append(&batch(stored_before..stored_before + count)).is_ok() {
        stored_before += count;
    }
    assert!(stored_before < max, "the inbox has no limit");
    other.execute_batch("ALTER TABLE away RENAME TO tallies").unwrap();
    store.append(&batch(stored_before..stored_before + count)).unwrap();
    assert_eq!(stored(&url).iter().map(|(_, _, count)| count).sum::<u64>(), stored_before + count);
}

/// A fold that fails after the ids and the starts are written is rolled back, and the ids are not taken for repetitions later.
#[test]
fn folding_is_atomic() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(STORE);
    let url = StoreUrl::Sqlite(path.clone());
    let mut store = url.open().unwrap();
    let other = Connection::open(path).unwrap();
    store.append(&batch(0..50)).unwrap();
    other
        .execute_batch("CREATE TRIGGER refuse BEFORE INSERT ON tallies BEGIN SELECT RAISE(ABORT, 'no'); END")
        .unwrap();
    store.fold().unwrap_err();
    let count = |sql: &str| other.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT (SELECT COUNT(*) FROM ids_2) + (SELECT COUNT(*) FROM starts)"), 0);
    // The failed fold has closed the epoch, so these submissions are in the next one.
    store.append(&batch(50..80)).unwrap();
    other.execute_batch("DROP TRIGGER refuse").unwrap();
    assert_eq!(store.fold().unwrap().repeated, 0);
    assert_eq!(stored(&url).iter().map(|(_, _, count)| count).sum::<u64>(), 80);
}

/// If a process is killed after an epoch is counted and before it is removed, it is removed and not counted again.
#[test]
fn an_epoch_is_counted_once() {
    let directory = tempfile::tempdir().unwrap();
    let url = sqlite_in(directory.path());
    let mut store = url.open().unwrap();
    let inbox = Connection::open(directory.path().join(INBOX)).unwrap();
    let execute = |sql: &str| inbox.execute_batch(sql).unwrap();
    store.append(&batch(0..50)).unwrap();
    execute("CREATE TABLE kept AS SELECT * FROM arrived_odd");
    assert_eq!(store.fold().unwrap().repeated, 0);
    execute("INSERT INTO arrived_odd SELECT * FROM kept");
    store.append(&batch(50..60)).unwrap();
    // Its ids would be found as repetitions, but they are not even read.
    assert_eq!(store.fold().unwrap().repeated, 0);
    assert_eq!(stored(&url).iter().map(|(_, _, count)| count).sum::<u64>(), 60);
    assert_eq!(inbox.query_row("SELECT COUNT(*) FROM arrived_odd", [], |row| row.get::<_, i64>(0)), Ok(0));
}

/// If the inbox is missing or older than the store, as after a backup was restored, new submissions are counted.
#[test]
fn a_store_without_its_inbox_creates_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let url = sqlite_in(directory.path());
    for number in 0..6 {
        let mut store = url.open().unwrap();
        store.append(&batch(number * 10..number * 10 + 10)).unwrap();
        store.fold().unwrap();
        drop(store);
        if number % 2 == 0 {
            std::fs::remove_file(directory.path().join(INBOX)).unwrap();
        }
    }
    assert_eq!(stored(&url).iter().map(|(_, _, count)| count).sum::<u64>(), 60);
}
