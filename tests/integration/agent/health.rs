//! The health server: `/livez`, `/readyz`, `/wait` and `/metrics` of a running agent.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket, sockopt};
use serde_json::{Value, json};
use tbot::agent::{AgentError, error_line};
use tbot_cluster::{Code, method};
use tbot_documentation::root;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::fixture::{BOT, RunningAgent, SECOND, TestCluster, poll_until, wait_until};

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

pub(super) async fn get_json(address: SocketAddr, path: &str) -> (u16, Value) {
    let (status, body) = get(address, path).await;
    (status, serde_json::from_str(&body).unwrap())
}

/// The value of a metric of `service`, or `None` if the page does not contain it.
pub(super) async fn metric(address: SocketAddr, name: &str, service: &str) -> Option<u64> {
    let (_, page) = get(address, "/metrics").await;
    let prefix = format!("{name}{{service=\"{service}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&prefix)?.parse().ok())
}

/// The keys of the status of a service whose last attempt succeeded.
const HEALTHY: [&str; 2] = ["status", "updated_at"];
/// The keys of the status of a service whose last attempt failed.
const UNHEALTHY: [&str; 3] = ["reason", "status", "updated_at"];

/// Returns the keys of a JSON object, sorted.
fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
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
    // A first join would not be requested because of the broken output.
    let fixture = TestCluster::joined().await;
    let mut hold = fixture.cluster.hold_next(method::GENERATE_USER_CERTS);
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
    let mut services = json!({});
    for (service, status) in [("identity", 200), ("identity-1", 200), ("identity-2", 503)] {
        let (received, body) = get_json(address, &format!("/readyz/{service}")).await;
        assert_eq!(received, status, "{body}");
        services[service] = body;
    }
    assert_eq!(
        (keys(&services["identity"]), keys(&services["identity-2"])),
        (HEALTHY.to_vec(), UNHEALTHY.to_vec())
    );
    let updated_at = services["identity-1"]["updated_at"].as_str().unwrap();
    assert!(updated_at.parse::<jiff::Timestamp>().is_ok(), "{updated_at}");
    let reason = services["identity-2"]["reason"].as_str().unwrap();
    assert!(reason.contains(fixture.path("broken").to_str().unwrap()), "{reason}");
    let all = json!({ "status": "unhealthy", "pid": std::process::id(), "services": services });
    assert_eq!(get_json(address, "/readyz").await, (503, all));

    std::fs::remove_file(fixture.path("broken")).unwrap();
    running.control.reload();
    wait_until("the repaired output is written", || fixture.path("broken").join("identity").exists()).await;
    running.stop().await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "the health server still listens");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_a_reason_and_keeps_the_service_ready() {
    let fixture = TestCluster::new().await;
    let (running, address) = start(&fixture, &[fixture.output("out")]).await;
    assert_eq!(get(address, "/wait").await.0, 200);
    fixture.cluster.fail_next(method::GENERATE_USER_CERTS, Code::Unavailable, "an outage");
    running.control.reload();
    poll_until("a renewal has failed", || async move {
        let (status, body) = get_json(address, "/readyz").await;
        assert_eq!(status, 200, "{body}");
        body["status"] == "failing"
    })
    .await;
    running.stop().await.unwrap();
}

/// Otherwise, a client that prefers IPv6 would reach the other program.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_ends_if_another_program_has_its_port_on_ipv6_only() {
    let fixture = TestCluster::new().await;
    let socket = socket(AddressFamily::INET6, SocketType::STREAM, None).unwrap();
    sockopt::set_ipv6_v6only(&socket, true).unwrap();
    bind(&socket, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).unwrap();
    listen(&socket, 1).unwrap();
    let used: SocketAddr = getsockname(&socket).unwrap().try_into().unwrap();
    let mut config = fixture.config("20m", &[]);
    config["diag_addr"] = json!(format!(":{}", used.port()));
    let error = fixture.start(config).wait().await.unwrap_err();
    assert!(matches!(error, AgentError::HealthServer(_)), "{error:?}");
    assert_eq!(fixture.call_count(method::JOIN), 0);
}

/// With one thread, no task runs before the reload is seen.
#[tokio::test]
async fn without_an_identity_every_service_fails_and_a_reload_ends() {
    let fixture = TestCluster::new().await;
    fixture.cluster.set_down(true);
    let tunnel = json!({ "type": "database-tunnel", "service": "pg", "username": "u", "database": "d",
        "listen": "tcp://127.0.0.1:0" });
    let proxy = json!({ "type": "application-proxy", "listen": "tcp://127.0.0.1:0" });
    let (running, address) = start(&fixture, &[fixture.output("out"), tunnel, proxy]).await;
    let (status, body) = get_json(address, "/wait").await;
    let services = body["services"].as_object().unwrap();
    assert_eq!((status, services.len()), (503, 4), "{body}");
    for service in services.values() {
        assert_eq!((keys(service), &service["status"]), (UNHEALTHY.to_vec(), &json!("unhealthy")), "{body}");
        let reason = service["reason"].as_str().unwrap();
        assert!(reason.contains(&fixture.cluster.proxy_addr().to_string()), "{reason}");
    }
    running.control.reload();
    assert!(running.is_reloading());
    wait_until("the reload ends", || !running.is_reloading()).await;
    fixture.cluster.set_down(false);
    wait_until("the output is written", || {
        fixture.clock.advance(SECOND);
        fixture.path("out").join("identity").exists()
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_responds_like_readyz_after_the_first_attempts() {
    let fixture = TestCluster::new().await;
    let mut hold = fixture.cluster.hold_next(method::JOIN);
    // Fails only after the join, unlike a destination that cannot be written.
    let mut broken = fixture.output("broken");
    broken["name"] = json!("broken");
    broken["type"] = json!("application");
    broken["app_name"] = json!("missing");
    let (running, address) = start(&fixture, &[fixture.output("out"), broken]).await;
    hold.arrived().await;
    let wait = |path: &'static str| tokio::spawn(async move { get_json(address, path).await });
    let waiting = [wait("/wait"), wait("/wait/identity-1"), wait("/wait/broken")];
    assert_eq!(get(address, "/livez").await.0, 200);
    assert!(!waiting.iter().any(|wait| wait.is_finished()));
    hold.release();
    let [all, out, broken] = waiting;
    let (status, body) = all.await.unwrap();
    assert_eq!((status, &body["status"]), (503, &json!("unhealthy")));
    assert_eq!(keys(&body["services"]), ["broken", "identity", "identity-1"]);
    assert_eq!(get_json(address, "/readyz").await, (503, body));
    let (status, body) = out.await.unwrap();
    assert_eq!((status, keys(&body)), (200, HEALTHY.to_vec()));
    let (status, body) = broken.await.unwrap();
    assert_eq!((status, keys(&body)), (503, UNHEALTHY.to_vec()));
    assert_eq!(get(address, "/wait/identity").await.0, 200);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_wait_leave_connections_for_others() {
    let fixture = TestCluster::new().await;
    let mut hold = fixture.cluster.hold_next(method::JOIN);
    let (running, address) = start(&fixture, &[]).await;
    hold.arrived().await;
    let waiting: Vec<_> =
        (0..40).map(|_| tokio::spawn(async move { get(address, "/wait").await.0 })).collect();
    poll_until("some are refused", || async {
        waiting.iter().filter(|wait| wait.is_finished()).count() == 40 - 16
    })
    .await;
    assert_eq!(get(address, "/livez").await.0, 200);
    // A client that closes its connection does not count any more.
    waiting.iter().for_each(|wait| wait.abort());
    let mut new_client = tokio::spawn(async move { get(address, "/wait").await.0 });
    while tokio::time::timeout(Duration::from_millis(200), &mut new_client).await.is_ok() {
        new_client = tokio::spawn(async move { get(address, "/wait").await.0 });
    }
    hold.release();
    assert_eq!(new_client.await.unwrap(), 200);
    running.stop().await.unwrap();
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

/// Returns the names of metrics in a text: words that begin with `tbot_`.
fn metric_names(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("tbot_")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_alerts_refer_to_metrics_that_exist() {
    let fixture = TestCluster::new().await;
    let (running, address) = start(&fixture, &[fixture.output("out")]).await;
    let (_, page) = get(address, "/metrics").await;
    let types = page.lines().filter(|line| line.starts_with("# TYPE "));
    let exported = metric_names(&types.collect::<Vec<_>>().join("\n"));
    for file in ["packaging/prometheus/tbot.yml", "packaging/prometheus/tbot.test.yml"] {
        let used = metric_names(&std::fs::read_to_string(root().join(file)).unwrap());
        assert!(used.len() > 3, "{file}: {used:?}");
        assert_eq!(used.difference(&exported).next(), None, "{file} refers to it");
    }
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_and_methods_are_not_served() {
    let fixture = TestCluster::new().await;
    let (running, address) = start(&fixture, &[]).await;
    for path in ["/", "/debug/pprof/", "/metrics/", "/waiting"] {
        assert_eq!(get(address, path).await, (404, "not found\n".to_owned()), "{path}");
    }
    for path in ["/readyz/", "/readyz/nobody", "/wait/", "/wait/nobody"] {
        let (status, body) = get_json(address, path).await;
        assert_eq!((status, keys(&body)), (404, vec!["error"]), "{path}");
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
    assert!(error_line(&error, Some(&error.hint())).contains(&address), "{error}");
    assert!(fixture.cluster.requests().is_empty());
    // Oneshot mode does not listen.
    fixture.run_oneshot(config).await.unwrap();
}
