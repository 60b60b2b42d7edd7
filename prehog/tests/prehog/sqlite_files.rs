//! The files of the SQLite store: upgrades, restored copies, and what they contain.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use prehog::Options;
use prehog::server::Listeners;
use prehog::start::Submission;
use prehog::store::{Store, StoreError};
use serde_json::json;

use crate::fixture::{INBOX, STORE, fixed_clock, noon, schema, sqlite_in, start, stored};
use crate::stores::{MONDAY, submission};

/// The files as version 2 of the schema had them, with starts that are counted and starts that are still in the inbox.
#[test]
fn a_file_of_an_older_version_is_upgraded() {
    let directory = tempfile::tempdir().unwrap();
    let url = sqlite_in(directory.path());
    let file = rusqlite::Connection::open(directory.path().join(STORE)).unwrap();
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
    let inbox = rusqlite::Connection::open(directory.path().join(INBOX)).unwrap();
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
    let use_cases =
        [("application|Rust tbot", 1), ("database+kubernetes+other|Rust tbot", 31), ("none|Rust tbot", 12)];
    assert_eq!(facet("use_cases_by_implementation"), counts(&use_cases));
    let destinations = [("0|Rust tbot", 12), ("1|Rust tbot", 1), ("3 to 5|Rust tbot", 31)];
    assert_eq!(facet("destinations_configured_by_implementation"), counts(&destinations));
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

/// A program with other facets, such as a later version, counts all starts again.
#[test]
fn a_facet_that_was_not_counted_is_counted_later() {
    let directory = tempfile::tempdir().unwrap();
    let url = sqlite_in(directory.path());
    let tally = |store: &mut dyn Store| store.tally(MONDAY.week(), MONDAY.week(), 1).unwrap();
    let mut store = url.open().unwrap();
    let starts: Vec<Submission> = (0..50).map(|number| submission(number, MONDAY)).collect();
    store.append(&starts).unwrap();
    let expected = tally(&mut *store);
    drop(store);
    let file = rusqlite::Connection::open(directory.path().join(STORE)).unwrap();
    file.execute_batch(
        "DELETE FROM facets WHERE name = 'implementation'; DELETE FROM tallies WHERE facet = 'implementation';
         INSERT INTO facets VALUES ('removed'); INSERT OR IGNORE INTO tallies SELECT day, 'removed', value, starts FROM tallies;",
    )
    .unwrap();
    drop(file);
    assert_eq!(tally(&mut *url.open().unwrap()), expected);
}

#[test]
fn a_file_of_a_newer_version_is_not_opened() {
    for file in [STORE, INBOX] {
        let directory = tempfile::tempdir().unwrap();
        let url = sqlite_in(directory.path());
        drop(url.open().unwrap());
        let connection = rusqlite::Connection::open(directory.path().join(file)).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(url.open(), Err(StoreError::NewerVersion { found: 99, .. })), "{file}");
    }
}

/// A wrong path must not change the file of another program, not even its journal mode.
#[test]
fn a_file_of_another_program_is_refused_and_stays_as_it_is() {
    let tables = "CREATE TABLE customers (name TEXT); INSERT INTO customers VALUES ('x')";
    let version = "CREATE TABLE customers (name TEXT); PRAGMA user_version = 5";
    let name = "CREATE TABLE tallies (n TEXT); CREATE TABLE arrived_even (n TEXT)";
    let files = [Some(tables), Some(version), Some(name), None];
    for content in files {
        for name in [STORE, INBOX] {
            let directory = tempfile::tempdir().unwrap();
            let (url, path) = (sqlite_in(directory.path()), directory.path().join(name));
            if name == INBOX {
                drop(url.open().unwrap());
                std::fs::remove_file(&path).unwrap();
            }
            match content {
                Some(sql) => rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap(),
                None => std::fs::write(&path, "not a database\n").unwrap(),
            }
            let before = std::fs::read(&path).unwrap();
            for opened in [url.open(), url.open_existing()] {
                let refused = matches!(opened, Err(StoreError::NotAStore(refused)) if refused == path);
                assert!(refused, "{name}: {content:?}");
            }
            assert_eq!(std::fs::read(&path).unwrap(), before, "{name}: {content:?}");
            assert!(name == INBOX || !directory.path().join(INBOX).exists(), "{content:?}");
        }
    }
}

/// The program was killed, so SQLite has not moved the log into the file. Whoever closes the file as the last one does, unless it is
/// told not to.
#[test]
fn the_write_ahead_log_of_another_program_stays_as_it_is() {
    let other = tempfile::tempdir().unwrap();
    let path = other.path().join("other.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.execute_batch("CREATE TABLE customers (name TEXT)").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (url, store) = (sqlite_in(directory.path()), directory.path().join(STORE));
    let files = [store, directory.path().join("events.db-wal")];
    for (file, from) in files.iter().zip(["other.db", "other.db-wal"]) {
        std::fs::copy(other.path().join(from), file).unwrap();
    }
    drop(connection);
    let contents = || files.each_ref().map(|file| std::fs::read(file).unwrap());
    let before = contents();
    assert!(!before[1].is_empty());
    for opened in [url.open(), url.open_existing()] {
        assert!(matches!(opened, Err(StoreError::NotAStore(_))));
    }
    assert_eq!(contents(), before);
}

/// Such as two commands that are started at the same time.
#[test]
fn a_file_that_another_process_is_creating_is_opened_when_it_is_ready() {
    let directory = tempfile::tempdir().unwrap();
    let url = sqlite_in(directory.path());
    let creator = rusqlite::Connection::open(directory.path().join(STORE)).unwrap();
    creator.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel();
        scope.spawn(move || sender.send(url.open().map(drop)));
        let early = receiver.recv_timeout(Duration::from_millis(200));
        creator.execute_batch("COMMIT").unwrap();
        assert!(early.is_err(), "{early:?}");
        receiver.recv().unwrap().unwrap();
    });
}

/// Such as a file that another program has just created, or one that was left when the first start was interrupted.
#[test]
fn an_empty_file_becomes_a_store_only_where_one_may_be_created() {
    for journal_mode in [None, Some("wal")] {
        let directory = tempfile::tempdir().unwrap();
        let (url, path) = (sqlite_in(directory.path()), directory.path().join(STORE));
        std::fs::write(&path, "").unwrap();
        if let Some(mode) = journal_mode {
            rusqlite::Connection::open(&path).unwrap().pragma_update(None, "journal_mode", mode).unwrap();
        }
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(url.open_existing(), Err(StoreError::NotAStore(_))), "{journal_mode:?}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
        let mut store = url.open().unwrap();
        store.append(&[submission(1, MONDAY)]).unwrap();
        assert_eq!(stored(&url).len(), 1);
    }
}

/// As docs/operating-prehog.md recommends: while prehog runs, and with a restore without the inbox.
#[test]
fn a_backup_of_an_open_store_is_complete_and_can_be_restored() {
    let directory = tempfile::tempdir().unwrap();
    let (url, backup) = (sqlite_in(directory.path()), directory.path().join("backup.db"));
    let mut store = url.open().unwrap();
    let back_up = || url.open_existing().unwrap().back_up(&backup);
    store.append(&[submission(1, MONDAY)]).unwrap();
    back_up().unwrap();
    // The second backup replaces the first one and includes events that are not counted yet. A file that a killed process has left does
    // not prevent it.
    store.append(&[submission(2, MONDAY)]).unwrap();
    let expected = stored(&url);
    let part = directory.path().join("backup.db.part");
    std::fs::write(&part, "incomplete").unwrap();
    let file = std::fs::File::options().write(true).open(&part).unwrap();
    let now = file.metadata().unwrap().modified().unwrap();
    file.set_modified(now - Duration::from_secs(2 * 60 * 60)).unwrap();
    back_up().unwrap();
    assert_eq!(std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!part.exists());
    store.append(&[submission(3, MONDAY)]).unwrap();
    store.fold().unwrap();
    drop(store);

    let restored = tempfile::tempdir().unwrap();
    std::fs::copy(backup, restored.path().join(STORE)).unwrap();
    let url = sqlite_in(restored.path());
    let mut store = url.open().unwrap();
    assert_eq!(stored(&url), expected);
    store.append(&[submission(4, MONDAY)]).unwrap();
    store.fold().unwrap();
    assert_eq!(stored(&url).iter().map(|(.., starts)| starts).sum::<u64>(), 3);
}

#[test]
fn a_backup_that_fails_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let url = sqlite_in(directory.path());
    let mut store = url.open().unwrap();
    store.append(&[submission(1, MONDAY)]).unwrap();
    for file in [STORE, INBOX, "events.db-wal"] {
        let result = store.back_up(&directory.path().join(file));
        assert!(matches!(result, Err(StoreError::BackupReplacesStore(_))), "{file}: {result:?}");
    }
    // Another process is writing a backup to the same file.
    let (backup, part) = (directory.path().join("backup.db"), directory.path().join("backup.db.part"));
    std::fs::write(&backup, "earlier").unwrap();
    std::fs::write(&part, "incomplete").unwrap();
    assert!(matches!(store.back_up(&backup), Err(StoreError::BackupRunning(_))));
    assert_eq!([backup, part].map(|path| std::fs::read_to_string(path).unwrap()), ["earlier", "incomplete"]);
    let missing = store.back_up(&directory.path().join("missing/backup.db"));
    assert!(matches!(missing, Err(StoreError::Backup { .. })), "{missing:?}");
    assert_eq!(stored(&url).len(), 1);
}

/// Root may run a command before the service has created its inbox, as after a restore. The test of the installed package checks the same.
#[test]
#[ignore = "needs root: gives a file to another user"]
fn an_inbox_has_the_owner_of_the_main_file() {
    let directory = tempfile::tempdir().unwrap();
    let url = sqlite_in(directory.path());
    drop(url.open().unwrap());
    let owner = |file: &str| std::fs::metadata(directory.path().join(file)).unwrap().uid();
    std::os::unix::fs::chown(directory.path().join(STORE), Some(65534), Some(65534)).unwrap();
    std::fs::remove_file(directory.path().join(INBOX)).unwrap();
    drop(url.open_existing().unwrap());
    assert_eq!(owner(INBOX), owner(STORE));
}

/// Other operations fold as well. `fold` also returns the repetitions that they found.
#[test]
fn every_repetition_is_reported_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = sqlite_in(directory.path()).open().unwrap();
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
    let url = sqlite_in(directory.path());
    let mut store = url.open().unwrap();
    let inbox = rusqlite::Connection::open(directory.path().join(INBOX)).unwrap();
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
    let mut store = sqlite_in(directory.path()).open().unwrap();
    let ids = || -> u32 {
        let file = rusqlite::Connection::open(directory.path().join(STORE)).unwrap();
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

#[tokio::test]
async fn a_receiver_that_is_stopped_at_once_creates_no_files_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let events = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listeners = Listeners { events, report: None, metrics: None };
    let options = Options::new(fixed_clock(noon()));
    prehog::serve(listeners, sqlite_in(directory.path()), options, async {}).await.unwrap();
    assert!(directory.path().join(STORE).exists());
    directory.close().unwrap();
}
