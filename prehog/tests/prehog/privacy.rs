//! Nothing of a sender is stored or logged: canaries in every place that a sender has, then a search of all that is left.

use std::fs;
use std::path::Path;

use prehog::day::Day;
use prehog::start::{Start, Submission};
use prehog::store::StoreUrl;
use serde_json::json;

use crate::lab::{PATH, Program, body, client, id};

/// Every file of a folder, as text.
pub(crate) fn everything(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        text += &String::from_utf8_lossy(&fs::read(entry.unwrap().path()).unwrap());
    }
    text
}

#[tokio::test]
async fn canaries_are_neither_stored_nor_logged() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--trusted-proxy", "127.0.0.1", "--log-format", "json", "--metrics-listen", "127.0.0.1:0"];
    let mut program = Program::start(folder.path(), &flags);
    let url = format!("http://{}{PATH}?canary-query=1", program.address);
    let mut bodies = vec![body(&id(7)), body("canary-id"), json!({ "canary-key": "canary-value" })];
    for field in ["version", "joinType", "helper", "helperVersion", "region"] {
        let mut sent = body(&id(8 + bodies.len() as u64));
        sent["start"]["helper"] = "gha:teleport-actions/auth".into();
        sent["start"][field] = format!("canary-{field}").into();
        bodies.push(sent);
    }
    bodies.push("{ canary-broken".into());
    let mut answers = Vec::new();
    for sent in &bodies {
        let request = client()
            .post(&url)
            .header("Content-Type", "application/json")
            .header("User-Agent", "canary-agent")
            .header("X-Forwarded-For", "203.0.113.77")
            .header("Forwarded", "for=203.0.113.77")
            .header("Referer", "canary-referer")
            .header("Cookie", "canary-cookie")
            .header("Authorization", "Bearer canary-token")
            .header("X-Request-Id", "canary-request");
        answers.push(request.body(sent.to_string()).send().await.unwrap().status().as_u16());
    }
    // Some of it is stored, some refused.
    assert!(answers.contains(&200) && answers.contains(&400), "{answers:?}");
    let port = client();
    let address = program.wait_for_address("showing the metrics");
    let metrics = port.get(format!("http://{address}/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let log = program.log();
    let left = everything(folder.path()) + &log + &metrics;
    assert!(left.contains("github"), "nothing was stored, so nothing was tested");
    for canary in ["canary", "203.0.113.77", "user-agent", "x-forwarded"] {
        assert!(!left.to_lowercase().contains(canary), "{canary} is left behind");
    }
    assert!(!log.contains(&id(7)) && !metrics.contains(&id(7)));
}

/// A day later every id is gone from every byte of the store, and its start is still counted: also where the journal
/// and the tables had many pages, where another process read meanwhile, and where the store was never folded.
#[test]
fn ids_are_gone_after_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let store = StoreUrl::Sqlite(folder.path().join("events.db"));
    let day = Day(20_000);
    let batch = |day| -> Vec<Submission> {
        let id = |number: u16| [b"canary-of-16-b".as_slice(), &number.to_be_bytes()].concat();
        (0..3000)
            .map(|number| Submission { id: id(number).try_into().unwrap(), day, start: start() })
            .collect()
    };
    let mut opened = store.open().unwrap();
    let counted = || crate::lab::stored(&store).iter().map(|(_, _, count)| count).sum::<u64>();
    for (part, is_folded) in batch(day).chunks(250).zip([true, false, false, true].into_iter().cycle()) {
        opened.append(part).unwrap();
        if is_folded {
            opened.fold().unwrap();
        }
    }
    assert!(everything(folder.path()).contains("canary-of-16-b"));
    opened.forget_ids(day.plus(1)).unwrap();
    assert_eq!(counted(), 3000);
    // A repetition on the next day is one still.
    opened.append(&batch(day.plus(1))).unwrap();
    assert_eq!(opened.fold().unwrap(), 3000);
    // In the journal when its day ends.
    opened.append(&batch(day.plus(1))[..100]).unwrap();
    opened.forget_ids(day.plus(3)).unwrap();
    assert!(!everything(folder.path()).contains("canary-of-16-b"));
    assert_eq!(counted(), 3000);
}

fn start() -> Start {
    Start {
        run_mode: "continuous".to_owned(),
        version: "0.1.0".to_owned(),
        join_type: "token".to_owned(),
        helper: None,
        helper_version: None,
        destinations_configured: 0,
        destinations_configured_database_access: 0,
        destinations_configured_kubernetes_access: 0,
        destinations_configured_application_access: 0,
    }
}
