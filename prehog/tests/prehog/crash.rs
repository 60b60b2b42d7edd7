//! kill -9 after an acknowledgement: nothing is lost, and nothing is there twice.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use prehog::store::StoreUrl;
use tokio::task::JoinSet;

use crate::lab::{PATH, Program, body, client, id, stored};

/// How often the program is killed; `PREHOG_TEST_KILLS=500` on demand.
#[expect(clippy::disallowed_methods, reason = "the edge where a run on demand says how long it may take")]
fn kills() -> u64 {
    std::env::var("PREHOG_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

const SENDERS: u64 = 4;

/// Each submission is told apart by its count of destinations, so that the store itself says which it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut unsure = BTreeSet::new();
    let mut next = 0;
    for kill in 0..kills() {
        let program = Program::start(folder.path(), &[]);
        let url = format!("http://{}{PATH}", program.address);
        let known = Arc::new(Mutex::new(BTreeSet::new()));
        let sent = Arc::new(Mutex::new(BTreeSet::new()));
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let (url, known, sent) = (url.clone(), Arc::clone(&known), Arc::clone(&sent));
            // Those that got no answer last time are sent again first, as an agent's retry would be.
            let again = if sender == 0 { unsure.clone() } else { BTreeSet::new() };
            senders.spawn(async move {
                let client = client();
                let fresh = (next + sender..).step_by(usize::try_from(SENDERS).unwrap());
                for number in again.into_iter().chain(fresh) {
                    let mut event = body(&id(number));
                    event["start"]["destinationsApplication"] = number.into();
                    sent.lock().unwrap().insert(number);
                    let request = client.post(&url).header("Content-Type", "application/json");
                    match request.body(event.to_string()).send().await {
                        Ok(answer) if answer.status() == 200 => {
                            known.lock().unwrap().insert(number);
                        }
                        _ => return,
                    }
                }
            });
        }
        // A different moment each time.
        let enough = 5 + usize::try_from(kill % 17).unwrap() * 3;
        while known.lock().unwrap().len() < enough {
            let ended = senders.try_join_next();
            assert!(ended.is_none(), "kill {kill}: a sender ended before its receiver: {ended:?}");
            tokio::task::yield_now().await;
        }
        program.kill();
        senders.join_all().await;
        let (known, sent) = (known.lock().unwrap().clone(), sent.lock().unwrap().clone());
        unsure.extend(&sent);
        unsure.retain(|number| !known.contains(number));
        next = sent.last().unwrap() + SENDERS;
        next -= next % SENDERS;
        acknowledged.extend(known);
        let found = stored(&StoreUrl::Sqlite(folder.path().join("events.db")));
        let numbers: BTreeSet<u64> = found
            .iter()
            .map(|(_, start, count)| {
                assert_eq!(*count, 1, "kill {kill}: {start} is there {count} times");
                start["destinations_configured_application_access"].as_u64().unwrap()
            })
            .collect();
        let lost: Vec<_> = acknowledged.difference(&numbers).collect();
        assert!(lost.is_empty(), "kill {kill}: {lost:?} were acknowledged and are lost");
        let unknown: Vec<_> = numbers
            .iter()
            .filter(|number| !acknowledged.contains(number) && !unsure.contains(number))
            .collect();
        assert!(unknown.is_empty(), "kill {kill}: {unknown:?} were never sent");
    }
}
