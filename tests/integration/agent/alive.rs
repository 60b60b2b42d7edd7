//! What a running agent survives: suspends, clocks that are set, outages at every moment, storms of signals. Time is the
//! lab's clock; the agent looks at it every few milliseconds.

use std::time::Duration;

use serde_json::json;
use tbot_cluster::method;

use super::lab::{BOT, Lab, listen, read, until};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn after_a_suspend_everything_that_is_due_is_renewed_at_once() {
    let (log, _listening) = listen();
    let lab = Lab::new().await;
    let running = lab.start(lab.config("30m", &[lab.output("out")]));
    let key = lab.path("out").join("key");
    // On one thread, a loop that says so waits by the time that it is heard.
    until("the output is written", || log.text().contains("wrote")).await;
    let first = read(&key);
    lab.clock.advance(31 * MINUTE);
    until("both are renewed", || read(&key) != first && lab.stored_generation() == 2).await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_holds_nothing_up() {
    let lab = Lab::new().await;
    let running = lab.start(lab.config("500ms", &[lab.output("out")]));
    let key = lab.path("out").join("key");
    until("the output is written", || key.exists()).await;
    let first = read(&key);
    // Less than certificates are backdated by, so that they stay valid; far more than the interval.
    lab.clock.set_back(50 * MINUTE / 60);
    until("both are renewed", || read(&key) != first && lab.stored_generation() >= 2).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_outage_at_the_start_is_said_once_and_so_is_its_end() {
    let (log, _listening) = listen();
    let lab = Lab::new().await;
    lab.cluster.set_down(true);
    let running = lab.start(lab.config("30m", &[lab.output("out")]));
    until("three more attempts failed", || {
        lab.clock.advance(MINUTE);
        log.text().matches("failed again").count() == 3
    })
    .await;
    lab.cluster.set_down(false);
    lab.clock.advance(MINUTE);
    until("the output is written", || lab.path("out").join("identity").exists()).await;
    running.stop().await.unwrap();
    let text = log.text();
    assert_eq!(text.matches("WARN tbot::agent").count(), 1, "{text}");
    assert_eq!(text.matches("works again").count(), 1, "{text}");
}

#[tokio::test]
async fn past_expiry_a_new_token_is_all_that_is_needed() {
    let (log, _listening) = listen();
    let lab = Lab::new().await;
    let token = lab.path("token");
    std::fs::write(&token, &lab.token).unwrap();
    let mut config = lab.config("30m", &[lab.output("out")]);
    config["onboarding"]["token"] = json!(token);
    let running = lab.start(config);
    let key = lab.path("out").join("key");
    until("the output is written", || key.exists()).await;
    let first = read(&key);
    lab.cluster.set_down(true);
    lab.clock.advance(120 * MINUTE);
    until("the output waits for an identity", || log.text().contains("the bot's identity has expired")).await;
    lab.cluster.set_down(false);
    until("the old token is refused", || {
        lab.clock.advance(Duration::from_secs(1));
        log.text().contains("token expired or not found")
    })
    .await;
    lab.cluster.remove_bot(BOT);
    std::fs::write(&token, lab.cluster.add_bot(BOT, &["access"]).unwrap()).unwrap();
    until("everything works again", || {
        lab.clock.advance(Duration::from_secs(1));
        read(&key) != first && log.text().matches("works again").count() == 2
    })
    .await;
    running.stop().await.unwrap();
    let text = log.text();
    assert_eq!(text.matches("ERROR tbot::agent").count(), 1, "{text}");
}

#[tokio::test]
async fn a_storm_of_reloads_is_one_more_renewal() {
    let (log, _listening) = listen();
    let lab = Lab::new().await;
    let running = lab.start(lab.config("30m", &[]));
    until("the agent has joined", || log.text().contains("joined, because")).await;
    let mut hold = lab.cluster.hold_next(method::GENERATE_USER_CERTS);
    running.control.reload();
    hold.arrived().await;
    for _ in 0..100 {
        running.control.reload();
    }
    hold.release();
    until("one more renewal", || log.text().matches("renewed the bot's identity").count() == 2).await;
    // On one thread, a loop that has said so has looked for further signals, too.
    assert_eq!(log.text().matches("renewing now, as told").count(), 2);
    running.stop().await.unwrap();
    assert_eq!((lab.stored_generation(), lab.cluster.generation(BOT)), (3, Some(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_hangs_does_not_hold_up_the_others() {
    let lab = Lab::new().await;
    let mut holds: Vec<_> = (0..4).map(|_| lab.cluster.hold_next(method::GET_ROLE)).collect();
    let names: Vec<String> = (0..20).map(|number| format!("out-{number}")).collect();
    let outputs: Vec<_> = names.iter().map(|name| lab.output(name)).collect();
    let running = lab.start(lab.config("30m", &outputs));
    for hold in &mut holds {
        hold.arrived().await;
    }
    let written = || names.iter().filter(|name| lab.path(name).join("identity").exists()).count();
    until("all others are written", || written() == 16).await;
    drop(holds);
    until("these are written, too", || written() == 20).await;
    running.stop().await.unwrap();
}
