//! What a running agent survives: suspends, clock changes, outages, bursts of reloads, and calls that hang.

use serde_json::json;
use tbot_cluster::{Outcome, method};
use tracing::Level;

use super::fixture::{BOT, MINUTE, SECOND, TestCluster, read, wait_until};
use super::log_capture::{LogCapture, LogEvent};

#[tokio::test]
async fn after_a_suspend_everything_that_is_due_is_renewed_immediately() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let running = fixture.start(fixture.config("30m", &[fixture.output("out")]));
    let key = fixture.path("out").join("key");
    // There is only one thread, so the output already waits for its next renewal when this event is seen.
    wait_until("the output is written", || log.count(LogEvent::is_write) == 1).await;
    let first = read(&key);
    fixture.clock.advance(31 * MINUTE);
    wait_until("both are renewed", || read(&key) != first && fixture.stored_generation() == 2).await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_delays_no_renewal() {
    let fixture = TestCluster::new().await;
    let running = fixture.start(fixture.config("500ms", &[fixture.output("out")]));
    let key = fixture.path("out").join("key");
    wait_until("the output is written", || key.exists()).await;
    let first = read(&key);
    // More than the interval, but less than certificates are backdated by, so they stay valid.
    fixture.clock.set_back(50 * SECOND);
    wait_until("both are renewed", || read(&key) != first && fixture.stored_generation() >= 2).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_outage_at_the_start_and_its_end_are_logged_once() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    fixture.cluster.set_down(true);
    let running = fixture.start(fixture.config("30m", &[fixture.output("out")]));
    wait_until("four attempts have failed", || {
        fixture.clock.advance(MINUTE);
        log.count(|event| event.is_failure_of("identity")) == 4
    })
    .await;
    fixture.cluster.set_down(false);
    fixture.clock.advance(MINUTE);
    wait_until("the output is written", || fixture.path("out").join("identity").exists()).await;
    running.stop().await.unwrap();
    assert_eq!(log.count_level(Level::ERROR), 0, "{}", log.transcript());
    let warnings = log.events(|event| event.level == Level::WARN);
    assert!(warnings.len() == 1 && warnings[0].is_failure_of("identity"), "{}", log.transcript());
    assert_eq!(log.count(LogEvent::is_recovery), 1, "{}", log.transcript());
}

#[tokio::test]
async fn after_the_identity_expired_a_new_token_is_enough_to_recover() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let token = fixture.path("token");
    std::fs::write(&token, &fixture.token).unwrap();
    let mut config = fixture.config("30m", &[fixture.output("out")]);
    config["onboarding"]["token"] = json!(token);
    let running = fixture.start(config);
    let key = fixture.path("out").join("key");
    wait_until("the output is written", || log.count(LogEvent::is_write) == 1).await;
    let first = read(&key);
    fixture.cluster.set_down(true);
    fixture.clock.advance(120 * MINUTE);
    // The output does not try to connect with an expired identity, so its first failure is that it has none.
    wait_until("the output waits for an identity", || {
        log.count(|event| event.is_failure_of("identity-1")) > 0
    })
    .await;
    fixture.cluster.set_down(false);
    wait_until("the used token is refused", || {
        fixture.clock.advance(SECOND);
        log.count_level(Level::ERROR) == 1
    })
    .await;
    let joins = fixture.calls(method::JOIN);
    assert!(matches!(joins.last().unwrap().outcome, Outcome::Refused(..)), "{joins:?}");
    fixture.cluster.remove_bot(BOT);
    std::fs::write(&token, fixture.cluster.add_bot(BOT, &["access"]).unwrap()).unwrap();
    wait_until("identity and output recover", || {
        fixture.clock.advance(SECOND);
        read(&key) != first && log.count(LogEvent::is_recovery) == 2
    })
    .await;
    running.stop().await.unwrap();
    assert_eq!(log.count_level(Level::ERROR), 1, "{}", log.transcript());
}

#[tokio::test]
async fn a_burst_of_reloads_during_a_renewal_causes_one_more_renewal() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let running = fixture.start(fixture.config("30m", &[]));
    wait_until("the agent has joined", || log.count(LogEvent::is_new_identity) == 1).await;
    let mut hold = fixture.cluster.hold_next(method::GENERATE_USER_CERTS);
    running.control.reload();
    hold.arrived().await;
    for _ in 0..100 {
        running.control.reload();
    }
    hold.release();
    wait_until("two renewals are done", || log.count(LogEvent::is_new_identity) == 3).await;
    // There is only one thread, so the agent has already checked for further signals when this event is seen.
    insta::assert_snapshot!(log.transcript());
    running.stop().await.unwrap();
    assert_eq!((fixture.stored_generation(), fixture.cluster.generation(BOT)), (3, Some(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_that_hang_do_not_block_the_others() {
    let fixture = TestCluster::new().await;
    let mut holds: Vec<_> = (0..4).map(|_| fixture.cluster.hold_next(method::GET_ROLE)).collect();
    let names: Vec<String> = (0..20).map(|number| format!("out-{number}")).collect();
    let outputs: Vec<_> = names.iter().map(|name| fixture.output(name)).collect();
    let running = fixture.start(fixture.config("30m", &outputs));
    for hold in &mut holds {
        hold.arrived().await;
    }
    let written = || names.iter().filter(|name| fixture.path(name).join("identity").exists()).count();
    wait_until("all others are written", || written() == 16).await;
    drop(holds);
    wait_until("the outputs that hung are written", || written() == 20).await;
    running.stop().await.unwrap();
}
