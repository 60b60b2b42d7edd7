//! Running agents: their schedule, outages, broken outputs, reloads, stops.

use std::time::Duration;

use serde_json::json;
use tbot_cluster::{Code, method};

use super::lab::{BOT, Lab, listen, read, until};

#[tokio::test(flavor = "multi_thread")]
async fn identity_and_outputs_are_renewed_on_their_own_schedule() {
    let lab = Lab::new().await;
    let mut slow = lab.output("slow");
    slow["credential_ttl"] = json!("1h");
    slow["renewal_interval"] = json!("30m");
    let running = lab.start(lab.config("200ms", &[lab.output("fast"), slow]));

    let [fast, slow] = ["fast", "slow"].map(|name| lab.path(name).join("key"));
    until("both outputs are written", || fast.exists() && slow.exists()).await;
    let [first_fast, first_slow] = [&fast, &slow].map(|key| read(key));
    until("the fast one has a new key", || read(&fast) != first_fast).await;
    until("the identity is renewed twice", || lab.stored_generation() >= 3).await;
    running.stop().await.unwrap();

    assert_eq!(read(&slow), first_slow, "the slow one is not due for half an hour");
    assert_eq!(Some(lab.stored_generation()), lab.cluster.generation(BOT));
    let slow_ones =
        lab.calls(method::GET_ROLE) - lab.calls(method::REMOTE_CLUSTERS).min(lab.calls(method::GET_ROLE));
    assert!(slow_ones <= 1);
    assert_eq!(lab.calls(method::JOIN), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_renews_identity_and_outputs_now() {
    let lab = Lab::new().await;
    let running = lab.start(lab.config("30m", &[lab.output("out")]));
    let key = lab.path("out").join("key");
    until("the output is written", || key.exists()).await;
    assert_eq!(lab.cluster.generation(BOT), Some(1));
    let before = read(&key);
    running.control.reload();
    until("the output is renewed", || read(&key) != before).await;
    until("the identity is renewed", || lab.stored_generation() == 2).await;
    running.stop().await.unwrap();
    assert_eq!(lab.cluster.generation(BOT), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_neither_kills_an_agent_nor_locks_its_bot() {
    let lab = Lab::new().await;
    let running = lab.start(lab.config("100ms", &[lab.output("out")]));
    let key = lab.path("out").join("key");
    until("the output is written", || key.exists()).await;

    // The cluster goes down in the middle of a call, so that the agent surely notices.
    let mut hold = lab.cluster.hold_next(method::GET_ROLE);
    hold.arrived().await;
    lab.cluster.set_down(true);
    let before = read(&key);
    lab.clock.advance(Duration::from_secs(60));
    lab.cluster.set_down(false);
    hold.release();

    until("the output is renewed", || read(&key) != before).await;
    running.stop().await.unwrap();
    assert!(!lab.cluster.is_locked(BOT));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_starts_in_an_outage_waits_for_its_end() {
    let lab = Lab::new().await;
    for asked in [method::FIND, method::JOIN] {
        lab.cluster.fail_next(asked, Code::Unavailable, "down for maintenance");
    }
    let running = lab.start(lab.config("30m", &[lab.output("out")]));
    until("the output is written", || lab.path("out").join("identity").exists()).await;
    running.stop().await.unwrap();
    assert_eq!((lab.calls(method::FIND), lab.calls(method::JOIN)), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_may_not_join_ends_at_once() {
    let lab = Lab::new().await;
    let mut config = lab.config("30m", &[lab.output("out")]);
    config["onboarding"]["token"] = json!("unknown");
    let refused = lab.start(config).ended().await.unwrap_err().to_string();
    assert!(refused.contains("token expired or not found"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_output_is_tried_again_and_hinders_nobody() {
    let lab = Lab::new().await;
    std::fs::write(lab.path("broken"), "a file where a folder is wanted").unwrap();
    let running = lab.start(lab.config("30m", &[lab.output("broken"), lab.output("out")]));
    until("the other one is written", || lab.path("out").join("identity").exists()).await;
    std::fs::remove_file(lab.path("broken")).unwrap();
    until("the mended one is written", || lab.path("broken").join("identity").exists()).await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_renewal_leaves_the_agent_serving_and_never_asks_twice() {
    let lab = Lab::new().await;
    lab.run_once(lab.config("30m", &[])).await.unwrap();
    lab.cluster.drop_reply(method::GENERATE_USER_CERTS);
    let running = lab.start(lab.config("100ms", &[lab.output("out")]));
    until("three rounds of outputs are done", || lab.calls(method::REMOTE_CLUSTERS) >= 3).await;
    running.stop().await.unwrap();
    assert_eq!((lab.stored_generation(), lab.cluster.generation(BOT)), (1, Some(2)));
    assert!(!lab.cluster.is_locked(BOT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_output_is_tried_again() {
    let lab = Lab::new().await;
    lab.cluster.fail_next(method::GET_ROLE, Code::Unknown, "backend is away");
    let running = lab.start(lab.config("30m", &[lab.output("out")]));
    until("the output is written", || lab.path("out").join("identity").exists()).await;
    running.stop().await.unwrap();
    assert_eq!(lab.calls(method::GET_ROLE), 2);
}

#[tokio::test]
async fn a_cluster_of_a_version_that_is_not_known_is_said_once() {
    let (log, _listening) = listen();
    let lab = Lab::of_version("14.3.1").await;
    let running = lab.start(lab.config("30m", &[lab.output("out")]));
    let written = |times| log.text().matches("wrote output=").count() >= times;
    until("the output is written", || written(1)).await;
    running.control.reload();
    until("it is written again", || written(2)).await;
    running.stop().await.unwrap();
    assert_eq!(log.text().matches("the cluster runs Teleport 14.3.1, older than").count(), 1);
}
