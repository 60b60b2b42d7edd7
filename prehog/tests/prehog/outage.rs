//! A store that is locked, broken, full or unreachable: senders get an error, no event is acknowledged unless it is stored,
//! and the receiver recovers without a restart.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use prehog::Options;
use prehog::day::Day;
use prehog::start::Submission;
use prehog::store::StoreUrl;
use rusqlite::Connection;

use crate::fixture::{
    INBOX, STORE, ServeProcess, TestReceiver, body, client, connect_error, fixed_clock, noon, set_mode,
    sqlite_in, stored, submit, uuid, wait_until,
};
use crate::sqlite_folding::batch;

async fn assert_unavailable(receiver: &TestReceiver, number: u64) {
    let (status, code, _) = connect_error(receiver.submit(&body(&uuid(number))).await).await;
    assert_eq!((status, code.as_str()), (503, "unavailable"));
}

/// Opens another connection to a file of the store.
fn connect(receiver: &TestReceiver, file: &str) -> Connection {
    Connection::open(receiver.directory.path().join(file)).unwrap()
}

#[tokio::test]
async fn a_locked_store_is_unavailable_until_it_is_unlocked() {
    let receiver = TestReceiver::start().await;
    let other = connect(&receiver, INBOX);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_unavailable(&receiver, 1).await;
    assert_eq!(receiver.get("/readyz").await.0, 503);
    receiver.wait_for("prehog_store_up", |is_up| is_up == 0).await;
    other.execute_batch("ROLLBACK").unwrap();
    // Without another event or request.
    receiver.wait_for("prehog_store_up", |is_up| is_up == 1).await;
    assert_eq!(receiver.submit(&body(&uuid(1))).await.status(), 200);
    assert_eq!(receiver.stored()[0].2, 1);
    receiver.stop().await;
}

/// Storing needs only the inbox, so a receiver is ready while a day is counted or a week is removed.
#[tokio::test]
async fn a_receiver_is_ready_while_the_store_is_maintained() {
    let receiver = TestReceiver::start().await;
    let other = connect(&receiver, STORE);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Maintenance waits for the lock.
    assert_eq!(receiver.submit(&body(&uuid(1))).await.status(), 200);
    receiver.wait_for("prehog_maintenance_up", |is_up| is_up == 0).await;
    assert_eq!(receiver.submit(&body(&uuid(2))).await.status(), 200);
    assert_eq!(receiver.get("/readyz").await.0, 200);
    other.execute_batch("ROLLBACK").unwrap();
    receiver.stop().await;
}

/// An outage is noticed without an event if something asks whether the receiver is ready.
#[tokio::test]
async fn a_probe_notices_an_outage() {
    let receiver = TestReceiver::start().await;
    let path = |name: &str| receiver.directory.path().join(name);
    std::fs::rename(path(STORE), path("away")).unwrap();
    wait_until("the store is not ready", async || receiver.get("/readyz").await.0 == 503).await;
    assert_eq!(receiver.metric("prehog_store_up").await, 0);
    std::fs::rename(path("away"), path(STORE)).unwrap();
    receiver.wait_for("prehog_store_up", |is_up| is_up == 1).await;
    receiver.stop().await;
}

#[tokio::test]
async fn a_store_that_fails_to_write_is_unavailable_until_it_recovers() {
    let receiver = TestReceiver::start().await;
    let other = connect(&receiver, INBOX);
    for parity in ["odd", "even"] {
        other
            .execute_batch(&format!(
                "CREATE TRIGGER refuse_{parity} AFTER INSERT ON arrived_{parity} BEGIN SELECT RAISE(ABORT, 'no'); END"
            ))
            .unwrap();
    }
    assert_unavailable(&receiver, 1).await;
    other.execute_batch("DROP TRIGGER refuse_odd; DROP TRIGGER refuse_even").unwrap();
    assert_eq!(receiver.submit(&body(&uuid(1))).await.status(), 200);
    assert_eq!(receiver.stored()[0].2, 1);
    receiver.stop().await;
}

/// Storing needs only the inbox. Events that cannot be counted now are counted later.
#[tokio::test]
async fn events_that_cannot_be_counted_yet_are_stored() {
    let break_table = async |broken: &str| {
        let receiver = TestReceiver::start().await;
        let other = connect(&receiver, STORE);
        // Otherwise, the first removal could fail, which is retried only after an hour.
        let is_maintained = || other.query_row("SELECT count(*) FROM maintained_days", [], |row| row.get(0));
        wait_until("the first removal", async || is_maintained().unwrap()).await;
        other.execute_batch(&format!("ALTER TABLE {broken} RENAME TO away")).unwrap();
        assert_eq!(receiver.submit(&body(&uuid(1))).await.status(), 200);
        receiver.wait_for("prehog_maintenance_up", |is_up| is_up == 0).await;
        assert_eq!(receiver.submit(&body(&uuid(2))).await.status(), 200);
        other.execute_batch(&format!("ALTER TABLE away RENAME TO {broken}")).unwrap();
        receiver.wait_for("prehog_maintenance_up", |is_up| is_up == 1).await;
        assert_eq!(receiver.stored()[0].2, 2, "{broken}");
        receiver.stop().await;
    };
    tokio::join!(
        break_table("starts"),
        break_table("tallies"),
        break_table("ids_day"),
        break_table("folded")
    );
}

/// Data that does not expire is reported, although events are still counted.
#[tokio::test]
async fn data_that_cannot_be_removed_is_reported() {
    let break_table = async |broken: &str, statement: &str| {
        let directory = tempfile::tempdir().unwrap();
        let url = sqlite_in(directory.path());
        let today = Day::of(noon());
        let mut store = url.open().unwrap();
        for ago in (1..10).rev() {
            store.record_maintenance(today.plus(-ago)).unwrap();
        }
        // A start that has expired, and an id of a clock that was ahead.
        store.append(&batch(0..1)).unwrap();
        store.append(&[Submission { day: today.plus(30), ..batch(1..2).remove(0) }]).unwrap();
        store.fold().unwrap();
        drop(store);
        Connection::open(directory.path().join(STORE)).unwrap().execute_batch(statement).unwrap();
        let options = Options {
            rate_limit: 0,
            retain_days: std::num::NonZeroU32::new(30),
            ..Options::new(fixed_clock(noon()))
        };
        let receiver = TestReceiver::start_on(directory, url, options).await;
        receiver.wait_for("prehog_maintenance_up", |is_up| is_up == 0).await;
        // The table is needed only for the removal, except for the days of ids.
        if broken != "ids_day" {
            assert_eq!(receiver.submit(&body(&uuid(5))).await.status(), 200);
            wait_until("the event is counted", async || inbox_is_empty(&receiver)).await;
        }
        assert_eq!(receiver.metric("prehog_maintenance_up").await, 0, "{broken}");
        receiver.stop().await;
    };
    tokio::join!(
        break_table("maintained_days", "ALTER TABLE maintained_days RENAME TO away"),
        break_table(
            "ids_day",
            "CREATE TRIGGER refuse BEFORE UPDATE ON ids_day BEGIN SELECT RAISE(ABORT, 'no'); END"
        ),
        break_table(
            "starts",
            "CREATE TRIGGER refuse BEFORE DELETE ON starts BEGIN SELECT RAISE(ABORT, 'no'); END"
        ),
    );
}

fn inbox_is_empty(receiver: &TestReceiver) -> bool {
    let rows = "SELECT (SELECT count(*) FROM arrived_even) + (SELECT count(*) FROM arrived_odd)";
    connect(receiver, INBOX).query_row(rows, [], |row| row.get::<_, u32>(0)).unwrap() == 0
}

/// Simulates a full disk with a limit on the size of files, which is lifted while the program runs.
#[tokio::test]
async fn a_store_on_a_full_disk_is_unavailable_until_there_is_space() {
    let directory = tempfile::tempdir().unwrap();
    let process = ServeProcess::start_with_file_size_limit(directory.path(), 256 * 1024);
    let client = client();
    let mut acknowledged = 0;
    let mut number = 0;
    loop {
        let mut event = body(&uuid(number));
        event["start"]["destinationsKubernetes"] = number.into();
        let response = submit(&client, process.address, &event).await;
        if response.status() != 200 {
            assert_eq!(connect_error(response).await.1, "unavailable");
            // The receiver may already be ready again: closing the files makes a little space in a log.
            break;
        }
        acknowledged += 1;
        number += 1;
        assert!(number < 10_000, "the limit has no effect");
    }
    let lifted = std::process::Command::new("prlimit")
        .args(["--pid", &process.pid().to_string(), "--fsize=unlimited"])
        .status()
        .unwrap();
    assert!(lifted.success());
    // The event that failed, and more.
    for number in number..number + 50 {
        let mut event = body(&uuid(number));
        event["start"]["destinationsKubernetes"] = number.into();
        assert_eq!(submit(&client, process.address, &event).await.status(), 200);
        acknowledged += 1;
    }
    let store = sqlite_in(directory.path());
    let all = stored(&store);
    assert!(all.iter().all(|(_, _, count)| *count == 1));
    assert_eq!(all.len(), acknowledged);
}

/// A store that has reached its maximum size rejects events until some are removed, although its files do not shrink.
#[tokio::test]
async fn a_store_over_its_maximum_size_is_full_until_starts_are_removed() {
    let options = Options { rate_limit: 0, max_store_bytes: 1 << 20, ..Options::new(fixed_clock(noon())) };
    let receiver = TestReceiver::start_with(options).await;
    let mut store = receiver.store.open_existing().unwrap();
    assert_eq!(receiver.submit(&body(&uuid(0))).await.status(), 200);
    store.append(&batch(0..20_000)).unwrap();
    let status_is = async |expected: u16| {
        let response = receiver.submit(&body(&uuid(1))).await;
        let status = response.status().as_u16();
        if status != 200 {
            assert_eq!(connect_error(response).await.1, "resource_exhausted");
        }
        status == expected
    };
    wait_until("the store is full", async || status_is(429).await).await;
    assert!(receiver.metric("prehog_events_total{result=\"unavailable\"}").await > 0);
    wait_until("the store is not ready", async || receiver.get("/readyz").await.0 == 503).await;
    store.remove_before(Day(20_001)).unwrap();
    store.forget_ids(Day(20_003)).unwrap();
    wait_until("the store has space", async || status_is(200).await).await;
    receiver.stop().await;
}

/// A file that is read-only when the program starts. While the inbox is read-only, no event is acknowledged; the other file is
/// needed only for counting.
#[tokio::test]
async fn no_event_is_acknowledged_while_the_inbox_is_read_only() {
    let directory = tempfile::tempdir().unwrap();
    let client = client();
    let process = ServeProcess::start_unprivileged(directory.path());
    assert_eq!(submit(&client, process.address, &body(&uuid(1))).await.status(), 200);
    process.terminate();
    process.wait_for_exit();
    for (name, number, while_read_only) in [(INBOX, 2, 503), (STORE, 3, 200)] {
        // SQLite gives its auxiliary files the permissions of the main file.
        let set_modes = |mode| {
            for suffix in ["", "-wal", "-shm"] {
                let path = directory.path().join(format!("{name}{suffix}"));
                if path.exists() {
                    set_mode(&path, mode);
                }
            }
        };
        set_modes(0o444);
        let process = ServeProcess::start_unprivileged(directory.path());
        let submit = || async { submit(&client, process.address, &body(&uuid(number))).await.status() };
        let ready = || async {
            client.get(format!("http://{}/readyz", process.address)).send().await.unwrap().status()
        };
        assert_eq!(submit().await, while_read_only, "{name}");
        // While another thread opens the file, it counts as busy, not as read-only.
        wait_until("the store is not ready", async || ready().await == 503).await;
        let is_logged = || process.log().contains("attempt to write a readonly database");
        wait_until("the reason is logged", async || is_logged()).await;
        set_modes(0o666);
        // Another thread may have the read-only files open for a moment.
        wait_until("recovery", async || submit().await == 200).await;
        process.terminate();
        process.wait_for_exit();
    }
    assert_eq!(stored(&sqlite_in(directory.path()))[0].2, 3);
}

/// A store whose files are deleted, moved or replaced while the program runs: no event is acknowledged that nobody could read
/// later. The program uses the files again once they are back, but never creates an empty store instead.
#[tokio::test]
async fn files_that_are_deleted_or_replaced_are_noticed() {
    for (name, replacement) in
        [(STORE, None), (STORE, Some("copy")), ("events.db-wal", None), ("events.db-shm", None)]
    {
        let receiver = TestReceiver::start().await;
        let directory = receiver.directory.path();
        let path = |name: &str| directory.join(name);
        assert_eq!(receiver.submit(&body(&uuid(1))).await.status(), 200);
        // A copy that is made while the logs are moved into the files would be torn.
        let is_at_rest = || {
            ["events.db-wal", "events.db.inbox-wal"]
                .iter()
                .all(|log| path(log).metadata().unwrap().len() == 0)
        };
        wait_until("the event is counted and the logs are empty", async || is_at_rest()).await;
        if replacement.is_some() {
            std::fs::copy(path(name), path("copy")).unwrap();
        }
        std::fs::rename(path(name), path("away")).unwrap();
        if let Some(replacement) = replacement {
            std::fs::rename(path(replacement), path(name)).unwrap();
        }
        assert_unavailable(&receiver, 2).await;
        if name == STORE && replacement.is_none() {
            assert_unavailable(&receiver, 3).await;
            // The result of an earlier probe may be reused for a moment.
            wait_until("the store is not ready", async || receiver.get("/readyz").await.0 == 503).await;
            assert!(!path(name).exists());
            std::fs::rename(path("away"), path(name)).unwrap();
        }
        let recovery = format!("recovery without {name}, replaced by {replacement:?}");
        wait_until(&recovery, async || receiver.submit(&body(&uuid(2))).await.status() == 200).await;
        receiver.stop().await;
    }
}

/// Whatever the umask, only the owner can read the files of a store.
#[tokio::test]
async fn files_of_a_store_are_private() {
    for umask in ["000", "027", "077"] {
        let directory = tempfile::tempdir().unwrap();
        let process = ServeProcess::start_with_umask(directory.path(), umask);
        assert_eq!(submit(&client(), process.address, &body(&uuid(1))).await.status(), 200);
        let mut modes = std::collections::BTreeMap::new();
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with(STORE) {
                modes.insert(name, entry.metadata().unwrap().permissions().mode() & 0o777);
            }
        }
        assert!(modes.len() >= 6 && modes.values().all(|mode| *mode == 0o600), "{umask}: {modes:?}");
    }
}

/// As during the replacement of one receiver by another.
#[tokio::test]
async fn two_receivers_share_a_file() {
    let one = TestReceiver::start().await;
    let two = TestReceiver::start_on(
        tempfile::tempdir().unwrap(),
        one.store.clone(),
        Options { rate_limit: 0, ..Options::new(fixed_clock(noon())) },
    )
    .await;
    for number in 0..10 {
        assert_eq!(one.submit(&body(&uuid(number))).await.status(), 200);
        assert_eq!(two.submit(&body(&uuid(number))).await.status(), 200);
    }
    assert_eq!(one.stored()[0].2, 10);
    one.stop().await;
    two.stop().await;
}

/// Starts a server that takes requests of ClickHouse. It accepts those for which `accepts` returns true.
fn clickhouse_server(accepts: impl Fn(&str) -> bool + Send + 'static) -> StoreUrl {
    clickhouse_server_that_may_hang(accepts, |_| false)
}

/// Like `clickhouse_server`. It never responds to requests for which `hangs` returns true.
fn clickhouse_server_that_may_hang(
    accepts: impl Fn(&str) -> bool + Send + 'static,
    hangs: impl Fn(&str) -> bool + Send + 'static,
) -> StoreUrl {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut hanging = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 16 * 1024];
            // On loopback, one read gets a whole request of this size.
            let length = stream.read(&mut request).unwrap_or_default();
            let request = String::from_utf8_lossy(&request[..length]);
            if hangs(&request) {
                hanging.push(stream);
                continue;
            }
            let response: &[u8] = if accepts(&request) {
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            } else {
                b"HTTP/1.1 500 Error\r\nContent-Length: 29\r\nConnection: close\r\n\r\nCode: 999, it is read-only now"
            };
            let _ = stream.write_all(response);
        }
    });
    format!("clickhouse:http://{address}/prehog").parse().unwrap()
}

async fn receiver_on(store: StoreUrl) -> TestReceiver {
    let options = Options { rate_limit: 0, ..Options::new(fixed_clock(noon())) };
    TestReceiver::start_on(tempfile::tempdir().unwrap(), store, options).await
}

#[tokio::test]
async fn a_clickhouse_server_that_fails_at_first_is_used_once_it_works() {
    let works = Arc::new(AtomicBool::new(false));
    let server_works = Arc::clone(&works);
    let receiver = receiver_on(clickhouse_server(move |_| server_works.load(Ordering::SeqCst))).await;
    assert_unavailable(&receiver, 1).await;
    assert_eq!(receiver.get("/readyz").await.0, 503);
    assert_eq!(receiver.get("/livez").await.0, 200);
    works.store(true, Ordering::SeqCst);
    assert_eq!(receiver.submit(&body(&uuid(1))).await.status(), 200);
    receiver.stop().await;
}

/// As on a full disk: queries succeed. The receiver stays ready, so that senders find out when events are stored again, but the
/// alert must not end.
#[tokio::test]
async fn a_clickhouse_server_that_answers_queries_but_refuses_events_is_reported_as_down() {
    let works = Arc::new(AtomicBool::new(false));
    let server_works = Arc::clone(&works);
    let accepts =
        move |request: &str| !request.contains("query=INSERT") || server_works.load(Ordering::SeqCst);
    let receiver = receiver_on(clickhouse_server(accepts)).await;
    assert_eq!(receiver.metric("prehog_store_up").await, 1);
    assert_unavailable(&receiver, 1).await;
    // The result of an earlier probe is reused for a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(receiver.get("/readyz").await.0, 200);
    assert_eq!(receiver.metric("prehog_store_up").await, 0);
    works.store(true, Ordering::SeqCst);
    assert_eq!(receiver.submit(&body(&uuid(1))).await.status(), 200);
    assert_eq!(receiver.metric("prehog_store_up").await, 1);
    receiver.stop().await;
}

/// Starts a receiver that has stored an event on a ClickHouse server, which then does not respond as long as the flag is set.
async fn receiver_whose_server_hangs() -> (TestReceiver, Arc<AtomicBool>) {
    let hangs = Arc::new(AtomicBool::new(false));
    let server_hangs = Arc::clone(&hangs);
    let server = clickhouse_server_that_may_hang(|_| true, move |_| server_hangs.load(Ordering::SeqCst));
    let receiver = receiver_on(server).await;
    assert_eq!(receiver.submit(&body(&uuid(1))).await.status(), 200);
    hangs.store(true, Ordering::SeqCst);
    (receiver, hangs)
}

/// As during a failover: connections are accepted, but nothing responds, not even while the store is opened again.
#[tokio::test]
async fn a_clickhouse_server_that_did_not_respond_is_used_soon_after_it_works() {
    let (receiver, hangs) = receiver_whose_server_hangs().await;
    // The insert, and then the statements that open the store again.
    assert_unavailable(&receiver, 2).await;
    assert_unavailable(&receiver, 3).await;
    hangs.store(false, Ordering::SeqCst);
    let started = Instant::now();
    wait_until("recovery", async || receiver.submit(&body(&uuid(4))).await.status() == 200).await;
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    receiver.stop().await;
}

/// The measurement of the store at the end is not worth the wait.
#[tokio::test]
async fn a_clickhouse_server_that_does_not_respond_to_maintenance_does_not_block_the_shutdown() {
    let (receiver, _hangs) = receiver_whose_server_hangs().await;
    let started = Instant::now();
    receiver.stop().await;
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

/// The program ends although the server that it connects to never responds.
#[test]
fn a_signal_ends_a_program_that_is_opening_its_store() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let store = format!("clickhouse:http://{}/prehog", server.local_addr().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let process = ServeProcess::spawn(directory.path(), &["--store", &store]);
    let (_connection, _) = server.accept().unwrap();
    process.terminate();
    assert_eq!(process.wait_for_exit(), Some(0));
}

mod on_clickhouse {
    use super::*;
    use crate::clickhouse::TestDatabase;

    /// A ClickHouse server that stores an event but does not respond in time: the event is not acknowledged, and counts once
    /// when it is sent again.
    #[tokio::test]
    #[ignore = "needs a ClickHouse server: .ci/clickhouse"]
    async fn a_slow_server_is_unavailable_until_it_responds() {
        let database = TestDatabase::on_clickhouse("slow");
        let proxy = DelayingProxy::start(database.server.strip_prefix("http://").unwrap());
        let store = format!("clickhouse:http://{}/{}", proxy.address, database.name);
        let store: StoreUrl = store.parse().unwrap();
        let options = Options { rate_limit: 0, ..Options::new(fixed_clock(noon())) };
        let receiver = TestReceiver::start_on(tempfile::tempdir().unwrap(), store, options).await;
        assert_eq!(receiver.submit(&body(&uuid(1))).await.status(), 200);
        proxy.set_paused(true);
        assert_unavailable(&receiver, 2).await;
        assert_eq!(receiver.get("/readyz").await.0, 503);
        proxy.set_paused(false);
        assert_eq!(receiver.submit(&body(&uuid(2))).await.status(), 200);
        assert_eq!(receiver.stored().iter().map(|(_, _, count)| count).sum::<u64>(), 2);
        receiver.stop().await;
    }

    /// A TCP proxy that can pause the responses of a server.
    struct DelayingProxy {
        address: SocketAddr,
        paused: Arc<(Mutex<bool>, Condvar)>,
    }

    impl DelayingProxy {
        fn start(server: &str) -> Self {
            let server = server.to_owned();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let paused = Arc::new((Mutex::new(false), Condvar::new()));
            let responses_paused = Arc::clone(&paused);
            std::thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    let server = TcpStream::connect(&server).unwrap();
                    let (mut requests, mut target) =
                        (client.try_clone().unwrap(), server.try_clone().unwrap());
                    // Errors are ignored: either side may close its connection at any time.
                    std::thread::spawn(move || drop(std::io::copy(&mut requests, &mut target)));
                    let paused = Arc::clone(&responses_paused);
                    std::thread::spawn(move || drop(copy_unless_paused(server, client, &paused)));
                }
            });
            Self { address, paused }
        }

        fn set_paused(&self, is_paused: bool) {
            *self.paused.0.lock().unwrap() = is_paused;
            self.paused.1.notify_all();
        }
    }

    fn copy_unless_paused(
        mut from: TcpStream,
        mut to: TcpStream,
        paused: &(Mutex<bool>, Condvar),
    ) -> std::io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let count = from.read(&mut buffer)?;
            if count == 0 {
                return to.shutdown(std::net::Shutdown::Write);
            }
            drop(paused.1.wait_while(paused.0.lock().unwrap(), |is_paused| *is_paused).unwrap());
            to.write_all(&buffer[..count])?;
        }
    }
}
