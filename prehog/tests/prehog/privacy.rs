//! Nothing about a sender is stored or logged: sends canaries in every part of a request, then searches everything that the
//! receiver has written.

use std::fs;
use std::path::Path;

use prehog::day::Day;
use prehog::start::Submission;
use serde_json::json;
use uuid::Uuid;

use crate::fixture::{
    STORE, SUBMIT_PATH, ServeProcess, TestReceiver, body, client, sqlite_in, start, stored, submit, uuid,
    wait_until,
};

/// Returns the contents of all files in a directory.
pub(crate) fn contents(directory: &Path) -> String {
    let mut contents = String::new();
    for entry in fs::read_dir(directory).unwrap() {
        contents += &String::from_utf8_lossy(&fs::read(entry.unwrap().path()).unwrap());
    }
    contents
}

#[tokio::test]
async fn canaries_are_neither_stored_nor_logged() {
    let directory = tempfile::tempdir().unwrap();
    let flags = ["--trusted-proxy", "127.0.0.1", "--log-format", "json", "--metrics-listen", "127.0.0.1:0"];
    let mut process = ServeProcess::start(directory.path(), &flags);
    let url = format!("http://{}{SUBMIT_PATH}?canary-query=1", process.address);
    let mut bodies = vec![body(&uuid(7)), body("canary-id"), json!({ "canary-key": "canary-value" })];
    for field in ["version", "joinType", "helper", "helperVersion", "region"] {
        let mut event = body(&uuid(8 + bodies.len() as u64));
        event["start"]["helper"] = "gha:teleport-actions/auth".into();
        event["start"][field] = format!("canary-{field}").into();
        bodies.push(event);
    }
    bodies.push("{ canary-broken".into());
    let mut statuses = Vec::new();
    for body in &bodies {
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
        statuses.push(request.body(body.to_string()).send().await.unwrap().status().as_u16());
    }
    // Some events are stored, and some are rejected.
    assert!(statuses.contains(&200) && statuses.contains(&400), "{statuses:?}");
    let address = process.wait_for_address("serving metrics");
    let metrics = client().get(format!("http://{address}/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let log = process.log();
    let written = contents(directory.path()) + &log + &metrics;
    assert!(written.contains("github"), "no event was stored, so the test is void");
    for canary in ["canary", "203.0.113.77", "user-agent", "x-forwarded"] {
        assert!(!written.to_lowercase().contains(canary), "{canary} was written");
    }
    assert!(!log.contains(&uuid(7)) && !metrics.contains(&uuid(7)));
}

/// After a day, no byte of the store contains an id any more, but its start is still counted. This also holds if the log and
/// the tables have many pages, if another connection reads in between, and if the store was not folded.
#[test]
fn ids_are_removed_after_a_day() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_in(directory.path());
    let day = Day(20_000);
    let start = start(json!({ "run_mode": "continuous", "version": "0.1.0", "join_type": "token" }));
    let batch = |day| -> Vec<Submission> {
        let id = |number: u16| [b"canary-of-16-b".as_slice(), &number.to_be_bytes()].concat();
        (0..3000)
            .map(|number| Submission { id: id(number).try_into().unwrap(), day, start: start.clone() })
            .collect()
    };
    let mut opened = store.open().unwrap();
    let counted = || stored(&store).iter().map(|(_, _, count)| count).sum::<u64>();
    for (part, is_folded) in batch(day).chunks(250).zip([true, false, false, true].into_iter().cycle()) {
        opened.append(part).unwrap();
        if is_folded {
            opened.fold().unwrap();
        }
    }
    assert!(contents(directory.path()).contains("canary-of-16-b"));
    opened.forget_ids(day.plus(1)).unwrap();
    assert_eq!(counted(), 3000);
    // On the next day, they are still repetitions.
    opened.append(&batch(day.plus(1))).unwrap();
    assert_eq!(opened.fold().unwrap().repeated, 3000);
    // Ids in the inbox at the end of their day.
    opened.append(&batch(day.plus(1))[..100]).unwrap();
    opened.forget_ids(day.plus(3)).unwrap();
    assert!(!contents(directory.path()).contains("canary-of-16-b"));
    assert_eq!(counted(), 3000);
}

/// The size of a page of a SQLite file.
const PAGE: usize = 4096;

/// Returns what still connects the ids to the versions of their events, in any byte of any file of a store: both of them on one
/// page of the main file, or any of them in another file, such as a log, which shows what was written together.
fn connections(directory: &Path, events: &[(String, String)]) -> Vec<String> {
    let has = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    let ids: Vec<[u8; 16]> = events.iter().map(|(id, _)| id_bytes(id)).collect();
    let has_id = |bytes: &[u8]| ids.iter().any(|id| has(bytes, id));
    let has_event = |bytes: &[u8]| events.iter().any(|(_, version)| has(bytes, version.as_bytes()));
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name == STORE {
            found.extend(
                bytes.chunks(PAGE).any(|page| has_id(page) && has_event(page)).then(|| "a page".to_owned()),
            );
        } else {
            found.extend((has_id(&bytes) || has_event(&bytes)).then(|| name.to_owned()));
        }
    }
    found
}

fn id_bytes(id: &str) -> [u8; 16] {
    id.parse::<Uuid>().unwrap().into_bytes()
}

/// While the receiver runs, each event is soon separate from its id, even if no other event arrives.
#[tokio::test]
async fn an_id_is_soon_separate_from_its_event() {
    let receiver = TestReceiver::start().await;
    let directory = receiver.directory.path();
    let mut events = Vec::new();
    for number in 0..4 {
        // An identifier that has no zero bytes, and a version that is nowhere else.
        let (id, version) =
            (format!("6f1c8e0a-6f0e-4b53-9d0c-3f2a5f3e7b1{number}"), format!("71.72.730{number}"));
        let mut event = body(&id);
        event["start"]["version"] = version.as_str().into();
        assert_eq!(receiver.submit(&event).await.status(), 200);
        events.push((id, version));
        wait_until("the separation", async || connections(directory, &events).is_empty()).await;
        let stored = fs::read(directory.join(STORE)).unwrap();
        let has = |part: &[u8]| stored.windows(part.len()).any(|window| window == part);
        // Both of them are stored, so the search can find them.
        assert!(events.iter().all(|(id, version)| has(&id_bytes(id)) && has(version.as_bytes())));
    }
    receiver.stop().await;
}

/// A receiver that is killed leaves ids with their events in the inbox. The next one separates them.
#[tokio::test]
async fn an_id_is_separate_from_its_event_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let events = [("6f1c8e0a-6f0e-4b53-9d0c-3f2a5f3e7b11".to_owned(), "71.72.7300".to_owned())];
    let mut event = body(&events[0].0);
    event["start"]["version"] = events[0].1.as_str().into();
    let process = ServeProcess::start(directory.path(), &[]);
    assert_eq!(submit(&client(), process.address, &event).await.status(), 200);
    process.kill();
    let _process = ServeProcess::start(directory.path(), &[]);
    wait_until("the separation", async || connections(directory.path(), &events).is_empty()).await;
    let rows = stored(&sqlite_in(directory.path()));
    assert_eq!(rows.len(), 1);
}

/// An export can read the store for minutes. Ids are separate from events once it ends, without another event.
#[tokio::test]
async fn a_reader_delays_the_separation_of_ids_but_does_not_prevent_it() {
    let receiver = TestReceiver::start().await;
    let directory = receiver.directory.path();
    let reader = rusqlite::Connection::open(directory.join(STORE)).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM starts").unwrap();
    let events = [(uuid(1), "71.72.7300".to_owned())];
    let mut event = body(&events[0].0);
    event["start"]["version"] = events[0].1.as_str().into();
    assert_eq!(receiver.submit(&event).await.status(), 200);
    let log = ["events.db-wal"];
    wait_until("the fold", async || connections(directory, &events) == log).await;
    // The receiver does not wait for the reader.
    assert_eq!(receiver.get("/readyz").await.0, 200);
    reader.execute_batch("COMMIT").unwrap();
    wait_until("the separation", async || connections(directory, &events).is_empty()).await;
    receiver.stop().await;
}

mod on_clickhouse {
    use super::*;
    use crate::clickhouse::{TestDatabase, run};

    /// The configuration of ClickHouse's packages turns such logs on; that of the tests does not.
    #[test]
    #[ignore = "needs a ClickHouse server: .ci/clickhouse"]
    fn a_log_of_the_server_that_shows_when_events_arrive_causes_a_warning() {
        let database = TestDatabase::on_clickhouse("logs");
        let directory = tempfile::tempdir().unwrap();
        let store = database.url().to_string();
        let log = || ServeProcess::start(directory.path(), &["--store", &store]).log();
        assert!(!log().contains("part_log"));
        // The first one shows each event until its day is counted, the second one the number of events in each second. An upgrade has
        // renamed the third one.
        let tables = ["part_log", "metric_log", "text_log_0"];
        for table in tables {
            run(&database.server, &format!("CREATE TABLE system.{table} (event_time DateTime) ENGINE = Log"));
        }
        let log = log();
        for table in tables {
            run(&database.server, &format!("DROP TABLE system.{table}"));
        }
        assert!(tables.iter().all(|table| log.contains(&format!(" {table}"))), "{log}");
    }

    /// ClickHouse keeps an id with its event until the end of the day.
    #[test]
    #[ignore = "needs a ClickHouse server: .ci/clickhouse"]
    fn an_id_is_separate_from_its_event_after_its_day() {
        let database = TestDatabase::on_clickhouse("separation");
        let mut store = database.url().open().unwrap();
        let day = Day(20_000);
        let start = start(json!({ "run_mode": "continuous", "version": "0.1.0", "join_type": "token" }));
        let count = |table: &str| -> u64 {
            run(&database.server, &format!("SELECT count() FROM {}.{table}", database.name)).parse().unwrap()
        };
        let counts = || (count("recent"), count("ids"), count("starts"));
        let submission = |number: u8, day| Submission { id: [number; 16], day, start: start.clone() };
        store.append(&[submission(1, day), submission(2, day)]).unwrap();
        assert_eq!(counts(), (2, 0, 0));
        store.forget_ids(day.plus(1)).unwrap();
        assert_eq!(counts(), (0, 2, 1));
        // A repetition on the next day, and a submission that was assigned to its day too late.
        store.append(&[submission(1, day.plus(1)), submission(3, day)]).unwrap();
        store.forget_ids(day.plus(2)).unwrap();
        assert_eq!(counts(), (0, 1, 1));
        store.forget_ids(day.plus(5)).unwrap();
        assert_eq!(counts(), (0, 0, 1));
        assert!(store.size().unwrap() > 0);
        assert_eq!(store.record_maintenance(day).unwrap(), [day]);
        assert_eq!(store.record_maintenance(day.plus(2)).unwrap(), [day.plus(2), day]);
        assert_eq!(store.record_maintenance(day.plus(1)).unwrap(), [day.plus(1), day]);
        let versions = store.distinct_values(day.week(), 1).unwrap();
        assert_eq!(versions.into_iter().collect::<Vec<_>>(), ["0.1.0"]);
    }
}
