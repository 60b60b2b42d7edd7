//! The diagnostics listener of a running agent, asked over HTTP.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tbot_cluster::method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::lab::{Lab, Running, until};

/// Status, headers and body.
async fn ask(address: SocketAddr, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: health\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_lowercase(), body.to_owned())
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (status, _, body) = ask(address, &format!("GET {path}")).await;
    (status, body)
}

async fn json(address: SocketAddr, path: &str) -> (u16, Value) {
    let (status, body) = get(address, path).await;
    (status, serde_json::from_str(&body).unwrap())
}

async fn start(lab: &Lab, outputs: &[Value]) -> (Running, SocketAddr) {
    let mut config = lab.config("30m", outputs);
    config["diag_addr"] = json!("127.0.0.1:0");
    let running = lab.start(config);
    until("the agent listens", || running.agent.diag_addr().is_some()).await;
    let address = running.agent.diag_addr().unwrap();
    (running, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn health_follows_the_agent_from_its_start() {
    let lab = Lab::new().await;
    let mut hold = lab.cluster.hold_next(method::JOIN);
    std::fs::write(lab.path("broken"), "a file where a folder is wanted").unwrap();
    let (running, address) = start(&lab, &[lab.output("out"), lab.output("broken")]).await;
    hold.arrived().await;
    assert_eq!(get(address, "/livez").await, (200, "ok\n".to_owned()));
    let (status, body) = json(address, "/readyz").await;
    assert_eq!((status, &body["status"]), (503, &json!("initializing")));
    hold.release();

    until("the output is written", || lab.path("out").join("identity").exists()).await;
    let settled = async {
        for (service, status) in [("identity-1", "healthy"), ("identity-2", "unhealthy")] {
            while json(address, &format!("/readyz/{service}")).await.1["status"] != status {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), settled).await.unwrap();
    let of = |status: &str| json!({ "status": status });
    assert_eq!(json(address, "/readyz/identity").await, (200, of("healthy")));
    assert_eq!(json(address, "/readyz/identity-1").await, (200, of("healthy")));
    assert_eq!(json(address, "/readyz/identity-2").await, (503, of("unhealthy")));
    let services =
        json!({ "identity": of("healthy"), "identity-1": of("healthy"), "identity-2": of("unhealthy") });
    assert_eq!(json(address, "/readyz").await, (503, json!({ "status": "unhealthy", "services": services })));

    std::fs::remove_file(lab.path("broken")).unwrap();
    running.control.reload();
    until("the mended one is written", || lab.path("broken").join("identity").exists()).await;
    running.stop().await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_what_happened_and_nothing_of_whom() {
    let lab = Lab::new().await;
    let (running, address) = start(&lab, &[lab.output("out")]).await;
    until("the output is written", || lab.path("out").join("identity").exists()).await;
    running.control.reload();
    until("the identity is renewed", || lab.stored_generation() == 2).await;
    let page = async {
        loop {
            let (status, head, page) = ask(address, "GET /metrics").await;
            assert!(status == 200 && head.contains("content-type: text/plain; version=0.0.4"), "{head}");
            if page.contains("tbot_renewals_total{service=\"identity\"} 2\n") {
                return page;
            }
        }
    };
    let page = tokio::time::timeout(std::time::Duration::from_secs(20), page).await.unwrap();
    assert!(page.contains("tbot_renewal_failures_total{service=\"identity\"} 0\n"), "{page}");
    assert!(page.contains("tbot_expires_timestamp_seconds{service=\"identity-1\"} "), "{page}");
    let cluster = lab.cluster.proxy_addr().to_string();
    for identifying in [lab.cluster.name(), super::lab::BOT, &cluster, lab.path("out").to_str().unwrap()] {
        assert!(!page.contains(identifying), "{identifying}: {page}");
    }
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_else_is_not_found() {
    let lab = Lab::new().await;
    let (running, address) = start(&lab, &[]).await;
    for path in ["/", "/readyz/", "/readyz/nobody", "/debug/pprof/", "/metrics/"] {
        assert_eq!(get(address, path).await, (404, "not found\n".to_owned()), "{path}");
    }
    assert_eq!(ask(address, "POST /livez").await.0, 405);
    assert_eq!(ask(address, "HEAD /livez").await.2, "");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_named_before_anything_is_joined() {
    let lab = Lab::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = lab.config("30m", &[]);
    config["diag_addr"] = json!(taken.local_addr().unwrap().to_string());
    let refused = lab.start(config.clone()).ended().await.unwrap_err().to_string();
    assert!(refused.contains("diag_addr") && refused.contains("free host:port"), "{refused}");
    assert!(lab.cluster.requests().is_empty() && !lab.storage().exists());
    // A run that ends by itself serves nobody.
    lab.run_once(config).await.unwrap();
}
