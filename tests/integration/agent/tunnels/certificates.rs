//! The certificate of a tunnel: all connections share it, and it is issued again when one needs it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tbot_cluster::{ClusterConfig, Code, MovableClock, Resource, Role, clock, method};
use tokio::io::AsyncReadExt as _;
use tracing::Level;

use super::super::fixture::{HOUR, MINUTE, RunningAgent, SECOND, TestCluster, poll_until, wait_until};
use super::super::health::{get_json, metric};
use super::super::log_capture::{LogCapture, LogEvent};
use super::{cluster_with_app, connect, is_echoed, routed_certificates, start, tcp_tunnel};
use crate::agent::tunnels::resources::echo;

/// Starts an agent with a tunnel and a health server.
async fn start_with_health(fixture: &TestCluster) -> (RunningAgent, SocketAddr) {
    let mut config = fixture.config("20m", &[tcp_tunnel()]);
    config["diag_addr"] = json!("127.0.0.1:0");
    let running = start(fixture, config).await;
    let health = running.agent.diag_addr().unwrap();
    (running, health)
}

/// Lets time pass, after which the bot's identity must be renewed.
async fn pass(fixture: &TestCluster, health: SocketAddr, time: Duration) {
    let renewals = || metric(health, "tbot_renewals_total", "identity");
    let before = renewals().await;
    fixture.clock.advance(time);
    poll_until("the identity is renewed", || async { renewals().await > before }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_replaced_when_a_connection_begins_and_others_continue() {
    let fixture = cluster_with_app(echo().await).await;
    let (running, health) = start_with_health(&fixture).await;
    let mut old = connect(&running, 0).await;
    assert!(is_echoed(&mut old, "before").await);
    pass(&fixture, health, HOUR / 2).await;
    assert!(is_echoed(&mut connect(&running, 0).await, "the same certificate").await);
    assert_eq!(routed_certificates(&fixture), 1);
    // The certificate is valid for almost another minute, which is the default of `leeway`.
    pass(&fixture, health, HOUR / 2 - MINUTE + SECOND).await;
    assert_eq!(get_json(health, "/readyz/application-tunnel-1").await.1["status"], "healthy");
    assert_eq!(routed_certificates(&fixture), 1, "nothing needs another one yet");
    assert!(is_echoed(&mut connect(&running, 0).await, "another certificate").await);
    assert_eq!(routed_certificates(&fixture), 2);
    // An idle tunnel lets its certificate expire.
    pass(&fixture, health, HOUR / 2).await;
    pass(&fixture, health, HOUR / 2).await;
    pass(&fixture, health, HOUR / 2).await;
    assert_eq!(routed_certificates(&fixture), 2);
    assert_eq!(get_json(health, "/readyz").await.0, 200);
    assert!(is_echoed(&mut old, "after").await);
    assert!(is_echoed(&mut connect(&running, 0).await, "a third certificate").await);
    assert_eq!(routed_certificates(&fixture), 3);
    drop(old);
    for (name, expected) in
        [("tbot_connections_total", 4), ("tbot_connection_failures_total", 0), ("tbot_open_connections", 0)]
    {
        poll_until(name, || async { metric(health, name, "application-tunnel-1").await == Some(expected) })
            .await;
    }
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_begin_at_the_same_time_wait_for_one_attempt() {
    let fixture = cluster_with_app(echo().await).await;
    let mut held = fixture.cluster.hold_next(method::GENERATE_USER_CERTS);
    let (running, health) = start_with_health(&fixture).await;
    held.arrived().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(connect(&running, 0).await);
    }
    held.release();
    for client in &mut clients {
        assert!(is_echoed(client, "hello").await);
    }
    assert_eq!(routed_certificates(&fixture), 1);
    // The same after the certificate has expired.
    pass(&fixture, health, HOUR / 2).await;
    pass(&fixture, health, HOUR / 2).await;
    pass(&fixture, health, HOUR / 2).await;
    let before = fixture.call_count(method::LIST_RESOURCES);
    let mut held = fixture.cluster.hold_next(method::LIST_RESOURCES);
    for _ in 0..20 {
        clients.push(connect(&running, 0).await);
    }
    held.arrived().await;
    held.release();
    for client in &mut clients {
        assert!(is_echoed(client, "hello").await);
    }
    assert_eq!((routed_certificates(&fixture), fixture.call_count(method::LIST_RESOURCES)), (2, before + 1));
    drop(clients);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_failed_attempt_closes_only_the_connections_that_need_it_and_is_logged_once() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let mut config = fixture.config("20m", &[tcp_tunnel(), fixture.output("out")]);
    config["diag_addr"] = json!("127.0.0.1:0");
    let running = start(&fixture, config).await;
    let health = running.agent.diag_addr().unwrap();
    // The application does not exist yet.
    for _ in 0..5 {
        let mut received = Vec::new();
        connect(&running, 0).await.read_to_end(&mut received).await.unwrap();
        assert!(received.is_empty());
    }
    wait_until("the output is written", || fixture.path("out/identity").exists()).await;
    let (status, body) = get_json(health, "/readyz/application-tunnel-1").await;
    assert_eq!((status, &body["status"]), (503, &json!("unhealthy")));
    assert!(body["reason"].as_str().unwrap().contains("app"), "{body}");
    assert!(metric(health, "tbot_connection_failures_total", "application-tunnel-1").await >= Some(4));

    fixture
        .cluster
        .add_resource(Resource::tcp_application("app", "app.127.0.0.1").served_by(echo().await.address));
    assert!(is_echoed(&mut connect(&running, 0).await, "hello").await);
    assert_eq!(get_json(health, "/readyz").await.0, 200);
    running.stop().await.unwrap();
    let of_tunnel = |level| {
        log.count(|event| event.level == level && event.field("service") == Some("application-tunnel-1"))
    };
    assert_eq!(of_tunnel(Level::WARN), 1, "{}", log.transcript());
    assert_eq!(log.count_level(Level::ERROR), 0, "{}", log.transcript());
}

#[tokio::test]
async fn a_certificate_that_has_expired_by_this_machines_clock_is_a_failure() {
    let log = LogCapture::start();
    let clock = MovableClock::new(clock::system());
    let fixture = TestCluster::with_config(ClusterConfig::new(clock::system()), clock).await;
    fixture
        .cluster
        .add_resource(Resource::tcp_application("app", "app.127.0.0.1").served_by(echo().await.address));
    fixture.cluster.set_role(Role { max_session_ttl: 2 * MINUTE, ..Role::new("access") });
    // The agent's clock is ahead of the cluster's.
    fixture.clock.advance(3 * MINUTE);
    let mut config = fixture.config("20m", &[tcp_tunnel()]);
    config["diag_addr"] = json!("127.0.0.1:0");
    let running = start(&fixture, config).await;
    assert!(!is_echoed(&mut connect(&running, 0).await, "hello").await);
    let health = running.agent.diag_addr().unwrap();
    assert_eq!(get_json(health, "/readyz/application-tunnel-1").await.1["status"], "unhealthy");
    running.stop().await.unwrap();
    let names_cause =
        |event: &LogEvent| event.level == Level::WARN && event.message.contains("already expired");
    assert_eq!(log.count(names_cause), 1, "{}", log.transcript());
}

#[tokio::test]
async fn a_certificate_that_the_proxy_refuses_is_replaced() {
    /// With this version, it is refused before the connection is open.
    static TLS12: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
    for tls_versions in [rustls::DEFAULT_VERSIONS, &TLS12] {
        let (clock, cluster_clock) = (MovableClock::new(clock::system()), MovableClock::new(clock::system()));
        let config = ClusterConfig { tls_versions, ..ClusterConfig::new(cluster_clock.clock()) };
        let fixture = TestCluster::with_config(config, clock).await;
        fixture
            .cluster
            .add_resource(Resource::tcp_application("app", "app.127.0.0.1").served_by(echo().await.address));
        fixture.cluster.set_role(Role { max_session_ttl: 10 * MINUTE, ..Role::new("access") });
        let running = start(&fixture, fixture.config("20m", &[tcp_tunnel()])).await;
        assert!(is_echoed(&mut connect(&running, 0).await, "before").await);
        // For the agent, whose clock is behind, the certificate is still valid.
        cluster_clock.advance(11 * MINUTE);
        fixture.clock.advance(MINUTE);
        poll_until("a connection works again", || async {
            is_echoed(&mut connect(&running, 0).await, "after").await
        })
        .await;
        running.stop().await.unwrap();
    }
}

#[tokio::test]
async fn an_outage_ends_connections_and_new_ones_work_as_soon_as_it_is_over() {
    let log = LogCapture::start();
    let fixture = cluster_with_app(echo().await).await;
    let running = start(&fixture, fixture.config("20m", &[tcp_tunnel()])).await;
    let mut client = connect(&running, 0).await;
    assert!(is_echoed(&mut client, "before").await);
    fixture.cluster.set_down(true);
    assert!(!is_echoed(&mut client, "during").await);
    for _ in 0..20 {
        assert!(!is_echoed(&mut connect(&running, 0).await, "during").await);
    }
    fixture.clock.advance(HOUR / 2);
    fixture.cluster.set_down(false);
    wait_until("the identity is renewed", || fixture.stored_generation() == 2).await;
    assert!(is_echoed(&mut connect(&running, 0).await, "after").await);
    running.stop().await.unwrap();
    let warnings = log
        .count(|event| event.level == Level::WARN && event.field("service") == Some("application-tunnel-1"));
    // One for each way in which a connection ends that the cluster closes at once.
    assert!((1..=3).contains(&warnings), "{}", log.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_issues_another_certificate_and_keeps_listener_and_connections() {
    let fixture = cluster_with_app(echo().await).await;
    let running = start(&fixture, fixture.config("20m", &[tcp_tunnel()])).await;
    let address = running.agent.listen_addr(0);
    let mut client = connect(&running, 0).await;
    assert!(is_echoed(&mut client, "before").await);
    running.control.reload();
    wait_until("another certificate is issued", || routed_certificates(&fixture) == 2).await;
    assert!(is_echoed(&mut client, "after").await);
    assert!(is_echoed(&mut connect(&running, 0).await, "new").await);
    assert_eq!(running.agent.listen_addr(0), address);
    // A reload that fails keeps the certificate.
    fixture.cluster.fail_next(method::LIST_RESOURCES, Code::Unavailable, "a test");
    let calls = fixture.call_count(method::LIST_RESOURCES);
    running.control.reload();
    wait_until("the reload has failed", || fixture.call_count(method::LIST_RESOURCES) > calls).await;
    assert!(is_echoed(&mut connect(&running, 0).await, "still").await);
    drop(client);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_leeway_that_is_longer_than_the_lifetime_is_ignored_with_a_warning() {
    let log = LogCapture::start();
    let fixture = cluster_with_app(echo().await).await;
    let mut config = fixture.config("20m", &[tcp_tunnel()]);
    config["leeway"] = json!("2h");
    let running = start(&fixture, config).await;
    for _ in 0..3 {
        assert!(is_echoed(&mut connect(&running, 0).await, "hello").await);
    }
    running.stop().await.unwrap();
    assert_eq!(routed_certificates(&fixture), 1);
    let warnings = log.events(|event| event.level == Level::WARN);
    assert!(
        warnings.len() == 1 && warnings[0].field("service") == Some("application-tunnel-1"),
        "{}",
        log.transcript()
    );
}

/// The connection was never open, so there is nothing to wait for.
#[tokio::test]
async fn a_shutdown_closes_connections_that_wait_for_a_certificate() {
    let log = LogCapture::start();
    let fixture = cluster_with_app(echo().await).await;
    let (running, health) = start_with_health(&fixture).await;
    assert!(is_echoed(&mut connect(&running, 0).await, "before").await);
    pass(&fixture, health, HOUR / 2).await;
    pass(&fixture, health, HOUR / 2).await;
    let mut held = fixture.cluster.hold_next(method::LIST_RESOURCES);
    let mut client = connect(&running, 0).await;
    held.arrived().await;
    running.stop().await.unwrap();
    // A stop that has waited for the connection warns when it closes it.
    assert_eq!(log.events(|event| event.level == Level::WARN).len(), 0, "{}", log.transcript());
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
}

/// The clock of the proxy is far ahead, so it refuses every certificate. Connections that follow each other do not cost one each.
#[tokio::test]
async fn a_certificate_that_was_just_issued_is_not_replaced_if_the_proxy_refuses_it() {
    let clock = MovableClock::new(clock::system());
    let cluster_clock = MovableClock::new(clock::system());
    let config = ClusterConfig::new(cluster_clock.clock());
    let fixture = TestCluster::with_config(config, clock).await;
    fixture
        .cluster
        .add_resource(Resource::tcp_application("app", "app.127.0.0.1").served_by(echo().await.address));
    fixture.cluster.set_role(Role { max_session_ttl: 10 * MINUTE, ..Role::new("access") });
    let (running, health) = start_with_health(&fixture).await;
    assert!(is_echoed(&mut connect(&running, 0).await, "before").await);
    assert_eq!(get_json(health, "/readyz").await.1["status"], "healthy");
    cluster_clock.advance(11 * MINUTE);
    assert!(!is_echoed(&mut connect(&running, 0).await, "after").await);
    let mut monitor = running.monitor();
    for _ in 0..20 {
        assert!(!is_echoed(&mut connect(&running, 0).await, "after").await);
    }
    tokio::select! {
        biased;
        () = monitor.changed() => panic!("the tunnel has worked for a moment"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(routed_certificates(&fixture), 1);
    let (status, body) = get_json(health, "/readyz/application-tunnel-1").await;
    assert_eq!((status, &body["status"]), (200, &json!("failing")), "{body}");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_tunnel_that_cannot_connect_names_the_reason_until_it_can() {
    let fixture = cluster_with_app(echo().await).await;
    let (running, health) = start_with_health(&fixture).await;
    assert!(is_echoed(&mut connect(&running, 0).await, "before").await);
    let status = || async { get_json(health, "/readyz/application-tunnel-1").await.1 };
    let before = status().await;
    assert!(before["reason"].is_null(), "{before}");
    fixture.clock.advance(SECOND);
    fixture.cluster.set_down(true);
    assert!(!is_echoed(&mut connect(&running, 0).await, "during").await);
    poll_until("the reason is named", || async { status().await["reason"].is_string() }).await;
    let during = status().await;
    fixture.clock.advance(SECOND);
    fixture.cluster.set_down(false);
    let mut client = connect(&running, 0).await;
    assert!(is_echoed(&mut client, "after").await);
    let after = status().await;
    assert!(after["reason"].is_null(), "{after}");
    let times = [before, during, after].map(|status| status["updated_at"].as_str().unwrap().to_owned());
    assert!(times.is_sorted_by(|earlier, later| earlier < later), "{times:?}");
    drop(client);
    running.stop().await.unwrap();
}
