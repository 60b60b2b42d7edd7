//! Continuous mode: schedule, reloads, outages and outputs that fail.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use tbot::agent::{JoinError, JoinReason, control};
use tbot_cluster::{Code, Outcome, method};
use tokio::runtime::Builder;
use tracing::{Instrument as _, Level};

use super::errors::join_error;
use super::fixture::{BOT, MINUTE, TestCluster, read, run_oneshot, wait_until};
use super::log_capture::{LogCapture, LogEvent};

#[tokio::test(flavor = "multi_thread")]
async fn identity_and_outputs_are_renewed_on_their_own_schedules() {
    let fixture = TestCluster::new().await;
    let mut slow = fixture.output("slow");
    slow["credential_ttl"] = json!("1h");
    slow["renewal_interval"] = json!("30m");
    let running = fixture.start(fixture.config("200ms", &[fixture.output("fast"), slow]));

    let [fast, slow] = ["fast", "slow"].map(|name| fixture.path(name).join("key"));
    wait_until("both outputs are written", || fast.exists() && slow.exists()).await;
    let [first_fast, first_slow] = [&fast, &slow].map(|key| read(key));
    wait_until("the fast output has a new key", || read(&fast) != first_fast).await;
    wait_until("the identity is renewed twice", || fixture.stored_generation() >= 3).await;
    running.stop().await.unwrap();

    assert_eq!(read(&slow), first_slow, "the slow output is not due for half an hour");
    assert_eq!(Some(fixture.stored_generation()), fixture.cluster.generation(BOT));
    assert_eq!(fixture.call_count(method::JOIN), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_in_memory_are_always_those_of_one_renewal() {
    let fixture = TestCluster::new().await;
    let output = json!({ "type": "identity", "destination": { "type": "memory" } });
    let running = fixture.start(fixture.config("100ms", &[output]));
    let mut keys = BTreeSet::new();
    wait_until("the output is renewed twice", || {
        let files = running.agent.files_in_memory(0);
        if let Some(key) = files.get("key") {
            assert!(files["identity"].starts_with(key));
            keys.insert(key.clone());
        }
        keys.len() > 2
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_renews_the_identity_and_outputs_immediately() {
    let fixture = TestCluster::new().await;
    let running = fixture.start(fixture.config("30m", &[fixture.output("out")]));
    let key = fixture.path("out").join("key");
    wait_until("the output is written", || key.exists()).await;
    assert_eq!(fixture.cluster.generation(BOT), Some(1));
    let before = read(&key);
    running.control.reload();
    wait_until("the output is renewed", || read(&key) != before).await;
    wait_until("the identity is renewed", || fixture.stored_generation() == 2).await;
    running.stop().await.unwrap();
    assert_eq!(fixture.cluster.generation(BOT), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_neither_ends_the_agent_nor_locks_its_bot() {
    let fixture = TestCluster::new().await;
    let running = fixture.start(fixture.config("100ms", &[fixture.output("out")]));
    let key = fixture.path("out").join("key");
    wait_until("the output is written", || key.exists()).await;

    // The cluster goes down during a call, so that the agent is certain to notice.
    let mut hold = fixture.cluster.hold_next(method::GET_ROLE);
    hold.arrived().await;
    fixture.cluster.set_down(true);
    let before = read(&key);
    fixture.clock.advance(MINUTE);
    fixture.cluster.set_down(false);
    hold.release();

    wait_until("the output is renewed", || read(&key) != before).await;
    running.stop().await.unwrap();
    assert!(!fixture.cluster.is_locked(BOT));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_started_during_an_outage_waits_until_it_can_join() {
    let fixture = TestCluster::new().await;
    for method in [method::FIND, method::JOIN] {
        fixture.cluster.fail_next(method, Code::Unavailable, "down for maintenance");
    }
    let running = fixture.start(fixture.config("30m", &[fixture.output("out")]));
    wait_until("the output is written", || fixture.path("out").join("identity").exists()).await;
    running.stop().await.unwrap();
    assert_eq!((fixture.call_count(method::FIND), fixture.call_count(method::JOIN)), (3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_join_is_refused_ends_immediately() {
    let fixture = TestCluster::new().await;
    let mut config = fixture.config("30m", &[fixture.output("out")]);
    config["onboarding"]["token"] = json!("unknown");
    let error = fixture.start(config).wait().await.unwrap_err();
    let (JoinReason::NothingStored, JoinError::Refused { status: 403, message, .. }) = join_error(error)
    else {
        panic!("not a refused join")
    };
    let [call] = &fixture.calls(method::JOIN)[..] else { panic!("joined more than once") };
    assert_eq!(call.outcome, Outcome::Refused(Code::PermissionDenied, message.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_fails_is_retried_and_does_not_stop_others() {
    let fixture = TestCluster::joined().await;
    std::fs::write(fixture.path("broken"), "a file instead of a directory").unwrap();
    let outputs = [fixture.output("broken"), fixture.output("out")];
    let running = fixture.start(fixture.config("30m", &outputs));
    wait_until("the other output is written", || fixture.path("out").join("identity").exists()).await;
    std::fs::remove_file(fixture.path("broken")).unwrap();
    wait_until("the repaired output is written", || fixture.path("broken").join("identity").exists()).await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_renewal_the_agent_keeps_its_identity_and_does_not_renew_again() {
    let fixture = TestCluster::new().await;
    fixture.run_oneshot(fixture.config("30m", &[])).await.unwrap();
    fixture.cluster.drop_next_response(method::GENERATE_USER_CERTS);
    let running = fixture.start(fixture.config("100ms", &[fixture.output("out")]));
    wait_until("the output is written three times", || fixture.call_count(method::REMOTE_CLUSTERS) >= 3)
        .await;
    running.stop().await.unwrap();
    assert_eq!((fixture.stored_generation(), fixture.cluster.generation(BOT)), (1, Some(2)));
    assert!(!fixture.cluster.is_locked(BOT));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_the_cluster_refuses_is_retried() {
    let fixture = TestCluster::new().await;
    fixture.cluster.fail_next(method::GET_ROLE, Code::Unknown, "backend unavailable");
    let running = fixture.start(fixture.config("30m", &[fixture.output("out")]));
    wait_until("the output is written", || fixture.path("out").join("identity").exists()).await;
    running.stop().await.unwrap();
    assert_eq!(fixture.call_count(method::GET_ROLE), 2);
}

#[tokio::test]
async fn an_unknown_version_of_the_cluster_is_logged_once() {
    let log = LogCapture::start();
    let fixture = TestCluster::with_version("14.3.1").await;
    let running = fixture.start(fixture.config("30m", &[fixture.output("out")]));
    wait_until("the output is written", || log.count(LogEvent::is_write) == 1).await;
    running.control.reload();
    wait_until("the output is written again", || log.count(LogEvent::is_write) == 2).await;
    running.stop().await.unwrap();
    let [warning] = &log.events(|event| event.level == Level::WARN)[..] else {
        panic!("{}", log.transcript())
    };
    assert!(warning.message.contains("14.3.1"), "{warning:?}");
}

/// Runs an agent in both modes, with an output to a directory that every user may write to, which its blocking work warns about.
async fn run_in_both_modes(fixture: &TestCluster) {
    let out = fixture.path("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::set_permissions(&out, std::fs::Permissions::from_mode(0o777)).unwrap();
    let agent = fixture.agent(fixture.config("20m", &[fixture.output("out")])).unwrap();
    run_oneshot(&agent).await.unwrap();
    let (control, signals) = control();
    let health = agent.health(&signals);
    let ready = async {
        wait_until("the output is written again", || health.report().is_ready()).await;
        control.shutdown();
    };
    let (result, ()) = tokio::join!(agent.run(signals), ready);
    result.unwrap();
}

#[test]
fn the_log_lines_of_two_agents_can_be_told_apart_by_a_span() {
    let log = LogCapture::start();
    let runtime =
        Builder::new_current_thread().enable_all().on_thread_start(log.for_threads()).build().unwrap();
    runtime.block_on(async {
        let (first, second) = (TestCluster::new().await, TestCluster::new().await);
        tokio::join!(
            run_in_both_modes(&first).instrument(tracing::info_span!("first")),
            run_in_both_modes(&second).instrument(tracing::info_span!("second")),
        );
    });
    for agent in ["first", "second"] {
        let count =
            |matches: fn(&LogEvent) -> bool| log.count(|event| event.span == Some(agent) && matches(event));
        assert_eq!(count(LogEvent::is_new_identity), 2, "{agent}: a join and a renewal");
        assert_eq!(count(LogEvent::is_write), 2, "{agent}");
        assert!(count(|event| event.level == Level::WARN) > 0, "{agent}: from a blocking thread");
    }
    let unknown = log.events(|event| event.span.is_none());
    assert!(unknown.is_empty(), "{unknown:?}");
}
