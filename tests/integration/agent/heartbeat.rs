//! Heartbeats to the bot's own cluster: what they contain, when they are sent, and that they never fail a run.

use std::path::Path;

use serde_json::json;
use tbot::agent::control;
use tbot_cluster::proto::{
    BotInstanceHealthStatus, BotInstanceServiceHealth, BotKind, SubmitHeartbeatRequest,
};
use tbot_cluster::{Code, method};
use tracing::Level;

use super::errors::failed_outputs;
use super::fixture::{MINUTE, SECOND, TestCluster, read, wait_until};
use super::log_capture::LogCapture;

/// A version that knows heartbeats.
const VERSION: &str = "18.2.5";

fn heartbeats(fixture: &TestCluster) -> Vec<SubmitHeartbeatRequest> {
    fixture.calls(method::SUBMIT_HEARTBEAT).iter().map(|call| call.decode().unwrap()).collect()
}

/// Lets time pass until there are more than `count` heartbeats.
async fn wait_for_another(fixture: &TestCluster, count: usize) {
    wait_until("another heartbeat", || {
        fixture.clock.advance(MINUTE / 4);
        heartbeats(fixture).len() > count
    })
    .await;
}

/// The type, name, status and reason of a service.
type Described = (String, String, BotInstanceHealthStatus, Option<String>);

fn described(service: &BotInstanceServiceHealth) -> Described {
    assert!(service.updated_at.is_some());
    let id = service.service.clone().unwrap();
    (id.r#type, id.name, service.status(), service.reason.clone())
}

fn healthy(service_type: &str, name: &str) -> Described {
    (service_type.to_owned(), name.to_owned(), BotInstanceHealthStatus::Healthy, None)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oneshot_run_ends_with_one_heartbeat() {
    let fixture = TestCluster::with_version(VERSION).await;
    let broken = json!({
        "type": "application", "app_name": "missing", "destination": { "type": "memory" }, "name": "broken",
    });
    let config = fixture.config("20m", &[fixture.output("out"), broken]);
    failed_outputs(&fixture.run_oneshot(config).await.unwrap_err());

    let [sent] = &heartbeats(&fixture)[..] else { panic!("not one heartbeat") };
    let heartbeat = sent.heartbeat.clone().unwrap();
    assert!(heartbeat.is_startup && heartbeat.one_shot && heartbeat.recorded_at.is_some());
    assert_eq!(heartbeat.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(heartbeat.hostname, read(Path::new("/proc/sys/kernel/hostname")).trim());
    assert_eq!((heartbeat.join_method.as_str(), heartbeat.os.as_str()), ("token", "linux"));
    assert_eq!(heartbeat.kind(), BotKind::TbotBinary);
    let [identity, output, broken] = &sent.service_health[..] else { panic!("{sent:?}") };
    assert_eq!(described(identity), healthy("internal/identity", "identity"));
    assert_eq!(described(output), healthy("identity", "identity-1"));
    let (service_type, name, status, reason) = described(broken);
    assert_eq!((service_type.as_str(), name.as_str()), ("application", "broken"));
    assert_eq!(status, BotInstanceHealthStatus::Unhealthy);
    assert!(reason.unwrap().contains("missing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_during_the_heartbeat_does_not_change_the_result_of_a_oneshot_run() {
    let fixture = TestCluster::with_version(VERSION).await;
    let broken = json!({ "type": "application", "app_name": "missing", "destination": { "type": "memory" } });
    for (outputs, fails) in [(vec![fixture.output("out")], false), (vec![broken], true)] {
        let mut held = fixture.cluster.hold_next(method::SUBMIT_HEARTBEAT);
        let agent = fixture.agent(fixture.config("20m", &outputs)).unwrap();
        let (control, signals) = control();
        let run = tokio::spawn(async move { agent.run_once(signals).await });
        held.arrived().await;
        control.shutdown();
        match run.await.unwrap() {
            Ok(()) => assert!(!fails),
            Err(error) => assert_eq!((fails, failed_outputs(&error).len()), (true, 1)),
        }
    }
}

#[tokio::test]
async fn a_run_without_an_identity_sends_none() {
    let fixture = TestCluster::with_version(VERSION).await;
    fixture.cluster.fail_next(method::JOIN, Code::PermissionDenied, "token not found");
    fixture.run_oneshot(fixture.config("20m", &[fixture.output("out")])).await.unwrap_err();
    assert_eq!(fixture.call_count(method::SUBMIT_HEARTBEAT), 0);
}

/// A cluster that does not respond to heartbeats delays the end of a run only up to a limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_oneshot_run_does_not_wait_forever_for_its_heartbeat() {
    let fixture = TestCluster::with_version(VERSION).await;
    let _held = fixture.cluster.hold_next(method::SUBMIT_HEARTBEAT);
    fixture.run_oneshot(fixture.config("20m", &[fixture.output("out")])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_a_heartbeat() {
    let fixture = TestCluster::with_version(VERSION).await;
    let mut held = fixture.cluster.hold_next(method::SUBMIT_HEARTBEAT);
    let agent = fixture.start(fixture.config("20m", &[]));
    held.arrived().await;
    agent.stop().await.unwrap();
    // The call was cancelled, and not answered or timed out.
    held.abandoned().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_sends_one_after_the_first_attempts_and_every_half_hour() {
    let fixture = TestCluster::with_version(VERSION).await;
    let agent = fixture.start(fixture.config("20m", &[fixture.output("out")]));
    wait_until("the first heartbeat", || heartbeats(&fixture).len() == 1).await;
    wait_for_another(&fixture, 1).await;
    agent.stop().await.unwrap();
    let sent = heartbeats(&fixture);
    let is_startup: Vec<bool> = sent.iter().map(|sent| sent.heartbeat.clone().unwrap().is_startup).collect();
    assert_eq!(is_startup[..2], [true, false]);
    let services: Vec<_> = sent[0].service_health.iter().map(described).collect();
    assert_eq!(services, [healthy("internal/identity", "identity"), healthy("identity", "identity-1")]);
}

#[tokio::test]
async fn a_refused_heartbeat_is_a_warning_and_sent_again() {
    let log = LogCapture::start();
    let fixture = TestCluster::with_version(VERSION).await;
    fixture.cluster.fail_next(method::SUBMIT_HEARTBEAT, Code::Internal, "backend");
    fixture.run_oneshot(fixture.config("20m", &[fixture.output("out")])).await.unwrap();
    assert_eq!(warnings(&log), 1);

    fixture.cluster.fail_next(method::SUBMIT_HEARTBEAT, Code::Internal, "backend");
    let agent = fixture.start(fixture.config("20m", &[]));
    wait_until("the first heartbeat", || heartbeats(&fixture).len() == 2).await;
    wait_for_another(&fixture, 2).await;
    agent.stop().await.unwrap();
    assert!(heartbeats(&fixture)[2].heartbeat.clone().unwrap().is_startup, "none has arrived before");
}

#[tokio::test]
async fn a_cluster_that_learns_heartbeats_gets_one_as_soon_as_it_is_due() {
    let log = LogCapture::start();
    let fixture = TestCluster::with_version(VERSION).await;
    fixture.cluster.fail_next(
        method::SUBMIT_HEARTBEAT,
        Code::Unimplemented,
        "unknown method SubmitHeartbeat",
    );
    let agent = fixture.start(fixture.config("20m", &[]));
    wait_until("the attempt", || heartbeats(&fixture).len() == 1).await;
    fixture.clock.advance(26 * MINUTE);
    wait_until("a renewal", || fixture.stored_generation() == 2).await;
    assert_eq!(heartbeats(&fixture).len(), 1, "not due yet");
    wait_for_another(&fixture, 1).await;
    agent.stop().await.unwrap();
    assert!(heartbeats(&fixture)[1].heartbeat.clone().unwrap().is_startup, "none has arrived before");
    assert_eq!(warnings(&log), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_failed_is_repeated_before_the_next_is_due() {
    let fixture = TestCluster::with_version(VERSION).await;
    for _ in 0..2 {
        fixture.cluster.fail_next(method::SUBMIT_HEARTBEAT, Code::Unavailable, "no backend");
    }
    let agent = fixture.start(fixture.config("20m", &[]));
    wait_until("the first heartbeat", || heartbeats(&fixture).len() == 1).await;
    let first = fixture.clock.now();
    wait_until("two more heartbeats", || {
        // Slowly, because time also passes while a heartbeat is on its way.
        fixture.clock.advance(SECOND / 4);
        heartbeats(&fixture).len() == 3
    })
    .await;
    let passed = fixture.clock.now().duration_since(first).unwrap();
    assert!(passed < 20 * MINUTE, "{passed:?}");
    agent.stop().await.unwrap();
}

fn warnings(log: &LogCapture) -> usize {
    log.events(|event| event.level == Level::WARN && event.field("service") == Some("heartbeat")).len()
}
