//! A store on a cluster of ClickHouse servers, with one shard or two shards of two replicas: what receivers that share it
//! acknowledge is counted once, while receivers and servers are killed.

#![expect(clippy::print_stderr, reason = "figures for `cargo xtask prove`")]

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use prehog::store::{StoreError, StoreUrl, WeekTally};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::clickhouse::{
    ClusterDatabase, HALVES, REPLICAS, REPLICATED, SHARDED_AND_REPLICATED, poll_until, run, unique_name,
};
use crate::fixture::{
    SUBMIT_PATH, ServeProcess, body, client, connect_error, stored, submit, uuid, wait_until,
};
use crate::stores::{MONDAY, batch, total};

/// How often receivers are killed. Set `PREHOG_TEST_KILLS=100` for a longer run.
#[expect(clippy::disallowed_methods, reason = "a setting of the test run")]
fn kills() -> usize {
    std::env::var("PREHOG_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(9)
}

const SENDERS: u64 = 4;

/// One name for several receivers: passes each connection on to one that accepts it.
struct Balancer {
    address: SocketAddr,
    receivers: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Balancer {
    fn start(receivers: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let receivers = Arc::new(Mutex::new(receivers));
        let shared = Arc::clone(&receivers);
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().flatten().enumerate() {
                let mut candidates = shared.lock().unwrap().clone();
                let first = number % candidates.len();
                candidates.rotate_left(first);
                let Some(receiver) = candidates.iter().find_map(|address| TcpStream::connect(address).ok())
                else {
                    continue;
                };
                pass_on(client.try_clone().unwrap(), receiver.try_clone().unwrap());
                pass_on(receiver, client);
            }
        });
        Self { address, receivers }
    }
}

/// Copies what one side sends to the other one, until one of them closes its connection.
fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        // Either side may close its connection at any time.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
        let _ = from.shutdown(std::net::Shutdown::Both);
    });
}

/// Sends events until it is stopped, each of them until it is acknowledged, and returns how many these are.
async fn send(url: String, first: u64, acknowledged: Arc<Mutex<BTreeSet<u64>>>, stop: Arc<AtomicBool>) {
    let client = client();
    for number in (first..).step_by(usize::try_from(SENDERS).unwrap()) {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let mut event = body(&uuid(number));
        event["start"]["destinationsApplication"] = number.into();
        loop {
            let request = client.post(&url).header("Content-Type", "application/json");
            if let Ok(response) = request.body(event.to_string()).send().await
                && response.status() == 200
            {
                break;
            }
        }
        acknowledged.lock().unwrap().insert(number);
    }
}

/// Returns the status of `/readyz`.
async fn readiness(receiver: SocketAddr) -> u16 {
    client().get(format!("http://{receiver}/readyz")).send().await.unwrap().status().as_u16()
}

/// Runs a command of the program with a store, and returns its output.
fn prehog(arguments: &[&str], store: &StoreUrl) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prehog"));
    let output = command.args(arguments).args(["--store", &store.to_string()]).env_clear().output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the numbers of the events in an export, each of which must have happened once.
fn exported_numbers(export: &str) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    for line in export.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        assert_eq!(row["starts"], 1, "{row}");
        let number = row["event"]["destinations_configured_application_access"].as_u64().unwrap();
        assert!(numbers.insert(number), "{row} is exported twice");
    }
    numbers
}

/// Senders know one name. Receivers are killed in turn, and then a replica of each shard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a ClickHouse cluster: .ci/clickhouse-cluster"]
async fn three_receivers_behind_one_name_lose_nothing_and_count_nothing_twice() {
    let database = ClusterDatabase::exclusive(SHARDED_AND_REPLICATED);
    let directories: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let start_receiver = |number: usize| {
        let store = database.url_of(HALVES[number % 2][number / 2], "").to_string();
        let flags = ["--store", &store, "--report-listen", "127.0.0.1:0"];
        ServeProcess::start(directories[number].path(), &flags)
    };
    let mut receivers: Vec<ServeProcess> = (0..3).map(start_receiver).collect();
    let balancer = Balancer::start(receivers.iter().map(|receiver| receiver.address).collect());

    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let stop = Arc::new(AtomicBool::new(false));
    let mut senders = JoinSet::new();
    for first in 0..SENDERS {
        let url = format!("http://{}{SUBMIT_PATH}", balancer.address);
        senders.spawn(send(url, first, Arc::clone(&acknowledged), Arc::clone(&stop)));
    }
    let progress = |events: usize| {
        let before = acknowledged.lock().unwrap().len();
        poll_until("progress", || acknowledged.lock().unwrap().len() >= before + events);
    };
    for kill in 0..kills() {
        // At a different time in every round.
        progress(3 + kill % 7);
        let number = kill % 3;
        receivers.remove(number).kill();
        progress(3);
        receivers.insert(number, start_receiver(number));
        *balancer.receivers.lock().unwrap() = receivers.iter().map(|receiver| receiver.address).collect();
    }
    database.stop(&HALVES[1]);
    for receiver in &receivers {
        let is_unavailable = async || readiness(receiver.address).await == 503;
        wait_until("the receiver is not ready", is_unavailable).await;
    }
    database.start(&HALVES[1]);
    progress(40);
    stop.store(true, Ordering::SeqCst);
    senders.join_all().await;

    let acknowledged = acknowledged.lock().unwrap().clone();
    let mut past = database.url().open().unwrap();
    past.append(&batch(1_000_000..1_000_200, MONDAY)).unwrap();
    let mut totals = BTreeSet::new();
    for [server, _] in HALVES {
        let url = database.url_of(server, "");
        let today = prehog(&["export", "--since", "2026-01-01"], &url);
        assert_eq!(exported_numbers(&today), acknowledged, "{server:?}");
        totals.insert(prehog(&["report", "--min-group", "1", "--format", "json"], &url));
    }
    assert_eq!(totals.len(), 1, "{totals:?}");
    let mut reports = BTreeSet::new();
    for receiver in &mut receivers {
        let report = receiver.wait_for_address("serving the report");
        let url = format!("http://{report}/report.json?since=2025-11-17&until=2025-11-23");
        reports.insert(client().get(url).send().await.unwrap().text().await.unwrap());
    }
    let report: Value = serde_json::from_str(reports.first().unwrap()).unwrap();
    assert_eq!((reports.len(), &report["starts"]), (1, &200.into()), "{reports:?}");
    eprintln!(
        "figure: {} kills of 3 receivers and 1 of half of the servers, {} events acknowledged and stored once",
        kills(),
        acknowledged.len()
    );
}

/// With `quorum=2`, which is the default.
#[tokio::test]
#[ignore = "needs a ClickHouse cluster: .ci/clickhouse-cluster"]
async fn an_acknowledged_event_survives_the_loss_of_a_replica_of_each_shard() {
    let database = ClusterDatabase::exclusive(SHARDED_AND_REPLICATED);
    let mut sent = 0;
    let starts = |store: &StoreUrl| stored(store).iter().map(|(_, _, starts)| starts).sum::<u64>();
    for [used, lost] in [HALVES, [HALVES[1], HALVES[0]]] {
        let directory = tempfile::tempdir().unwrap();
        let [lost_store, store] = [lost, used].map(|half| database.url_of(half[0], ""));
        let at_lost = ServeProcess::start(directory.path(), &["--store", &lost_store.to_string()]);
        for _ in 0..8 {
            assert_eq!(submit(&client(), at_lost.address, &body(&uuid(sent))).await.status(), 200);
            sent += 1;
        }
        database.stop(&lost);
        assert_eq!(starts(&store), sent);

        // Another event could be lost with the remaining server of its shard.
        let directory = tempfile::tempdir().unwrap();
        let receiver = ServeProcess::start(directory.path(), &["--store", &store.to_string()]);
        for _ in 0..2 {
            let response = submit(&client(), receiver.address, &body(&uuid(sent))).await;
            assert_eq!(connect_error(response).await.1, "unavailable");
        }
        // The result of an earlier probe may be reused for a moment.
        let is_unavailable = async || readiness(receiver.address).await == 503;
        wait_until("the receiver is not ready", is_unavailable).await;

        database.start(&lost);
        assert_eq!(submit(&client(), receiver.address, &body(&uuid(sent))).await.status(), 200);
        sent += 1;
        assert_eq!([starts(&store), starts(&lost_store)], [sent; 2]);
    }
}

/// Receivers that start at the same time make the tables together. Those that count a day at the same time count it once.
#[test]
#[ignore = "needs a ClickHouse cluster: .ci/clickhouse-cluster"]
fn receivers_migrate_and_count_at_the_same_time() {
    let database = ClusterDatabase::sharded_and_replicated();
    let name = unique_name();
    let parameters = format!("?cluster={SHARDED_AND_REPLICATED}");
    let url = |server| database.url_of_database(&name, server, &parameters);
    // A replica of each shard.
    let servers = HALVES[1];
    let at_the_same_time = |work: &(dyn Fn(&StoreUrl) -> Result<(), StoreError> + Sync)| {
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                servers.iter().map(|server| scope.spawn(move || work(&url(*server)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        })
    };
    at_the_same_time(&|url| {
        // A receiver opens its store again after a failure.
        (0..3).map(|_| url.open().map(drop)).find(Result::is_ok).unwrap_or(Ok(()))
    });
    let mut expected = 0;
    for day in 0..4_u32 {
        let (first, today) = (day * 50, MONDAY.plus(i32::try_from(day).unwrap()));
        at_the_same_time(&|url| {
            // Each receiver gets all submissions, and some of those of the day before.
            url.open()?.append(&batch(first.saturating_sub(10)..first + 50, today))
        })
        .into_iter()
        .for_each(|result| result.unwrap());
        expected += 50;
        at_the_same_time(&|url| url.open()?.forget_ids(today.plus(1)))
            .into_iter()
            .for_each(|result| result.unwrap());
        for [server, _] in HALVES {
            let mut store = url(server).open().unwrap();
            assert_eq!(total(&mut *store, MONDAY.week()), expected, "day {day}, {server:?}");
        }
    }
}

/// A receiver may still read the submissions of a day that another one has just counted.
#[test]
#[ignore = "needs a ClickHouse cluster: .ci/clickhouse-cluster"]
fn submissions_are_dropped_some_minutes_after_they_are_counted() {
    let database = ClusterDatabase::replicated();
    let mut store = database.url().open().unwrap();
    let counts = || ["recent", "ids", "starts"].map(|table| database.count(table));
    let minutes_pass = || {
        let statement = "INSERT INTO folded SELECT day, counted_at - 600 AS counted_at FROM folded";
        let server = format!(
            "{}/?database={}&insert_distributed_sync=1&insert_quorum=2",
            database.server(REPLICAS[0]),
            database.name
        );
        run(&server, statement);
    };
    store.append(&batch(0..2, MONDAY)).unwrap();
    store.forget_ids(MONDAY.plus(1)).unwrap();
    store.forget_ids(MONDAY.plus(1)).unwrap();
    assert_eq!(counts(), [2, 2, 2]);
    minutes_pass();
    store.forget_ids(MONDAY.plus(1)).unwrap();
    assert_eq!(counts(), [0, 2, 2]);
    // The ids of the day before are needed until the next day is counted.
    store.append(&batch(1..3, MONDAY.plus(1))).unwrap();
    store.forget_ids(MONDAY.plus(2)).unwrap();
    assert_eq!(counts(), [2, 4, 3]);
    minutes_pass();
    store.forget_ids(MONDAY.plus(2)).unwrap();
    assert_eq!(counts(), [0, 2, 3]);
    store.forget_ids(MONDAY.plus(5)).unwrap();
    assert_eq!(counts(), [0, 0, 3]);
    assert!(store.size().unwrap() > 0);
}

/// A replica that has not received the rows of the others yet is not read.
#[test]
#[ignore = "needs a ClickHouse cluster: .ci/clickhouse-cluster"]
fn a_replica_that_lags_behind_is_not_read() {
    let database = ClusterDatabase::replicated();
    let (complete, lagging) = (REPLICAS[0], REPLICAS[1]);
    let fetches = |verb: &str| {
        run(&database.server(lagging), &format!("SYSTEM {verb} FETCHES {}.recent_local", database.name));
    };
    let mut store = database.url_of(complete, "&quorum=1").open().unwrap();
    fetches("STOP");
    store.append(&batch(0..50, MONDAY)).unwrap();
    let delay = format!(
        "SELECT absolute_delay >= 10 FROM system.replicas WHERE database = '{}' AND table = 'recent_local'",
        database.name
    );
    poll_until("a lag", || run(&database.server(lagging), &delay) == "1");
    let mut at_lagging = database.url_of(lagging, "&quorum=1").open().unwrap();
    for _ in 0..5 {
        assert_eq!(total(&mut *at_lagging, MONDAY.week()), 50);
    }
    at_lagging.forget_ids(MONDAY.plus(1)).unwrap();
    assert_eq!(total(&mut *store, MONDAY.week()), 50);
    fetches("START");
}

#[test]
#[ignore = "needs a ClickHouse cluster: .ci/clickhouse-cluster"]
fn a_database_is_opened_only_with_the_cluster_that_it_was_created_on() {
    let database = ClusterDatabase::replicated();
    let open = |name: &str, parameters: &str| {
        database.url_of_database(name, REPLICAS[0], parameters).open().map(drop)
    };
    let name = database.name.as_str();
    assert!(
        matches!(open(name, ""), Err(StoreError::OnOtherCluster { cluster, .. }) if cluster == REPLICATED)
    );
    let other = open(name, "?cluster=sharded_and_replicated");
    assert!(matches!(other, Err(StoreError::OnOtherCluster { cluster, .. }) if cluster == REPLICATED));
    let unknown = open(name, "?cluster=nowhere");
    assert!(
        matches!(unknown, Err(StoreError::UnknownCluster { known, .. }) if known == "replicated, sharded_and_replicated")
    );
    let quorum = open(name, "?cluster=replicated&quorum=3");
    assert!(matches!(quorum, Err(StoreError::QuorumTooLarge { quorum: 3, replicas: 2, .. })));

    let plain = unique_name();
    open(&plain, "").unwrap();
    assert!(
        matches!(open(&plain, "?cluster=replicated"), Err(StoreError::NotOnCluster(name)) if name == plain)
    );
    open(&plain, "").unwrap();

    // The program exits instead of waiting for something that does not change by itself.
    let store = database.url_of_database(name, REPLICAS[0], "").to_string();
    let directory = tempfile::tempdir().unwrap();
    let process = ServeProcess::spawn(directory.path(), &["--store", &store]);
    assert_eq!(process.wait_for_exit(), Some(1));
}

/// Tables are made on all servers or not at all. Existing ones can be used and maintained without a replica of each shard.
#[test]
#[ignore = "needs a ClickHouse cluster: .ci/clickhouse-cluster"]
fn a_server_that_is_down_delays_only_migrations() {
    let database = ClusterDatabase::exclusive(SHARDED_AND_REPLICATED);
    let [used, down] = HALVES;
    database.url().open().unwrap().append(&batch(0..20, MONDAY)).unwrap();
    database.stop(&down);
    // Until then, a replica that is down may be the one that must drop a day.
    database.wait_for_end_of_sessions(&down);

    let url = database.url_of(used[0], "&quorum=1");
    let parameters = format!("?cluster={SHARDED_AND_REPLICATED}");
    let new = database.url_of_database(&unique_name(), used[0], &parameters);
    std::thread::scope(|scope| {
        // Each statement that waits for all servers takes a while.
        scope.spawn(|| {
            let incomplete = new.open().map(drop);
            assert!(matches!(incomplete, Err(StoreError::MigrationIncomplete { cluster, .. })
                if cluster == SHARDED_AND_REPLICATED));
        });
        scope.spawn(|| {
            let mut store = url.open().unwrap();
            store.append(&batch(20..40, MONDAY.plus(7))).unwrap();
            store.probe().unwrap();
            assert_eq!(store.remove_before(MONDAY.plus(7)).unwrap(), 20);
            assert_eq!(total(&mut *store, MONDAY.week()), 0);
            store.forget_ids(MONDAY.plus(8)).unwrap();
        });
    });

    database.start(&down);
    // The servers that were down have removed the same starts.
    let old = format!("SELECT count() FROM {}.recent_local WHERE day < '2025-11-24'", database.name);
    for server in down {
        poll_until("the removal", || run(&database.server(server), &old) == "0");
    }
    // They copy what was stored meanwhile, and are not read before they have almost done so.
    let week = MONDAY.week().plus(1);
    poll_until("the copy", || {
        let tally = database.url_of(down[0], "").open().and_then(|mut store| store.tally(week, week, 1));
        tally.is_ok_and(|tally| tally.weeks.get(&week).map_or(0, WeekTally::total) == 20)
    });
    new.open().unwrap();
}
