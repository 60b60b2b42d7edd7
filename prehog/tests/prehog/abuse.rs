//! Abuse: floods, slow senders, bombs. Memory stays bounded, and valid traffic is served all the while.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use prehog::Options;
use prehog::limits::TrustedProxies;
use reqwest::Client;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::lab::{PATH, Program, Receiver, body, client_builder, id, noon, refusal, still, submit};

fn options() -> Options {
    Options { rate_limit: 0, ..Options::new(still(noon())) }
}

/// A client with an address of its own on loopback.
fn from(address: &str) -> Client {
    let local: IpAddr = address.parse().unwrap();
    client_builder().local_address(local).build().unwrap()
}

async fn connect_from(local: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{local}:0").parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

async fn send(receiver: &Receiver, body: Vec<u8>, encoding: Option<&str>) -> (u16, String, String) {
    let mut request =
        crate::lab::client().post(receiver.url(PATH)).header("Content-Type", "application/json");
    if let Some(encoding) = encoding {
        request = request.header("Content-Encoding", encoding);
    }
    refusal(request.body(body).send().await.unwrap()).await
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_body_has_16_kib_before_and_after_it_is_decompressed() {
    let receiver = Receiver::start().await;
    let large = vec![b' '; 16 * 1024 + 1];
    assert_eq!(send(&receiver, large.clone(), None).await.1, "resource_exhausted");
    let bomb = gzip(&vec![b' '; 10 << 20]);
    assert!(bomb.len() < 16 * 1024);
    assert_eq!(send(&receiver, bomb, Some("gzip")).await.1, "resource_exhausted");
    let request = crate::lab::client().post(receiver.url(PATH)).header("Content-Type", "application/json");
    let small = gzip(body(&id(1)).to_string().as_bytes());
    assert_eq!(request.header("Content-Encoding", "gzip").body(small).send().await.unwrap().status(), 200);
    receiver.stop().await;
}

#[tokio::test]
async fn a_source_has_a_rate() {
    let receiver = Receiver::start_with(Options { rate_limit: 3, ..options() }).await;
    for number in 0..3 {
        assert_eq!(receiver.submit(&body(&id(number))).await.status(), 200);
    }
    let (status, code, _) = refusal(receiver.submit(&body(&id(9))).await).await;
    assert_eq!((status, code.as_str()), (429, "resource_exhausted"));
    // Somebody else still has theirs, and health is not limited.
    assert_eq!(submit(&from("127.0.0.9"), receiver.address, &body(&id(9))).await.status(), 200);
    assert_eq!(receiver.get("/livez").await.0, 200);
    assert_eq!(receiver.metric("prehog_turned_away_total{reason=\"rate\"}").await, 1);
    receiver.stop().await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_rate_is_that_of_the_sender() {
    let proxies = TrustedProxies(vec!["127.0.0.8".parse().unwrap()]);
    let receiver =
        Receiver::start_with(Options { rate_limit: 1, trusted_proxies: proxies, ..options() }).await;
    let address = receiver.address;
    let through = |proxy: &str, sender: &str, number| {
        let request = from(proxy).post(format!("http://{address}{PATH}"));
        let request = request.header("Content-Type", "application/json").header("X-Forwarded-For", sender);
        let sent = request.body(body(&id(number)).to_string()).send();
        async move { sent.await.unwrap().status().as_u16() }
    };
    assert_eq!(through("127.0.0.8", "198.51.100.1", 1).await, 200);
    assert_eq!(through("127.0.0.8", "198.51.100.2", 2).await, 200);
    assert_eq!(through("127.0.0.8", "198.51.100.1", 3).await, 429);
    // Who is no proxy cannot be somebody else.
    assert_eq!(through("127.0.0.7", "198.51.100.3", 4).await, 200);
    assert_eq!(through("127.0.0.7", "198.51.100.4", 5).await, 429);
    receiver.stop().await;
}

#[tokio::test]
async fn slow_senders_do_not_keep_others_out() {
    let patience = Duration::from_secs(1);
    let receiver = Receiver::start_with(Options {
        connections: 16,
        connections_each: 8,
        head_timeout: patience,
        request_timeout: patience,
        ..options()
    })
    .await;
    let mut slow = JoinSet::new();
    for number in 0..12 {
        let mut stream = connect_from("127.0.0.6", receiver.address).await;
        // Half a head, or a head and half a body.
        let text = if number % 2 == 0 {
            format!("POST {PATH} HTTP/1.1\r\nHost: x\r\n")
        } else {
            format!(
                "POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{{"
            )
        };
        slow.spawn(async move {
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut answer = String::new();
            // One that is closed with bytes unread may end in a reset.
            let _ = stream.read_to_string(&mut answer).await;
            answer
        });
    }
    for number in 0..20 {
        assert_eq!(receiver.submit(&body(&id(number))).await.status(), 200);
    }
    let answers = slow.join_all().await;
    let told = |status: &str| answers.iter().filter(|answer| answer.starts_with(status)).count();
    // Those over the limit learn why where they have sent a whole head; bodies that never come end in time.
    assert!(told("HTTP/1.1 429") >= 1 && told("HTTP/1.1 503") >= 3, "{answers:?}");
    let (connections, time) = ("connections", "time");
    for reason in [connections, time] {
        assert!(receiver.metric(&format!("prehog_turned_away_total{{reason=\"{reason}\"}}")).await > 0);
    }
    receiver.stop().await;
}

/// The head of a request whose body never comes.
fn head() -> String {
    format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n")
}

#[tokio::test]
async fn work_under_way_is_capped() {
    let receiver = Receiver::start_with(Options { requests: 2, ..options() }).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(receiver.address).await.unwrap();
        stream.write_all(head().as_bytes()).await.unwrap();
        slow.push(stream);
    }
    receiver.wait_for("prehog_requests", |under_way| under_way == 2).await;
    let (status, code, _) = refusal(receiver.submit(&body(&id(1))).await).await;
    assert_eq!((status, code.as_str()), (429, "resource_exhausted"));
    drop(slow);
    receiver.wait_for("prehog_requests", |under_way| under_way == 0).await;
    assert_eq!(receiver.submit(&body(&id(1))).await.status(), 200);
    receiver.stop().await;
}

/// Who fills its own share leaves room for others.
#[tokio::test]
async fn work_under_way_of_one_source_is_capped() {
    let receiver = Receiver::start_with(Options { requests_each: 1, ..options() }).await;
    let mut slow = connect_from("127.0.0.6", receiver.address).await;
    slow.write_all(head().as_bytes()).await.unwrap();
    receiver.wait_for("prehog_requests", |under_way| under_way == 1).await;
    let (status, code, _) = refusal(submit(&from("127.0.0.6"), receiver.address, &body(&id(1))).await).await;
    assert_eq!((status, code.as_str()), (429, "resource_exhausted"));
    assert_eq!(receiver.submit(&body(&id(1))).await.status(), 200);
    drop(slow);
    receiver.stop().await;
}

/// One that says nothing, one that only greets, as HTTP/2 does: closed, so that places are for those who send.
#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let patience = Duration::from_millis(300);
    let receiver = Receiver::start_with(Options { head_timeout: patience, ..options() }).await;
    for greeting in ["", "PRI", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
        let mut stream = connect_from("127.0.0.6", receiver.address).await;
        stream.write_all(greeting.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // It ends, or ends in a reset.
        let _ = stream.read_to_end(&mut answer).await;
    }
    receiver.stop().await;
}

/// Stopping waits for what is under way, and not for ever: every acknowledged event is stored, and the program has ended.
#[tokio::test]
async fn a_request_that_never_comes_to_its_end_does_not_keep_it_from_stopping() {
    let receiver =
        Receiver::start_with(Options { request_timeout: Duration::from_secs(600), ..options() }).await;
    let mut slow = connect_from("127.0.0.6", receiver.address).await;
    slow.write_all(head().as_bytes()).await.unwrap();
    receiver.wait_for("prehog_requests", |under_way| under_way == 1).await;
    assert_eq!(receiver.submit(&body(&id(1))).await.status(), 200);
    let store = receiver.store.clone();
    let _folder = receiver.stop().await;
    assert_eq!(crate::lab::stored(&store)[0].2, 1);
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Half of it invalid, then all of it, with bombs between: what is valid is stored, and memory does not grow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_traffic_costs_no_memory() {
    const EACH: u64 = 400;
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &[]);
    let address = program.address;
    let flood = |round: u64, invalid: fn(u64) -> bool| async move {
        let mut senders = JoinSet::new();
        for sender in 0..8 {
            senders.spawn(async move {
                let client = crate::lab::client();
                let mut valid = 0;
                for number in 0..EACH {
                    let is_bomb = number % 50 == 0;
                    let sent: Value = body(&id(round * 1_000_000 + sender * EACH + number));
                    let request = client
                        .post(format!("http://{address}{PATH}"))
                        .header("Content-Type", "application/json");
                    let request = if is_bomb {
                        request.header("Content-Encoding", "gzip").body(gzip(&vec![b' '; 1 << 20]))
                    } else if invalid(number) {
                        request.body(vec![b'['; 12_000])
                    } else {
                        request.body(sent.to_string())
                    };
                    let status = request.send().await.unwrap().status().as_u16();
                    assert_eq!(status == 200, !is_bomb && !invalid(number), "{number}: {status}");
                    valid += u64::from(status == 200);
                }
                valid
            });
        }
        senders.join_all().await.into_iter().sum::<u64>()
    };
    let before = flood(1, |number| number % 2 == 1).await;
    let first = resident(program.pid());
    assert_eq!(flood(2, |_| true).await, 0);
    let more = flood(3, |number| number % 2 == 1).await;
    let last = resident(program.pid());
    assert!(last < first + 16 * 1024, "{first} kB grew to {last} kB");
    let store = prehog::store::StoreUrl::Sqlite(folder.path().join("events.db"));
    let stored: u64 = crate::lab::stored(&store).iter().map(|(_, _, count)| count).sum();
    assert_eq!(stored, before + more);
}
