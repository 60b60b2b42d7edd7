//! A store that is locked, broken, full or away: senders are told so, nothing is acknowledged that is not stored, and
//! the receiver recovers by itself.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use prehog::Options;
use prehog::day::Day;
use prehog::load::submission;
use prehog::start::Submission;
use prehog::store::StoreUrl;
use rusqlite::Connection;

use crate::lab::{Program, Receiver, body, client, id, noon, permit, refusal, still, stored, submit};
use crate::stores::clickhouse;

async fn is_unavailable(receiver: &Receiver, number: u64) {
    let (status, code, _) = refusal(receiver.submit(&body(&id(number))).await).await;
    assert_eq!((status, code.as_str()), (503, "unavailable"));
}

/// The store's file, or the one of its inbox.
fn file(receiver: &Receiver, name: &str) -> Connection {
    Connection::open(receiver.folder.path().join(name)).unwrap()
}

const STORE: &str = "events.db";
const INBOX: &str = "events.db.inbox";

#[tokio::test]
async fn a_locked_store_is_unavailable_until_it_is_free() {
    let receiver = Receiver::start().await;
    let other = file(&receiver, INBOX);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    is_unavailable(&receiver, 1).await;
    assert_eq!(receiver.get("/readyz").await.0, 503);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(receiver.submit(&body(&id(1))).await.status(), 200);
    assert_eq!(receiver.stored()[0].2, 1);
    receiver.stop().await;
}

#[tokio::test]
async fn a_store_that_refuses_to_write_is_unavailable_until_it_does() {
    let receiver = Receiver::start().await;
    let other = file(&receiver, INBOX);
    for parity in ["odd", "even"] {
        other
            .execute_batch(&format!(
                "CREATE TRIGGER refuse_{parity} AFTER INSERT ON arrived_{parity} BEGIN SELECT RAISE(ABORT, 'no'); END"
            ))
            .unwrap();
    }
    is_unavailable(&receiver, 1).await;
    other.execute_batch("DROP TRIGGER refuse_odd; DROP TRIGGER refuse_even").unwrap();
    assert_eq!(receiver.submit(&body(&id(1))).await.status(), 200);
    assert_eq!(receiver.stored()[0].2, 1);
    receiver.stop().await;
}

/// Storing needs no more than the inbox. What cannot be counted now is counted when it can be.
#[tokio::test]
async fn what_cannot_be_counted_yet_is_stored() {
    for broken in ["starts", "tallies", "ids_odd", "folded"] {
        let receiver = Receiver::start().await;
        let other = file(&receiver, STORE);
        other.execute_batch(&format!("ALTER TABLE {broken} RENAME TO away")).unwrap();
        assert_eq!(receiver.submit(&body(&id(1))).await.status(), 200);
        receiver.wait_for("prehog_keeper_up", |is_up| is_up == 0).await;
        assert_eq!(receiver.submit(&body(&id(2))).await.status(), 200);
        other.execute_batch(&format!("ALTER TABLE away RENAME TO {broken}")).unwrap();
        receiver.wait_for("prehog_keeper_up", |is_up| is_up == 1).await;
        assert_eq!(receiver.stored()[0].2, 2, "{broken}");
        receiver.stop().await;
    }
}

fn batch(numbers: std::ops::Range<u64>) -> Vec<Submission> {
    numbers.map(|number| submission(1, number, Day(20_000))).collect()
}

#[test]
fn what_cannot_be_counted_does_not_pile_up_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::Sqlite(folder.path().join(STORE));
    let mut store = url.open().unwrap();
    let other = Connection::open(folder.path().join(STORE)).unwrap();
    other.execute_batch("ALTER TABLE tallies RENAME TO away").unwrap();
    let mut taken = 0;
    let (count, most) = (20_000, 400_000);
    while taken < most && store.append(&batch(taken..taken + count)).is_ok() {
        taken += count;
    }
    assert!(taken < most, "it takes everything");
    other.execute_batch("ALTER TABLE away RENAME TO tallies").unwrap();
    store.append(&batch(taken..taken + count)).unwrap();
    assert_eq!(stored(&url).iter().map(|(_, _, count)| count).sum::<u64>(), taken + count);
}

/// In the middle of folding, after the ids and the starts: all of it is undone, and no id is taken for a repetition.
#[test]
fn folding_happens_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(STORE);
    let url = StoreUrl::Sqlite(path.clone());
    let mut store = url.open().unwrap();
    let other = Connection::open(path).unwrap();
    store.append(&batch(0..50)).unwrap();
    other
        .execute_batch("CREATE TRIGGER refuse BEFORE INSERT ON tallies BEGIN SELECT RAISE(ABORT, 'no'); END")
        .unwrap();
    store.fold().unwrap_err();
    let count = |sql: &str| other.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT (SELECT COUNT(*) FROM ids_even) + (SELECT COUNT(*) FROM starts)"), 0);
    // It closed the epoch: what comes now is in the next one.
    store.append(&batch(50..80)).unwrap();
    other.execute_batch("DROP TRIGGER refuse").unwrap();
    assert_eq!(store.fold().unwrap(), 0);
    assert_eq!(stored(&url).iter().map(|(_, _, count)| count).sum::<u64>(), 80);
}

/// Killed after an epoch was counted and before it was removed: it is removed, and not counted again.
#[test]
fn an_epoch_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::Sqlite(folder.path().join(STORE));
    let mut store = url.open().unwrap();
    let inbox = Connection::open(folder.path().join(INBOX)).unwrap();
    let execute = |sql: &str| inbox.execute_batch(sql).unwrap();
    store.append(&batch(0..50)).unwrap();
    execute("CREATE TABLE kept AS SELECT * FROM arrived_odd");
    assert_eq!(store.fold().unwrap(), 0);
    execute("INSERT INTO arrived_odd SELECT * FROM kept");
    store.append(&batch(50..60)).unwrap();
    // Its ids would tell as well, but nobody asks them.
    assert_eq!(store.fold().unwrap(), 0);
    assert_eq!(stored(&url).iter().map(|(_, _, count)| count).sum::<u64>(), 60);
    assert_eq!(inbox.query_row("SELECT COUNT(*) FROM arrived_odd", [], |row| row.get::<_, i64>(0)), Ok(0));
}

/// The inbox of another time beside the store, or none, as after a copy was put back: what is stored from then on counts.
#[test]
fn a_store_without_its_inbox_begins_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::Sqlite(folder.path().join(STORE));
    for number in 0..6 {
        let mut store = url.open().unwrap();
        store.append(&batch(number * 10..number * 10 + 10)).unwrap();
        store.fold().unwrap();
        drop(store);
        if number % 2 == 0 {
            std::fs::remove_file(folder.path().join(INBOX)).unwrap();
        }
    }
    assert_eq!(stored(&url).iter().map(|(_, _, count)| count).sum::<u64>(), 60);
}

/// A full disk: the limit on the size of files makes writing fail, and is lifted while the program runs.
#[tokio::test]
async fn a_full_disk_is_unavailable_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start_with_room(folder.path(), 256 * 1024);
    let client = client();
    let mut acknowledged = 0;
    let mut number = 0;
    loop {
        let mut event = body(&id(number));
        event["start"]["destinationsKubernetes"] = number.into();
        let answer = submit(&client, program.address, &event).await;
        if answer.status() != 200 {
            assert_eq!(refusal(answer).await.1, "unavailable");
            break;
        }
        acknowledged += 1;
        number += 1;
        assert!(number < 10_000, "there is always room");
    }
    let lifted = std::process::Command::new("prlimit")
        .args(["--pid", &program.pid().to_string(), "--fsize=unlimited"])
        .status()
        .unwrap();
    assert!(lifted.success());
    // The one that was refused, and more.
    for number in number..number + 50 {
        let mut event = body(&id(number));
        event["start"]["destinationsKubernetes"] = number.into();
        assert_eq!(submit(&client, program.address, &event).await.status(), 200);
        acknowledged += 1;
    }
    let store = StoreUrl::Sqlite(folder.path().join("events.db"));
    let all = stored(&store);
    assert!(all.iter().all(|(_, _, count)| *count == 1));
    assert_eq!(all.len(), acknowledged);
}

/// A file that is read-only when the program begins. Without the inbox nothing is acknowledged until it can be written to;
/// the store's own file is needed for counting only.
#[tokio::test]
async fn a_read_only_file_acknowledges_nothing_that_is_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let client = client();
    let program = Program::start_bound(folder.path());
    assert_eq!(submit(&client, program.address, &body(&id(1))).await.status(), 200);
    program.kill();
    for (name, number, while_read_only) in [(INBOX, 2, 503), (STORE, 3, 200)] {
        // SQLite gives what it makes beside a file the permissions of the file.
        let allow = |mode| {
            for made in ["", "-wal", "-shm"] {
                permit(&folder.path().join(format!("{name}{made}")), mode);
            }
        };
        allow(0o444);
        let program = Program::start_bound(folder.path());
        let submit = || async { submit(&client, program.address, &body(&id(number))).await.status() };
        let ready = || async {
            client.get(format!("http://{}/readyz", program.address)).send().await.unwrap().status()
        };
        assert_eq!(submit().await, while_read_only, "{name}");
        assert_eq!(ready().await, 503, "{name}");
        assert!(program.log().contains("attempt to write a readonly database"), "{}", program.log());
        allow(0o666);
        assert_eq!(submit().await, 200, "{name}");
        program.kill();
    }
    assert_eq!(stored(&StoreUrl::Sqlite(folder.path().join(STORE)))[0].2, 3);
}

/// Two receivers on one file, as while one replaces the other.
#[tokio::test]
async fn two_receivers_share_a_file() {
    let one = Receiver::start().await;
    let two = Receiver::start_on(
        tempfile::tempdir().unwrap(),
        one.store.clone(),
        Options { rate_limit: 0, ..Options::new(still(noon())) },
    )
    .await;
    for number in 0..10 {
        assert_eq!(one.submit(&body(&id(number))).await.status(), 200);
        assert_eq!(two.submit(&body(&id(number))).await.status(), 200);
    }
    assert_eq!(one.stored()[0].2, 10);
    one.stop().await;
    two.stop().await;
}

/// A ClickHouse server that is away, then refuses, then takes what it is given.
#[tokio::test]
async fn a_server_that_comes_later_is_used_then() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let well = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&well);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 16 * 1024];
            // One read has all of so small a request, on loopback.
            let _ = stream.read(&mut request);
            let answer: &[u8] = if is_well.load(Ordering::SeqCst) {
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            } else {
                b"HTTP/1.1 500 Oh\r\nContent-Length: 29\r\nConnection: close\r\n\r\nCode: 999, it is read-only now"
            };
            let _ = stream.write_all(answer);
        }
    });
    let store: StoreUrl = format!("clickhouse:http://{address}/prehog").parse().unwrap();
    let options = Options { rate_limit: 0, ..Options::new(still(noon())) };
    let receiver = Receiver::start_on(tempfile::tempdir().unwrap(), store, options).await;
    is_unavailable(&receiver, 1).await;
    assert_eq!(receiver.get("/readyz").await.0, 503);
    assert_eq!(receiver.get("/livez").await.0, 200);
    well.store(true, Ordering::SeqCst);
    assert_eq!(receiver.submit(&body(&id(1))).await.status(), 200);
    receiver.stop().await;
}

/// A ClickHouse server that stores but does not say so in time: nothing is acknowledged, and what is sent again counts once.
#[tokio::test]
async fn a_slow_server_is_unavailable_until_it_answers() {
    let Some(url) = clickhouse("slow") else { return };
    let (server, database) = url.rsplit_once('/').unwrap();
    let way = Way::to(server.strip_prefix("http://").unwrap());
    let store: StoreUrl = format!("clickhouse:http://{}/{database}", way.address).parse().unwrap();
    let options = Options { rate_limit: 0, ..Options::new(still(noon())) };
    let receiver = Receiver::start_on(tempfile::tempdir().unwrap(), store, options).await;
    assert_eq!(receiver.submit(&body(&id(1))).await.status(), 200);
    way.hold(true);
    is_unavailable(&receiver, 2).await;
    assert_eq!(receiver.get("/readyz").await.0, 503);
    way.hold(false);
    assert_eq!(receiver.submit(&body(&id(2))).await.status(), 200);
    assert_eq!(receiver.stored().iter().map(|(_, _, count)| count).sum::<u64>(), 2);
    receiver.stop().await;
}

/// A way to a server on which its answers can be held back.
struct Way {
    address: SocketAddr,
    held: Arc<(Mutex<bool>, Condvar)>,
}

impl Way {
    fn to(server: &str) -> Self {
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let held = Arc::new((Mutex::new(false), Condvar::new()));
        let of_answers = Arc::clone(&held);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let far = TcpStream::connect(&server).unwrap();
                let (mut asked, mut asks) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                // Either end may go away at any time.
                std::thread::spawn(move || drop(std::io::copy(&mut asked, &mut asks)));
                let held = Arc::clone(&of_answers);
                std::thread::spawn(move || drop(answer(far, near, &held)));
            }
        });
        Self { address, held }
    }

    fn hold(&self, hold: bool) {
        *self.held.0.lock().unwrap() = hold;
        self.held.1.notify_all();
    }
}

fn answer(mut far: TcpStream, mut near: TcpStream, held: &(Mutex<bool>, Condvar)) -> std::io::Result<()> {
    let mut bytes = [0; 16 * 1024];
    loop {
        let count = far.read(&mut bytes)?;
        if count == 0 {
            return near.shutdown(std::net::Shutdown::Write);
        }
        drop(held.1.wait_while(held.0.lock().unwrap(), |held| *held).unwrap());
        near.write_all(&bytes[..count])?;
    }
}
