//! A running agent survives suspends, clock changes, outages, bursts of reloads, and calls that hang.

use std::io::ErrorKind;
use std::sync::Arc;

use serde_json::json;
use tbot::agent::{ApiError, JoinTokenError, RenewalError};
use tbot_cluster::{ClusterConfig, Code, MovableClock, Outcome, Role, StreamFault, clock, method};
use tokio::sync::Notify;
use tracing::Level;

use super::errors::{api_error, renewal_error};
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

/// Lets a minute pass for all timeouts, without waiting.
async fn pass_a_minute() {
    tokio::time::pause();
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn the_agent_waits_a_minute_for_a_response_that_it_cannot_request_again() {
    let fixture = TestCluster::new().await;
    for (method, generation) in [(method::JOIN, 1), (method::GENERATE_USER_CERTS, 2)] {
        let mut hold = fixture.cluster.hold_next(method);
        let release = async {
            hold.arrived().await;
            pass_a_minute().await;
            hold.release();
        };
        let (ended, ()) = tokio::join!(Box::pin(fixture.run_oneshot(fixture.config("20m", &[]))), release);
        ended.unwrap();
        assert_eq!(fixture.stored_generation(), generation);
        assert!(!fixture.has_renewal_marker());
    }
}

#[tokio::test]
async fn a_join_with_a_token_still_waits_for_its_certificates_after_a_minute() {
    let fixture = TestCluster::with_version("20.0.0").await;
    let reached = Arc::new(Notify::new());
    let stall = StreamFault::Stall { response: 2, reached: Arc::clone(&reached) };
    fixture.cluster.break_next_stream(method::JOIN_V1, stall);
    let wait_a_minute = async {
        reached.notified().await;
        pass_a_minute().await;
    };
    tokio::select! {
        ended = Box::pin(fixture.run_oneshot(fixture.config("20m", &[]))) => panic!("it did not wait: {ended:?}"),
        () = wait_a_minute => {}
    }
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
        fixture.clock.advance(SECOND);
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
async fn a_long_outage_is_mentioned_again_at_growing_intervals() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    fixture.cluster.set_down(true);
    let running = fixture.start(fixture.config("30m", &[]));
    let failures = || log.count(|event| event.is_failure_of("identity"));
    wait_until("an attempt has failed", || failures() > 0).await;
    // Each attempt waits for at most a minute. The token is valid for an hour.
    for attempt in 2..=45 {
        fixture.clock.advance(MINUTE);
        wait_until("another attempt has failed", || failures() >= attempt).await;
    }
    fixture.cluster.set_down(false);
    fixture.clock.advance(MINUTE);
    wait_until("the agent has joined", || log.count(LogEvent::is_new_identity) == 1).await;
    running.stop().await.unwrap();
    // At the start, and after about 5, 10, 20 and perhaps 40 minutes: an attempt may come up to a minute after a reminder is
    // due, which moves the next ones. The connection may also fail with a few different errors.
    assert!((4..13).contains(&log.count_level(Level::WARN)), "{}", log.transcript());
    assert_eq!(log.count(LogEvent::is_recovery), 1, "{}", log.transcript());
}

/// An administrator has removed the bot. The agent does not know whether the renewal was counted, and suspends renewals,
/// which is not a recovery.
#[tokio::test]
async fn a_suspended_renewal_is_not_logged_as_a_recovery() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let running = fixture.start(fixture.config("30m", &[]));
    wait_until("the agent has joined", || log.count(LogEvent::is_new_identity) == 1).await;
    fixture.cluster.fail_next(method::GENERATE_USER_CERTS, Code::PermissionDenied, "access denied");
    running.control.reload();
    wait_until("the renewal is refused, then suspended", || {
        fixture.clock.advance(SECOND);
        log.count_level(Level::ERROR) == 2
    })
    .await;
    running.stop().await.unwrap();
    assert_eq!(log.count(LogEvent::is_recovery), 0, "{}", log.transcript());
}

#[tokio::test]
async fn root_certificates_are_read_again_for_each_renewal() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let other = TestCluster::new().await;
    let running = fixture.start(fixture.config("30m", &[]));
    wait_until("the agent has joined", || log.count(LogEvent::is_new_identity) == 1).await;
    std::fs::copy(other.path("web-ca.pem"), fixture.path("web-ca.pem")).unwrap();
    running.control.reload();
    wait_until("the proxy is not trusted", || log.count(|event| event.is_failure_of("identity")) > 0).await;
    std::fs::write(fixture.path("web-ca.pem"), fixture.cluster.web_ca_pem()).unwrap();
    running.control.reload();
    wait_until("the proxy is trusted again", || log.count(LogEvent::is_new_identity) == 2).await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_that_is_a_pipe_or_huge_is_an_error() {
    let fixture = TestCluster::new().await;
    let [pipe, huge] = ["pipe", "huge"].map(|name| fixture.path(name));
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    std::fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    for (file, kind) in [(pipe, ErrorKind::InvalidInput), (huge, ErrorKind::FileTooLarge)] {
        let mut config = fixture.config("30m", &[]);
        config["onboarding"]["token"] = json!(file);
        let error = renewal_error(fixture.run_oneshot(config).await.unwrap_err());
        let RenewalError::JoinToken(JoinTokenError::Unreadable { path, error }) = error else {
            panic!("{error:?}")
        };
        assert_eq!((path, error.kind()), (file, kind));
    }
}

#[tokio::test]
async fn shortened_credentials_are_reported_once() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    for name in ["access", "deploy"] {
        fixture.cluster.set_role(Role { max_session_ttl: 10 * MINUTE, ..Role::new(name) });
    }
    let config = fixture.config("30m", &[fixture.output("out")]);
    fixture.run_oneshot(config.clone()).await.unwrap();
    let is_about_out =
        |event: &LogEvent| event.level == Level::WARN && event.field("service") == Some("identity-1");
    assert_eq!(log.count(is_about_out), 1, "{}", log.transcript());
    let running = fixture.start(config);
    for writes in 2..=4 {
        wait_until("the output is written", || log.count(LogEvent::is_write) == writes).await;
        running.control.reload();
    }
    running.stop().await.unwrap();
    assert_eq!(log.count(is_about_out), 2, "once per agent: {}", log.transcript());
}

#[tokio::test]
async fn credentials_that_have_expired_by_this_machines_clock_are_a_failure_and_not_written() {
    let log = LogCapture::start();
    let clock = MovableClock::new(clock::system());
    let fixture = TestCluster::with_config(ClusterConfig::new(clock::system()), clock).await;
    for name in ["access", "deploy"] {
        fixture.cluster.set_role(Role { max_session_ttl: 2 * MINUTE, ..Role::new(name) });
    }
    // The agent's clock is ahead of the cluster's.
    fixture.clock.advance(3 * MINUTE);
    let running = fixture.start(fixture.config("20m", &[fixture.output("out")]));
    wait_until("the output has failed", || log.count(|event| event.is_failure_of("identity-1")) > 0).await;
    running.stop().await.unwrap();
    let names_cause = |event: &LogEvent| event.message.contains("already expired");
    assert!(log.count(names_cause) > 0, "{}", log.transcript());
    assert_eq!(log.count(LogEvent::is_write), 0, "{}", log.transcript());
    assert!(!fixture.path("out/identity").exists());
}

#[tokio::test]
async fn a_load_balancer_that_limits_requests_does_not_end_a_starting_agent() {
    let fixture = TestCluster::new().await;
    fixture.cluster.fail_next(method::FIND, Code::ResourceExhausted, "slow down");
    let running = fixture.start(fixture.config("20m", &[fixture.output("out")]));
    wait_until("the output is written", || {
        fixture.clock.advance(SECOND);
        fixture.path("out/identity").exists()
    })
    .await;
    running.stop().await.unwrap();
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

/// The connection stays alive, so nothing but the time limit ends the call.
#[tokio::test]
async fn a_response_that_stalls_after_its_headers_is_a_failure() {
    let fixture = TestCluster::joined().await;
    let pings = fixture.call_count(method::PING);
    fixture.cluster.stall_next_response(method::PING);
    let renewal = fixture.run_oneshot(fixture.config("20m", &[]));
    let stalled = async {
        fixture.cluster.wait_for(method::PING, pings + 1).await;
        // Until the client has the headers. Then all timeouts expire immediately.
        tokio::time::sleep(SECOND / 5).await;
        tokio::time::pause();
    };
    let (renewed, ()) = tokio::join!(renewal, stalled);
    let error = api_error(renewed.unwrap_err());
    assert!(matches!(error, ApiError::NoResponse { method: method::PING, .. }), "{error:?}");
}
