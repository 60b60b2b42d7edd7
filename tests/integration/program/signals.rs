//! Storms of signals: they are taken together, one renewal runs at a time, and the end is clean.

use rustix::process::Signal;

use super::scene::{BOT, Scene};
use crate::agent::fixture::{read, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_signals_leads_to_few_renewals_and_a_clean_end() {
    let scene = Scene::new().await;
    let running = scene.run(&[]).spawn();
    let key = scene.path("out").join("key");
    wait_until("the output is written", || key.exists()).await;
    let first = read(&key);

    let storm = || {
        for _ in 0..500 {
            running.signal(Signal::HUP);
            running.signal(Signal::USR1);
        }
    };
    let mut held = scene.renewals_held();
    running.signal(Signal::HUP);
    for hold in &mut held {
        hold.arrived().await;
    }
    storm();
    drop(held);
    storm();
    wait_until("identity and output are renewed", || read(&key) != first && scene.stored() > Some(1)).await;
    storm();
    running.signal(Signal::TERM);
    storm();
    let ended = tokio::task::block_in_place(|| running.end());

    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    // Two at once would have presented one generation twice, which locks.
    assert!(!scene.cluster.is_locked(BOT), "{}", ended.stderr);
    assert_eq!(scene.stored(), scene.counted());
    assert!(scene.counted() < Some(100), "of 4000 signals: {:?}", scene.counted());
    assert!(!scene.path("storage").join("renewal-pending").exists());
}
