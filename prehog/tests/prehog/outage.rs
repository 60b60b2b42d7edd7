//! A store that is locked, broken, full or away: senders are told so, nothing is acknowledged that is not stored, and
//! the receiver recovers by itself.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prehog::Options;
use prehog::day::Day;
use prehog::store::StoreUrl;
use rusqlite::Connection;

use crate::lab::{Program, Receiver, body, client, id, noon, refusal, still, stored, submit};

async fn is_unavailable(receiver: &Receiver, number: u64) {
    let (status, code, _) = refusal(receiver.submit(&body(&id(number))).await).await;
    assert_eq!((status, code.as_str()), (503, "unavailable"));
}

fn file(receiver: &Receiver) -> Connection {
    Connection::open(receiver.folder.path().join("events.db")).unwrap()
}

#[tokio::test]
async fn a_locked_store_is_unavailable_until_it_is_free() {
    let receiver = Receiver::start().await;
    let other = file(&receiver);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    is_unavailable(&receiver, 1).await;
    assert_eq!(receiver.get("/readyz").await.0, 503);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(receiver.submit(&body(&id(1))).await.status(), 200);
    assert_eq!(receiver.stored()[0].2, 1);
    receiver.stop().await;
}

/// Storing needs no more than the journal. What cannot be counted then is lost by nobody, and nothing more is taken.
#[tokio::test]
async fn a_store_that_cannot_count_takes_no_more_until_it_can() {
    for broken in ["starts", "tallies", "ids_odd", "ids_of"] {
        let receiver = Receiver::start().await;
        let other = file(&receiver);
        other.execute_batch(&format!("ALTER TABLE {broken} RENAME TO away")).unwrap();
        assert_eq!(receiver.submit(&body(&id(1))).await.status(), 200);
        while receiver.get("/readyz").await.0 == 200 {
            tokio::task::yield_now().await;
        }
        is_unavailable(&receiver, 2).await;
        other.execute_batch(&format!("ALTER TABLE away RENAME TO {broken}")).unwrap();
        assert_eq!(receiver.submit(&body(&id(2))).await.status(), 200);
        assert_eq!(receiver.stored()[0].2, 2, "{broken}");
        receiver.stop().await;
    }
}

#[tokio::test]
async fn a_store_that_refuses_to_write_is_unavailable_until_it_does() {
    let receiver = Receiver::start().await;
    let other = file(&receiver);
    other
        .execute_batch("CREATE TRIGGER refuse BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'no'); END")
        .unwrap();
    is_unavailable(&receiver, 1).await;
    other.execute_batch("DROP TRIGGER refuse").unwrap();
    assert_eq!(receiver.submit(&body(&id(1))).await.status(), 200);
    assert_eq!(receiver.stored()[0].2, 1);
    receiver.stop().await;
}

/// In the middle of folding, after the ids and the starts: all of it is undone, and no id is taken for a repetition.
#[test]
fn folding_happens_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let url = StoreUrl::Sqlite(path.clone());
    let mut store = url.open().unwrap();
    let other = Connection::open(path).unwrap();
    let batch: Vec<_> = (0..50).map(|number| prehog::load::submission(1, number, Day(20_000))).collect();
    store.append(&batch).unwrap();
    other
        .execute_batch("CREATE TRIGGER refuse BEFORE INSERT ON tallies BEGIN SELECT RAISE(ABORT, 'no'); END")
        .unwrap();
    store.fold().unwrap_err();
    let count = |sql: &str| other.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT (SELECT COUNT(*) FROM ids_even) + (SELECT COUNT(*) FROM starts)"), 0);
    assert_eq!(count("SELECT COUNT(*) FROM journal"), 50);
    other.execute_batch("DROP TRIGGER refuse").unwrap();
    assert_eq!(store.fold().unwrap(), 0);
    assert_eq!(stored(&url).iter().map(|(_, _, count)| count).sum::<u64>(), 50);
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
