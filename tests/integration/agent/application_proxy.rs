//! Application proxies: each request reaches the application that it names, and nothing else; bodies are streamed in both
//! directions, and appear in no log.

mod certificates;
mod connections;
mod http;

use std::net::SocketAddr;

use ::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, UPGRADE};
use ::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tbot_cluster::{Outcome, Resource, method};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::fixture::{RunningAgent, TestCluster, wait_until};
use super::load_balancer::LoadBalancer;
use super::log_capture::LogCapture;
use http::{App, Client, full, streamed};

/// A proxy on a free port.
fn proxy() -> Value {
    json!({ "type": "application-proxy", "listen": "tcp://127.0.0.1:0" })
}

/// Starts a cluster with an application.
async fn cluster_with_app(name: &'static str) -> (TestCluster, App) {
    let fixture = TestCluster::new().await;
    let app = add_app(&fixture, name).await;
    (fixture, app)
}

async fn add_app(fixture: &TestCluster, name: &'static str) -> App {
    let app = App::start(name).await;
    fixture.cluster.add_resource(Resource::application(name, "app.127.0.0.1").served_by(app.address));
    app
}

/// Starts an agent with a proxy, and waits until it listens.
async fn start(fixture: &TestCluster) -> (RunningAgent, SocketAddr) {
    start_with(fixture, fixture.config("20m", &[proxy()])).await
}

async fn start_with(fixture: &TestCluster, config: Value) -> (RunningAgent, SocketAddr) {
    let running = fixture.start(config);
    wait_until("the agent listens", || running.agent.listen_addr(0).is_some()).await;
    let address = running.agent.listen_addr(0).unwrap();
    (running, address)
}

/// Returns the number of certificates that were issued for applications.
fn app_certificates(fixture: &TestCluster) -> usize {
    let is_routed = |call: &&tbot_cluster::Call| {
        let request = call.decode::<tbot_cluster::proto::UserCertsRequest>().unwrap();
        request.route_to_app.is_some_and(|app| !app.name.is_empty()) && call.outcome == Outcome::Succeeded
    };
    fixture.calls(method::GENERATE_USER_CERTS).iter().filter(is_routed).count()
}

/// Sends `message` on a connection, and returns whether it comes back.
async fn is_echoed(
    client: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin),
    message: &str,
) -> bool {
    let mut received = vec![0; message.len()];
    client.write_all(message.as_bytes()).await.is_ok()
        && client.read_exact(&mut received).await.is_ok()
        && received == message.as_bytes()
}

/// Sends bytes, and returns everything that comes back.
async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(request).await.unwrap();
    let mut received = String::new();
    client.read_to_string(&mut received).await.unwrap();
    received
}

#[tokio::test]
async fn requests_reach_the_application_that_they_name_and_are_not_logged() {
    const CANARY: &str = "canary";
    let log = LogCapture::start();
    let (fixture, _first) = cluster_with_app("first").await;
    let _second = add_app(&fixture, "second").await;
    let (running, address) = start(&fixture).await;
    let mut client = Client::connect(address).await;
    // One connection serves requests for several applications, named by the target or the header.
    let response = client.get("http://first:8080/a/b?canary=1").await;
    assert_eq!(response.status, 200);
    assert!(response.body.starts_with("first: GET /a/b?canary=1\n"), "{}", response.body);
    let request = Request::post("/echo").header(HOST, "SECOND").header("x-canary", CANARY);
    let request = request.header(CONNECTION, "x-private").header("x-private", CANARY);
    let response = client.send(request.body(full(CANARY)).unwrap()).await.unwrap();
    assert_eq!(response.headers()["x-app"], "second");
    assert!(!response.headers().contains_key("x-private"), "{response:?}");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), CANARY);
    let request = Request::get("http://second/").header(HOST, "first").header("keep-alive", "timeout=5");
    let request = request.header("proxy-authorization", CANARY).header("x-kept", "1").body(full("")).unwrap();
    let response = client.send(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let expected = format!("second: GET /\nhost: {}\nx-kept: 1\n", fixture.cluster.proxy_addr());
    let mut lines: Vec<_> = std::str::from_utf8(&response).unwrap().lines().collect();
    lines.sort_unstable();
    let mut expected: Vec<_> = expected.lines().collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
    drop(client);
    running.stop().await.unwrap();
    assert!(log.text().contains("application-proxy-1"));
    assert!(!log.text().contains(CANARY), "{}", log.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_are_reached_on_all_versions_also_through_a_load_balancer() {
    // 15.0 knows only the older form of the upgrade.
    for (version, has_balancer) in [
        ("15.0.0-dev", true),
        ("15.4.0", false),
        ("16.5.0", false),
        ("17.3.0", false),
        ("18.2.5", true),
        ("19.0.0", true),
    ] {
        let fixture = TestCluster::with_version(version).await;
        let _app = add_app(&fixture, "web").await;
        let mut config = fixture.config("20m", &[proxy()]);
        let balancer = LoadBalancer::start(&fixture).await;
        let mut variables = Vec::new();
        if has_balancer {
            config = balancer.in_front(config);
            variables.push(balancer.roots());
        }
        let running = RunningAgent::start(fixture.agent_with_env(config, &variables).unwrap());
        wait_until("the agent listens", || running.agent.listen_addr(0).is_some()).await;
        let address = running.agent.listen_addr(0).unwrap();
        for _ in 0..3 {
            let response = Client::connect(address).await.get("http://web/").await;
            assert_eq!(response.status, 200, "{version}: {}", response.body);
        }
        let mut upgraded = web_socket(address).await;
        assert!(is_echoed(&mut upgraded, "hello").await, "{version}");
        drop(upgraded);
        running.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_reachable_application_gets_a_reason_and_goes_nowhere() {
    let (fixture, app) = cluster_with_app("web").await;
    fixture.cluster.add_resource(Resource::tcp_application("tcp", "tcp.127.0.0.1").served_by(app.address));
    fixture.cluster.add_resource(Resource::application("broken", "broken.127.0.0.1"));
    let (running, address) = start(&fixture).await;
    let mut client = Client::connect(address).await;
    for (url, status, name) in [
        ("http://missing/", 404, "missing"),
        // Any other proxy would connect to this host on the internet.
        ("http://example.com/", 404, "example.com"),
        ("http://web.example.com/", 404, "web.example.com"),
        ("http://tcp/", 502, "tcp"),
        ("http://broken/", 502, "broken"),
        ("http://127.0.0.1:1/", 400, ""),
        ("ftp://web/", 400, ""),
    ] {
        let response = client.get(url).await;
        assert_eq!(response.status, status, "{url}: {}", response.body);
        assert_eq!(response.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
        assert!(response.body.contains(name), "{url}: {}", response.body);
    }
    let connect = Request::builder().method(Method::CONNECT).uri("web:443").header(HOST, "web:443");
    let response = Client::connect(address).await.send(connect.body(full("")).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED);
    // Only HTTP/1 is served.
    assert_eq!(exchange(address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await, "");
    assert!(
        exchange(address, b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await.starts_with("HTTP/1.1 400 ")
    );
    let smuggled = b"POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab";
    assert!(exchange(address, smuggled).await.starts_with("HTTP/1.1 400 "));
    assert_eq!(app.connections(), 0);
    assert_eq!(client.get("http://web/").await.status, 200);
    drop(client);
    running.stop().await.unwrap();
}

/// A request with both a length and a transfer encoding must not become two requests.
#[tokio::test(flavor = "multi_thread")]
async fn all_recipients_agree_where_a_message_ends() {
    let (fixture, app) = cluster_with_app("web").await;
    let (running, address) = start(&fixture).await;
    let request = b"POST /echo HTTP/1.1\r\nhost: web\r\nconnection: close\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n\
        1c\r\nGET /hidden HTTP/1.1\r\nA: b\r\n\r\n0\r\n\r\n";
    let response = exchange(address, request).await;
    assert!(response.starts_with("HTTP/1.1 200 ") && response.contains("GET /hidden"), "{response}");
    assert_eq!(response.matches("HTTP/1.1 200 ").count(), 1, "{response}");
    let malformed = b"POST /echo HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\nnot a length\r\n";
    assert!(!exchange(address, malformed).await.ends_with("not a length\r\n"));
    let after = Client::connect(address).await.get("http://web/after").await;
    assert!(after.body.starts_with("web: GET /after\n"), "{}", after.body);
    // The second one ended with the malformed request.
    assert_eq!(app.connections(), 2);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_streamed_in_both_directions() {
    let (fixture, _app) = cluster_with_app("web").await;
    let (running, address) = start(&fixture).await;
    let (sender, body) = streamed();
    let mut client = Client::connect(address).await;
    let response = client.send(Request::post("http://web/echo").body(body).unwrap()).await.unwrap();
    let mut echoed = response.into_body();
    for message in ["the first", "the second"] {
        sender.send(Bytes::from(message)).await.unwrap();
        // The request has not ended yet.
        let frame = echoed.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame, message);
    }
    drop(sender);
    assert!(echoed.frame().await.is_none());
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_side_stops_only_the_other_side_of_its_connection() {
    /// More than all buffers on the way.
    const LENGTH: usize = 64 << 20;
    const CHUNK: usize = 1 << 20;
    let (fixture, _app) = cluster_with_app("web").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow = Resource::application("slow", "slow.127.0.0.1");
    fixture.cluster.add_resource(slow.served_by(listener.local_addr().unwrap()));
    let (running, address) = start(&fixture).await;
    let mut other = Client::connect(address).await;

    let (sender, body) = streamed();
    let writing = tokio::spawn(async move {
        for _ in 0..LENGTH / CHUNK {
            sender.send(Bytes::from(vec![7; CHUNK])).await.unwrap();
        }
    });
    let request = Request::post("http://slow/").header(CONTENT_LENGTH, LENGTH).body(body).unwrap();
    let receiving = tokio::spawn(async move { Client::connect(address).await.send(request).await.unwrap() });
    // The application reads nothing yet.
    let (mut app, _) = listener.accept().await.unwrap();
    for _ in 0..200 {
        assert_eq!(other.get("http://web/").await.status, 200);
    }
    assert!(!writing.is_finished(), "the request is buffered somewhere");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(app.read_u8().await.unwrap());
    }
    let mut received = vec![0; LENGTH];
    app.read_exact(&mut received).await.unwrap();
    assert!(received.iter().all(|byte| *byte == 7));
    writing.await.unwrap();

    // Now the application sends the same amount, and the client reads nothing yet.
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let writing = tokio::spawn(async move {
        app.write_all(head.as_bytes()).await.unwrap();
        app.write_all(&received).await.unwrap();
        app
    });
    let response = receiving.await.unwrap();
    for _ in 0..200 {
        assert_eq!(other.get("http://web/").await.status, 200);
    }
    assert!(!writing.is_finished(), "the response is buffered somewhere");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.len() == LENGTH && body.iter().all(|byte| *byte == 7));
    drop((writing.await.unwrap(), other));
    running.stop().await.unwrap();
}

/// Upgrades a connection to the application `web`.
async fn web_socket(address: SocketAddr) -> TokioIo<hyper::upgrade::Upgraded> {
    let request =
        Request::get("http://web/web-socket").header(CONNECTION, "Upgrade").header(UPGRADE, "websocket");
    let mut client = Client::connect(address).await;
    let response = client.send(request.body(full("")).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()[UPGRADE], "websocket");
    TokioIo::new(hyper::upgrade::on(response).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_connection_passes_bytes_and_their_end_in_both_directions() {
    let (fixture, _app) = cluster_with_app("web").await;
    let (running, address) = start(&fixture).await;
    let mut upgraded = web_socket(address).await;
    assert!(is_echoed(&mut upgraded, "hello").await);
    upgraded.write_all(b"the end").await.unwrap();
    upgraded.shutdown().await.unwrap();
    let mut received = String::new();
    upgraded.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, "the end");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_wait_for_permission_to_send_a_body() {
    let (fixture, _app) = cluster_with_app("web").await;
    let (running, address) = start(&fixture).await;
    let head = |name| {
        format!(
            "POST /echo HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n"
        )
    };
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(head("web").as_bytes()).await.unwrap();
    let mut permission = [0; 25];
    client.read_exact(&mut permission).await.unwrap();
    assert_eq!(&permission, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"hello").await.unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("hello"), "{response}");
    // Without an application, there is no permission.
    assert!(exchange(address, head("missing").as_bytes()).await.starts_with("HTTP/1.1 404 "));
    running.stop().await.unwrap();
}
