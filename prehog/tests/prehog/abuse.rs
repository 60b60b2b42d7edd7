//! Abuse: floods, slow clients, decompression bombs. Memory stays bounded, and valid requests are still served.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use prehog::Options;
use prehog::day::Day;
use prehog::limits::TrustedProxies;
use prehog::start::Submission;
use prehog::store::MAX_DISTINCT_VALUES;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::fixture::{
    SUBMIT_PATH, ServeProcess, TestReceiver, body, client, client_builder, connect_error, fixed_clock, noon,
    sqlite_in, start, stored, submit, uuid,
};

fn options() -> Options {
    Options { rate_limit: 0, ..Options::new(fixed_clock(noon())) }
}

/// Returns a client that connects from a loopback address.
fn client_from(address: &str) -> Client {
    let local: IpAddr = address.parse().unwrap();
    client_builder().local_address(local).build().unwrap()
}

async fn connect_from(local: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{local}:0").parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

async fn send(receiver: &TestReceiver, body: Vec<u8>, encoding: Option<&str>) -> (u16, String, String) {
    let mut request = client().post(receiver.url(SUBMIT_PATH)).header("Content-Type", "application/json");
    if let Some(encoding) = encoding {
        request = request.header("Content-Encoding", encoding);
    }
    connect_error(request.body(body).send().await.unwrap()).await
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_body_over_16_kib_is_rejected_before_and_after_decompression() {
    let receiver = TestReceiver::start().await;
    let large = vec![b' '; 16 * 1024 + 1];
    assert_eq!(send(&receiver, large.clone(), None).await.1, "resource_exhausted");
    let bomb = gzip(&vec![b' '; 10 << 20]);
    assert!(bomb.len() < 16 * 1024);
    assert_eq!(send(&receiver, bomb, Some("gzip")).await.1, "resource_exhausted");
    let request = client().post(receiver.url(SUBMIT_PATH)).header("Content-Type", "application/json");
    let small = gzip(body(&uuid(1)).to_string().as_bytes());
    assert_eq!(request.header("Content-Encoding", "gzip").body(small).send().await.unwrap().status(), 200);
    assert_eq!(receiver.metric("prehog_rejected_total{reason=\"size\"}").await, 2);
    receiver.stop().await;
}

/// A body in chunks that never ends is rejected when it exceeds the limit, not when all of it is in memory.
#[tokio::test]
async fn a_body_without_an_end_is_rejected_early() {
    const MOST: usize = 64 << 20;
    let directory = tempfile::tempdir().unwrap();
    let process = ServeProcess::start(directory.path(), &[]);
    let before = resident_kib(process.pid());
    let stream = TcpStream::connect(process.address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let sender = tokio::spawn(async move {
        let header = format!(
            "POST {SUBMIT_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
        writer.write_all(header.as_bytes()).await.unwrap();
        let mut sent = 0;
        // Fails when the receiver has closed the connection.
        while sent < MOST && writer.write_all(chunk.as_bytes()).await.is_ok() {
            sent += chunk.len();
        }
        sent
    });
    let mut response = vec![0; 4096];
    let length = reader.read(&mut response).await.unwrap();
    let response = String::from_utf8_lossy(&response[..length]).into_owned();
    assert!(response.starts_with("HTTP/1.1 429") && response.contains("resource_exhausted"), "{response}");
    drop(reader);
    assert!(sender.await.unwrap() < MOST);
    let after = resident_kib(process.pid());
    assert!(after < before + 16 * 1024, "{before} KiB grew to {after} KiB");
}

#[tokio::test]
async fn a_malformed_or_incomplete_body_is_invalid() {
    let receiver = TestReceiver::start().await;
    let header = format!(
        "POST {SUBMIT_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for (number, chunks) in
        ["zz\r\n", "2\r\n{}zz", "ffffffffffffffffff\r\n", "-1\r\n\r\n"].into_iter().enumerate()
    {
        let mut stream = TcpStream::connect(receiver.address).await.unwrap();
        stream.write_all(format!("{header}{chunks}").as_bytes()).await.unwrap();
        let mut response = vec![0; 4096];
        let length = stream.read(&mut response).await.unwrap();
        let response = String::from_utf8_lossy(&response[..length]).into_owned();
        assert!(
            response.starts_with("HTTP/1.1 400") && response.contains("invalid_argument"),
            "{chunks}: {response}"
        );
        let invalid = receiver.metric("prehog_invalid_total{reason=\"malformed\"}").await;
        assert_eq!(invalid, u64::try_from(number).unwrap() + 1);
    }
    receiver.stop().await;
}

/// Invented versions can neither fill the store nor the report. Versions that are already counted stay.
#[tokio::test]
async fn the_number_of_different_versions_is_limited() {
    let receiver = TestReceiver::start().await;
    let versions = (0..MAX_DISTINCT_VALUES).map(|number| format!("{number}.0.0"));
    let batch: Vec<Submission> = (0_u128..)
        .zip(versions)
        .map(|(id, version)| Submission {
            id: id.to_be_bytes(),
            day: Day::of(noon()),
            start: start(json!({ "run_mode": "one-shot", "version": version, "join_type": "token" })),
        })
        .collect();
    let mut store = receiver.store.open_existing().unwrap();
    store.append(&batch).unwrap();
    store.fold().unwrap();
    for (number, version) in [(1, "7.0.0"), (2, "9999.0.0")] {
        let mut event = body(&uuid(number));
        event["start"]["version"] = version.into();
        assert_eq!(receiver.submit(&event).await.status(), 200);
    }
    assert_eq!(receiver.metric("prehog_excess_values_total").await, 1);
    let stored = receiver.stored();
    let count = |version: &str| stored.iter().filter(|(_, event, _)| event["version"] == version).count();
    // The start with version 7.0.0 has another run mode.
    assert_eq!((count("7.0.0"), count("9999.0.0"), count("other")), (2, 0, 1));
    receiver.stop().await;
}

/// Every rejected connection gets the response, even if the body of its request is never read.
#[tokio::test]
async fn a_connection_over_the_limit_gets_an_error_and_is_closed() {
    let receiver = TestReceiver::start_with(Options { max_connections_per_client: 1, ..options() }).await;
    let _open = connect_from("127.0.0.6", receiver.address).await;
    receiver.wait_for("prehog_connections", |connections| connections >= 2).await;
    let body = " ".repeat(12 * 1024);
    let request = format!(
        "POST {SUBMIT_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut rejected = JoinSet::new();
    for _ in 0..100 {
        let mut stream = connect_from("127.0.0.6", receiver.address).await;
        let request = request.clone();
        rejected.spawn(async move {
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut response = String::new();
            // Fails if the connection is reset.
            stream.read_to_string(&mut response).await.unwrap();
            response
        });
    }
    for response in rejected.join_all().await {
        assert!(
            response.starts_with("HTTP/1.1 429") && response.contains("resource_exhausted"),
            "{response}"
        );
    }
    receiver.stop().await;
}

/// Such as for "no limit".
#[tokio::test]
async fn any_maximum_of_connections_can_be_set() {
    let receiver = TestReceiver::start_with(Options { max_connections: usize::MAX, ..options() }).await;
    assert_eq!(receiver.submit(&body(&uuid(1))).await.status(), 200);
    receiver.stop().await;
}

/// Each client gets fewer connections when many are open, so that a few clients cannot take all of them.
#[tokio::test]
async fn a_few_clients_cannot_take_all_connections() {
    let receiver =
        TestReceiver::start_with(Options { max_connections: 32, max_connections_per_client: 8, ..options() })
            .await;
    let mut open = Vec::new();
    for client in 0..10 {
        for _ in 0..10 {
            open.push(connect_from(&format!("127.0.1.{client}"), receiver.address).await);
        }
    }
    receiver.wait_for("prehog_rejected_total{reason=\"connections\"}", |rejected| rejected >= 76).await;
    assert_eq!(submit(&client_from("127.0.2.1"), receiver.address, &body(&uuid(1))).await.status(), 200);
    receiver.stop().await;
}

#[tokio::test]
async fn the_rate_of_a_client_is_limited() {
    let receiver = TestReceiver::start_with(Options { rate_limit: 3, ..options() }).await;
    for number in 0..3 {
        assert_eq!(receiver.submit(&body(&uuid(number))).await.status(), 200);
    }
    let (status, code, _) = connect_error(receiver.submit(&body(&uuid(9))).await).await;
    assert_eq!((status, code.as_str()), (429, "resource_exhausted"));
    // Other clients and health checks are not affected.
    assert_eq!(submit(&client_from("127.0.0.9"), receiver.address, &body(&uuid(9))).await.status(), 200);
    assert_eq!(receiver.get("/livez").await.0, 200);
    assert_eq!(receiver.metric("prehog_rejected_total{reason=\"rate\"}").await, 1);
    receiver.stop().await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_rate_of_each_client_is_limited() {
    let proxies = TrustedProxies(vec!["127.0.0.8".parse().unwrap()]);
    let receiver =
        TestReceiver::start_with(Options { rate_limit: 1, trusted_proxies: proxies, ..options() }).await;
    let address = receiver.address;
    let submit_through = |proxy: &str, client: &str, number| {
        let request = client_from(proxy).post(format!("http://{address}{SUBMIT_PATH}"));
        let request = request.header("Content-Type", "application/json").header("X-Forwarded-For", client);
        let sent = request.body(body(&uuid(number)).to_string()).send();
        async move { sent.await.unwrap().status().as_u16() }
    };
    assert_eq!(submit_through("127.0.0.8", "198.51.100.1", 1).await, 200);
    assert_eq!(submit_through("127.0.0.8", "198.51.100.2", 2).await, 200);
    assert_eq!(submit_through("127.0.0.8", "198.51.100.1", 3).await, 429);
    // A client that is not a trusted proxy cannot name another client.
    assert_eq!(submit_through("127.0.0.7", "198.51.100.3", 4).await, 200);
    assert_eq!(submit_through("127.0.0.7", "198.51.100.4", 5).await, 429);
    receiver.stop().await;
}

#[tokio::test]
async fn slow_clients_do_not_block_others() {
    let timeout = Duration::from_secs(1);
    let receiver = TestReceiver::start_with(Options {
        max_connections: 64,
        max_connections_per_client: 16,
        header_timeout: timeout,
        request_timeout: timeout,
        ..options()
    })
    .await;
    let mut slow = JoinSet::new();
    for number in 0..20 {
        let mut stream = connect_from("127.0.0.6", receiver.address).await;
        // A partial header, or a header and a partial body.
        let request = if number % 2 == 0 {
            format!("POST {SUBMIT_PATH} HTTP/1.1\r\nHost: x\r\n")
        } else {
            format!(
                "POST {SUBMIT_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{{"
            )
        };
        slow.spawn(async move {
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut response = String::new();
            // A connection that is closed with unread bytes may be reset.
            let _ = stream.read_to_string(&mut response).await;
            response
        });
    }
    for number in 0..20 {
        assert_eq!(receiver.submit(&body(&uuid(number))).await.status(), 200);
    }
    let responses = slow.join_all().await;
    let count = |status: &str| responses.iter().filter(|response| response.starts_with(status)).count();
    // Connections over the limit get an error if they sent a complete header. Bodies that never arrive time out.
    assert!(count("HTTP/1.1 429") >= 1 && count("HTTP/1.1 503") >= 3, "{responses:?}");
    for reason in ["connections", "timeout"] {
        assert!(receiver.metric(&format!("prehog_rejected_total{{reason=\"{reason}\"}}")).await > 0);
    }
    receiver.stop().await;
}

/// Returns the header of a request whose body never arrives.
fn header_only() -> String {
    format!(
        "POST {SUBMIT_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    )
}

#[tokio::test]
async fn the_number_of_concurrent_requests_is_limited() {
    let receiver = TestReceiver::start_with(Options { max_requests: 2, ..options() }).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(receiver.address).await.unwrap();
        stream.write_all(header_only().as_bytes()).await.unwrap();
        slow.push(stream);
    }
    receiver.wait_for("prehog_requests", |requests| requests == 2).await;
    let (status, code, _) = connect_error(receiver.submit(&body(&uuid(1))).await).await;
    assert_eq!((status, code.as_str()), (429, "resource_exhausted"));
    drop(slow);
    receiver.wait_for("prehog_requests", |requests| requests == 0).await;
    assert_eq!(receiver.submit(&body(&uuid(1))).await.status(), 200);
    receiver.stop().await;
}

#[tokio::test]
async fn a_client_at_its_limit_of_concurrent_requests_does_not_block_others() {
    let receiver = TestReceiver::start_with(Options { max_requests_per_client: 1, ..options() }).await;
    let mut slow = connect_from("127.0.0.6", receiver.address).await;
    slow.write_all(header_only().as_bytes()).await.unwrap();
    receiver.wait_for("prehog_requests", |requests| requests == 1).await;
    let (status, code, _) =
        connect_error(submit(&client_from("127.0.0.6"), receiver.address, &body(&uuid(1))).await).await;
    assert_eq!((status, code.as_str()), (429, "resource_exhausted"));
    assert_eq!(receiver.submit(&body(&uuid(1))).await.status(), 200);
    drop(slow);
    receiver.stop().await;
}

/// A connection on which a response is being sent is not idle, however slowly its client reads.
#[tokio::test]
async fn a_slow_reader_gets_a_whole_report() {
    let timeout = Duration::from_millis(300);
    let receiver = TestReceiver::start_with(Options { header_timeout: timeout, ..options() }).await;
    let mut store = receiver.store.open().unwrap();
    for version in 0..80_u16 {
        let start = start(json!({
            "run_mode": "one-shot",
            "version": format!("{version}.0.0"),
            "join_type": "token",
            "destinations_configured": 1,
        }));
        let id = |number: u16| (u128::from(version) << 64 | u128::from(number)).to_be_bytes();
        let day = Day::of(noon()).plus(-7);
        let batch = (0..10).map(|number| Submission { id: id(number), day, start: start.clone() });
        store.append(&batch.collect::<Vec<_>>()).unwrap();
    }
    drop(store);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(receiver.report).await.unwrap();
    // More than the buffers of the system hold.
    const REPORTS: usize = 8;
    let request = "GET /report.json?since=2017-01-02 HTTP/1.1\r\nHost: x\r\n\r\n";
    slow.write_all(request.repeat(REPORTS).as_bytes()).await.unwrap();
    let mut response = vec![0; 1024];
    slow.read_exact(&mut response).await.unwrap();
    // Until the buffers are full, and then for longer than the limit, which other connections measure.
    for _ in 0..REPORTS {
        let mut idle = TcpStream::connect(receiver.report).await.unwrap();
        let _ = idle.read_to_end(&mut Vec::new()).await;
    }

    let text = String::from_utf8_lossy(&response).into_owned();
    let (header, _) = text.split_once("\r\n\r\n").unwrap();
    let length = header.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let all = (header.len() + 4 + length.parse::<usize>().unwrap()) * REPORTS;
    assert!(all > 8 << 20, "{all}");
    let mut rest = vec![0; all - response.len()];
    slow.read_exact(&mut rest).await.unwrap();
    drop(slow);
    receiver.stop().await;
}

/// One that sends nothing, and some that send only (a part of) the HTTP/2 preface.
#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let timeout = Duration::from_millis(300);
    let receiver = TestReceiver::start_with(Options { header_timeout: timeout, ..options() }).await;
    for preface in ["", "PRI", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
        let mut stream = connect_from("127.0.0.6", receiver.address).await;
        stream.write_all(preface.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        // It is closed or reset.
        let _ = stream.read_to_end(&mut response).await;
    }
    receiver.stop().await;
}

/// A proxy reuses its connections, and loses an event if one is closed at that moment.
#[tokio::test]
async fn an_idle_connection_of_a_trusted_proxy_stays_open() {
    let timeout = Duration::from_millis(300);
    let trusted_proxies = TrustedProxies(vec!["127.0.0.5".parse().unwrap()]);
    let receiver =
        TestReceiver::start_with(Options { header_timeout: timeout, trusted_proxies, ..options() }).await;
    let mut proxy = connect_from("127.0.0.5", receiver.address).await;
    let mut client = connect_from("127.0.0.6", receiver.address).await;
    let request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut response = [0; 4096];
    for connection in [&mut proxy, &mut client] {
        connection.write_all(request).await.unwrap();
        assert!(connection.read(&mut response).await.unwrap() > 0);
    }
    // The connection of a client measures the time.
    for mut connection in [client, connect_from("127.0.0.6", receiver.address).await] {
        let _ = connection.read_to_end(&mut Vec::new()).await;
    }
    proxy.write_all(request).await.unwrap();
    let length = proxy.read(&mut response).await.unwrap();
    assert!(response[..length].starts_with(b"HTTP/1.1 200"));
    drop(proxy);
    receiver.stop().await;
}

/// Shutdown waits for pending requests, but not forever, and every acknowledged event is stored.
#[tokio::test]
async fn a_request_that_never_completes_does_not_block_the_shutdown() {
    let receiver =
        TestReceiver::start_with(Options { request_timeout: Duration::from_secs(600), ..options() }).await;
    let mut slow = connect_from("127.0.0.6", receiver.address).await;
    slow.write_all(header_only().as_bytes()).await.unwrap();
    receiver.wait_for("prehog_requests", |requests| requests == 1).await;
    assert_eq!(receiver.submit(&body(&uuid(1))).await.status(), 200);
    let store = receiver.store.clone();
    let _directory = receiver.stop().await;
    assert_eq!(stored(&store)[0].2, 1);
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Half of the requests are invalid, then all of them, and some are decompression bombs. Valid events are stored, and memory
/// does not grow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_requests_do_not_increase_memory_use() {
    const REQUESTS: u64 = 400;
    let directory = tempfile::tempdir().unwrap();
    let process = ServeProcess::start(directory.path(), &[]);
    let address = process.address;
    let bomb: Arc<[u8]> = gzip(&vec![b' '; 1 << 20]).into();
    let flood = async |round: u64, is_invalid: fn(u64) -> bool| {
        let mut senders = JoinSet::new();
        for sender in 0..8 {
            let bomb = Arc::clone(&bomb);
            senders.spawn(async move {
                let client = client();
                let mut valid = 0;
                for number in 0..REQUESTS {
                    let is_bomb = number % 50 == 0;
                    let event: Value = body(&uuid(round * 1_000_000 + sender * REQUESTS + number));
                    let request = client
                        .post(format!("http://{address}{SUBMIT_PATH}"))
                        .header("Content-Type", "application/json");
                    let request = if is_bomb {
                        request.header("Content-Encoding", "gzip").body(bomb.to_vec())
                    } else if is_invalid(number) {
                        request.body(vec![b'['; 12_000])
                    } else {
                        request.body(event.to_string())
                    };
                    let status = request.send().await.unwrap().status().as_u16();
                    assert_eq!(status == 200, !is_bomb && !is_invalid(number), "{number}: {status}");
                    valid += u64::from(status == 200);
                }
                valid
            });
        }
        senders.join_all().await.into_iter().sum::<u64>()
    };
    let stored_first = flood(1, |number| number % 2 == 1).await;
    let before = resident_kib(process.pid());
    assert_eq!(flood(2, |_| true).await, 0);
    let stored_last = flood(3, |number| number % 2 == 1).await;
    let after = resident_kib(process.pid());
    assert!(after < before + 16 * 1024, "{before} KiB grew to {after} KiB");
    let store = sqlite_in(directory.path());
    let total: u64 = stored(&store).iter().map(|(_, _, count)| count).sum();
    assert_eq!(total, stored_first + stored_last);
}
