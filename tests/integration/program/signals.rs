//! Floods of signals: they are coalesced, one renewal runs at a time, and the shutdown is clean.

use rustix::process::Signal;

use super::bot_fixture::{BOT, BotFixture};
use crate::agent::fixture::{read, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_signals_causes_few_renewals_and_a_clean_shutdown() {
    let fixture = BotFixture::new().await;
    let running = fixture.start(&[]).spawn();
    let key = fixture.path("out").join("key");
    wait_until("the output is written", || key.exists()).await;
    let first_key = read(&key);

    let send_1000_signals = || {
        for _ in 0..500 {
            running.signal(Signal::HUP);
            running.signal(Signal::USR1);
        }
    };
    let mut held_renewals = fixture.hold_renewals();
    running.signal(Signal::HUP);
    for renewal in &mut held_renewals {
        renewal.arrived().await;
    }
    send_1000_signals();
    drop(held_renewals);
    send_1000_signals();
    wait_until("identity and output are renewed", || {
        read(&key) != first_key && fixture.stored_generation() > Some(1)
    })
    .await;
    send_1000_signals();
    running.signal(Signal::TERM);
    send_1000_signals();
    let finished = tokio::task::block_in_place(|| running.wait());

    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    // Two renewals at once would present the same generation twice, which locks the bot.
    assert!(!fixture.cluster.is_locked(BOT), "{}", finished.stderr);
    assert_eq!(fixture.stored_generation(), fixture.cluster_generation());
    let generation = fixture.cluster_generation();
    assert!(generation < Some(100), "4000 signals caused {generation:?} renewals");
    assert!(!fixture.has_pending_renewal());
}
