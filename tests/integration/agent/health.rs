//! The health server: `/livez`, `/readyz` and `/metrics` of a running agent.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tbot::agent::{AgentError, error_line};
use tbot_cluster::method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::fixture::{BOT, RunningAgent, TestCluster, poll_until, wait_until};

/// Sends `request`, such as `GET /livez`, and returns the status, head and body of the response.
async fn send(address: SocketAddr, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: health\r\n\r\n").as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_lowercase(), body.to_owned())
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (status, _, body) = send(address, &format!("GET {path}")).await;
    (status, body)
}

async fn get_json(address: SocketAddr, path: &str) -> (u16, Value) {
    let (status, body) = get(address, path).await;
    (status, serde_json::from_str(&body).unwrap())
}

/// The value of a metric of `service`, or `None` if the page does not contain it.
async fn metric(address: SocketAddr, name: &str, service: &str) -> Option<u64> {
    let (_, page) = get(address, "/metrics").await;
    let prefix = format!("{name}{{service=\"{service}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&prefix)?.parse().ok())
}

/// Starts an agent with a health server on a free port.
async fn start(fixture: &TestCluster, outputs: &[Value]) -> (RunningAgent, SocketAddr) {
    let mut config = fixture.config("30m", outputs);
    config["diag_addr"] = json!("127.0.0.1:0");
    let running = fixture.start(config);
    wait_until("the agent listens", || running.agent.diag_addr().is_some()).await;
    let address = running.agent.diag_addr().unwrap();
    (running, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_the_agent_from_its_start() {
    let fixture = TestCluster::new().await;
    let mut hold = fixture.cluster.hold_next(method::JOIN);
    std::fs::write(fixture.path("broken"), "a file instead of a directory").unwrap();
    let outputs = [fixture.output("out"), fixture.output("broken")];
    let (running, address) = start(&fixture, &outputs).await;
    hold.arrived().await;
    assert_eq!(get(address, "/livez").await, (200, "ok\n".to_owned()));
    let (status, body) = get_json(address, "/readyz").await;
    assert_eq!((status, &body["status"]), (503, &json!("initializing")));
    hold.release();

    wait_until("the output is written", || fixture.path("out").join("identity").exists()).await;
    for (service, status) in [("identity-1", "healthy"), ("identity-2", "unhealthy")] {
        poll_until("the service has its status", || async move {
            get_json(address, &format!("/readyz/{service}")).await.1["status"] == status
        })
        .await;
    }
    let service = |status: &str| json!({ "status": status });
    assert_eq!(get_json(address, "/readyz/identity").await, (200, service("healthy")));
    assert_eq!(get_json(address, "/readyz/identity-1").await, (200, service("healthy")));
    assert_eq!(get_json(address, "/readyz/identity-2").await, (503, service("unhealthy")));
    let services = json!({
        "identity": service("healthy"),
        "identity-1": service("healthy"),
        "identity-2": service("unhealthy"),
    });
    let all = json!({ "status": "unhealthy", "services": services });
    assert_eq!(get_json(address, "/readyz").await, (503, all));

    std::fs::remove_file(fixture.path("broken")).unwrap();
    running.control.reload();
    wait_until("the repaired output is written", || fixture.path("broken").join("identity").exists()).await;
    running.stop().await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "the health server still listens");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_renewals_and_contain_no_identifiers() {
    let fixture = TestCluster::new().await;
    let (running, address) = start(&fixture, &[fixture.output("out")]).await;
    wait_until("the output is written", || fixture.path("out").join("identity").exists()).await;
    running.control.reload();
    poll_until("two renewals are counted", || async move {
        metric(address, "tbot_renewals_total", "identity").await == Some(2)
    })
    .await;
    assert_eq!(fixture.stored_generation(), 2);
    assert_eq!(metric(address, "tbot_renewal_failures_total", "identity").await, Some(0));
    assert!(metric(address, "tbot_expires_timestamp_seconds", "identity-1").await.is_some());

    let (status, head, page) = send(address, "GET /metrics").await;
    assert!(status == 200 && head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let proxy = fixture.cluster.proxy_addr().to_string();
    let out = fixture.path("out");
    for identifier in [fixture.cluster.name(), BOT, &proxy, out.to_str().unwrap()] {
        assert!(!page.contains(identifier), "{identifier}: {page}");
    }
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_and_methods_are_not_served() {
    let fixture = TestCluster::new().await;
    let (running, address) = start(&fixture, &[]).await;
    for path in ["/", "/readyz/", "/readyz/nobody", "/debug/pprof/", "/metrics/"] {
        assert_eq!(get(address, path).await, (404, "not found\n".to_owned()), "{path}");
    }
    assert_eq!(send(address, "POST /livez").await.0, 405);
    assert_eq!(send(address, "HEAD /livez").await.2, "");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_diag_addr_is_in_use_ends_before_it_joins() {
    let fixture = TestCluster::new().await;
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let mut config = fixture.config("30m", &[]);
    config["diag_addr"] = json!(address);
    let AgentError::HealthServer(error) = fixture.start(config.clone()).wait().await.unwrap_err() else {
        panic!("not the health server's error")
    };
    assert!(error_line(&error, error.hint().as_ref()).contains(&address), "{error}");
    assert!(fixture.cluster.requests().is_empty() && !fixture.storage().exists());
    // Oneshot mode does not listen.
    fixture.run_oneshot(config).await.unwrap();
}
