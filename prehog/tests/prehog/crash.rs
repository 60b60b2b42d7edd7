//! SIGKILL at any time: no acknowledged event is lost, and none is counted twice.

#![expect(clippy::print_stderr, reason = "figures for `cargo xtask prove`")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use crate::fixture::{SUBMIT_PATH, ServeProcess, body, client, sqlite_in, stored, uuid};

/// How often the program is killed. Set `PREHOG_TEST_KILLS=500` for a longer run.
#[expect(clippy::disallowed_methods, reason = "a setting of the test run")]
fn kills() -> u64 {
    std::env::var("PREHOG_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(20)
}

const SENDERS: u64 = 4;

/// Each submission has a different number of destinations, so that the store shows which ones it contains.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_event_is_stored_exactly_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut unanswered = BTreeSet::new();
    let mut next = 0;
    for kill in 0..kills() {
        let process = ServeProcess::start(directory.path(), &[]);
        let url = format!("http://{}{SUBMIT_PATH}", process.address);
        let acknowledged_now = Arc::new(Mutex::new(BTreeSet::new()));
        let sent = Arc::new(Mutex::new(BTreeSet::new()));
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let (url, acknowledged_now, sent) =
                (url.clone(), Arc::clone(&acknowledged_now), Arc::clone(&sent));
            // Those without a response are sent again first, like the retry of an agent.
            let retries = if sender == 0 { unanswered.clone() } else { BTreeSet::new() };
            senders.spawn(async move {
                let client = client();
                let fresh = (next + sender..).step_by(usize::try_from(SENDERS).unwrap());
                for number in retries.into_iter().chain(fresh) {
                    let mut event = body(&uuid(number));
                    event["start"]["destinationsApplication"] = number.into();
                    sent.lock().unwrap().insert(number);
                    let request = client.post(&url).header("Content-Type", "application/json");
                    match request.body(event.to_string()).send().await {
                        Ok(response) if response.status() == 200 => {
                            acknowledged_now.lock().unwrap().insert(number);
                        }
                        _ => return,
                    }
                }
            });
        }
        // Kill the program at a different time in every round.
        let threshold = 5 + usize::try_from(kill % 17).unwrap() * 3;
        while acknowledged_now.lock().unwrap().len() < threshold {
            let ended = senders.try_join_next();
            assert!(ended.is_none(), "kill {kill}: a sender ended before the receiver was killed: {ended:?}");
            tokio::task::yield_now().await;
        }
        process.kill();
        senders.join_all().await;
        let (acknowledged_now, sent) =
            (acknowledged_now.lock().unwrap().clone(), sent.lock().unwrap().clone());
        unanswered.extend(&sent);
        unanswered.retain(|number| !acknowledged_now.contains(number));
        next = sent.last().unwrap() + SENDERS;
        next -= next % SENDERS;
        acknowledged.extend(acknowledged_now);
        let rows = stored(&sqlite_in(directory.path()));
        let numbers: BTreeSet<u64> = rows
            .iter()
            .map(|(_, start, count)| {
                assert_eq!(*count, 1, "kill {kill}: {start} is stored {count} times");
                start["destinations_configured_application_access"].as_u64().unwrap()
            })
            .collect();
        let lost: Vec<_> = acknowledged.difference(&numbers).collect();
        assert!(lost.is_empty(), "kill {kill}: {lost:?} were acknowledged but are lost");
        let unexpected: Vec<_> = numbers
            .iter()
            .filter(|number| !acknowledged.contains(number) && !unanswered.contains(number))
            .collect();
        assert!(unexpected.is_empty(), "kill {kill}: {unexpected:?} were never sent");
    }
    let (kills, acknowledged) = (kills(), acknowledged.len());
    eprintln!(
        "figure: {kills} kills, {acknowledged} events acknowledged and stored once, {} without a response",
        unanswered.len()
    );
}
