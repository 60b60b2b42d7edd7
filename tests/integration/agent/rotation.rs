//! Rotations of the cluster's certificate authorities, phase by phase: a running agent updates its trust and its files
//! without a restart.

use std::path::Path;
use std::time::Duration;

use tbot_cluster::{Cluster, Code, Phase, method};
use tracing::Level;

use super::fixture::{BOT, RunningAgent, SECOND, TestCluster, read, wait_until};
use super::log_capture::{LogCapture, LogEvent};

const AUTHORITIES: [&str; 3] = ["host", "user", "db"];
/// The time between a change that the agent must follow and the renewal that follows it.
const DEBOUNCE: Duration = Duration::from_secs(10);

/// Starts an agent with one output that is not due for half an hour, and waits until it watches the authorities.
async fn start_watching(fixture: &TestCluster, log: &LogCapture) -> RunningAgent {
    let running = fixture.start(fixture.config("30m", &[fixture.output("out")]));
    wait_until("the output is written", || fixture.path("out").join("identity").exists()).await;
    // The agent reads the state of each authority once, after the stream of events has begun.
    wait_until("the agent watches", || states_seen(log) == AUTHORITIES.len()).await;
    running
}

fn rotate(fixture: &TestCluster, phase: Phase) {
    for authority in AUTHORITIES {
        fixture.cluster.rotate(authority, phase).unwrap();
    }
}

/// Whether the output and the bot's identity have the same authorities as the cluster.
fn is_up_to_date(fixture: &TestCluster) -> bool {
    let output_has = |name: &str, authority| {
        let path = fixture.path("out").join(name);
        path.exists() && read(&path) == fixture.cluster.authority_pem(authority)
    };
    output_has("teleport-host-ca.crt", "host")
        && output_has("teleport-user-ca.crt", "user")
        && output_has("teleport-database-ca.crt", "db")
        && trusted(&fixture.storage().join("tlscacerts")) == current(&fixture.cluster, &["user", "host"])
}

fn count_certificates(pem: &str) -> usize {
    pem.matches("BEGIN CERTIFICATE").count()
}

/// The number of certificates in a file.
fn trusted(path: &Path) -> usize {
    count_certificates(&read(path))
}

/// The number of certificates that these authorities have now.
fn current(cluster: &Cluster, authorities: &[&str]) -> usize {
    authorities.iter().map(|authority| count_certificates(&cluster.authority_pem(authority))).sum()
}

/// The number of authority states that the agent has seen.
fn states_seen(log: &LogCapture) -> usize {
    log.count(LogEvent::is_authority_state)
}

/// The number of authority states that the agent has decided to follow, which it logs at info.
fn states_to_follow(log: &LogCapture) -> usize {
    log.count(|event| event.is_authority_state() && event.level == Level::INFO)
}

/// Moves all authorities to `phase` and waits until the agent has seen the change.
async fn enter_phase(fixture: &TestCluster, log: &LogCapture, phase: Phase) {
    let seen = states_seen(log);
    let early_renewals = log.count(LogEvent::is_early_renewal);
    rotate(fixture, phase);
    wait_until("the agent has seen each authority", || states_seen(log) == seen + AUTHORITIES.len()).await;
    // There is only one thread, so this lets the agent do everything that it does immediately.
    tokio::task::yield_now().await;
    assert_eq!(
        log.count(LogEvent::is_early_renewal),
        early_renewals,
        "renewed before the rotation has settled"
    );
}

/// Moves all authorities to `phase` and expects a single renewal that brings the agent up to date.
async fn expect_followed(fixture: &TestCluster, log: &LogCapture, phase: Phase) {
    let before = fixture.stored_generation();
    enter_phase(fixture, log, phase).await;
    fixture.clock.advance(DEBOUNCE);
    wait_until("the agent follows", || fixture.stored_generation() == before + 1 && is_up_to_date(fixture))
        .await;
}

/// Moves all authorities to `phase` and expects that the agent has nothing to follow.
async fn expect_ignored(fixture: &TestCluster, log: &LogCapture, phase: Phase) {
    let before = states_to_follow(log);
    enter_phase(fixture, log, phase).await;
    assert_eq!(states_to_follow(log), before, "{phase:?}");
}

/// Reloads the agent and waits until identity and output are renewed.
async fn expect_renewal_works(fixture: &TestCluster, running: &RunningAgent) {
    let key = fixture.path("out").join("key");
    let (generation, old_key) = (fixture.stored_generation(), read(&key));
    running.control.reload();
    wait_until("identity and output are renewed", || {
        fixture.stored_generation() > generation && read(&key) != old_key
    })
    .await;
}

#[tokio::test]
async fn a_complete_rotation_is_followed_without_a_restart() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let running = start_watching(&fixture, &log).await;
    let old = fixture.cluster.authority_pem("host");
    expect_ignored(&fixture, &log, Phase::Init).await;
    expect_followed(&fixture, &log, Phase::UpdateClients).await;
    expect_ignored(&fixture, &log, Phase::UpdateServers).await;
    expect_renewal_works(&fixture, &running).await;
    expect_followed(&fixture, &log, Phase::Standby).await;
    expect_renewal_works(&fixture, &running).await;
    assert_ne!(fixture.cluster.authority_pem("host"), old);
    assert_eq!(fixture.call_count(method::WATCH_EVENTS), 1, "the stream of events was reopened");
    running.stop().await.unwrap();
    assert_eq!((fixture.call_count(method::JOIN), fixture.cluster.is_locked(BOT)), (1, false));
}

#[tokio::test]
async fn a_rollback_is_followed_from_every_phase() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let running = start_watching(&fixture, &log).await;
    let old = AUTHORITIES.map(|authority| fixture.cluster.authority_pem(authority));
    let phases = [Phase::Init, Phase::UpdateClients, Phase::UpdateServers];
    for last in 1..=phases.len() {
        for phase in &phases[..last] {
            if *phase == Phase::UpdateClients {
                expect_followed(&fixture, &log, *phase).await;
            } else {
                expect_ignored(&fixture, &log, *phase).await;
            }
        }
        expect_followed(&fixture, &log, Phase::Rollback).await;
        expect_renewal_works(&fixture, &running).await;
        expect_followed(&fixture, &log, Phase::Standby).await;
        expect_renewal_works(&fixture, &running).await;
        assert_eq!(AUTHORITIES.map(|authority| fixture.cluster.authority_pem(authority)), old);
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_change_while_the_stream_is_interrupted_is_noticed_afterwards() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let running = start_watching(&fixture, &log).await;
    rotate(&fixture, Phase::Init);
    // The stream ends, and the next one cannot begin before the change.
    let hold = fixture.cluster.hold_next(method::WATCH_EVENTS);
    fixture.cluster.end_event_streams();
    fixture.clock.advance(SECOND);
    rotate(&fixture, Phase::UpdateClients);
    hold.release();
    wait_until("the next stream has begun", || fixture.call_count(method::WATCH_EVENTS) == 2).await;
    wait_until("the agent follows", || {
        fixture.clock.advance(Duration::from_millis(100));
        fixture.stored_generation() == 2 && is_up_to_date(&fixture)
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_refused_stream_is_logged_once_at_info_and_retried() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    for _ in 0..3 {
        fixture.cluster.fail_next(method::WATCH_EVENTS, Code::Unimplemented, "unknown method WatchEvents");
    }
    let running = fixture.start(fixture.config("30m", &[fixture.output("out")]));
    let attempts = |count| {
        let fixture = &fixture;
        async move {
            wait_until("the agent retries", || {
                fixture.clock.advance(Duration::from_millis(500));
                fixture.call_count(method::WATCH_EVENTS) == count
            })
            .await;
        }
    };
    attempts(4).await;
    fixture.cluster.wait_for(method::WATCH_EVENTS, 4).await;
    fixture.cluster.end_event_streams();
    attempts(5).await;
    running.stop().await.unwrap();
    let warnings = log.count(|event| event.level <= Level::WARN);
    let refusals = log.events(|event| event.level == Level::INFO && event.field("retry").is_some());
    assert_eq!((warnings, refusals.len()), (0, 1), "{}", log.transcript());
    assert!(refusals[0].message.contains("Unimplemented"), "{refusals:?}");
}
