//! Rotations of the cluster's authorities, phase by phase: a running agent's trust and files follow, without a restart.

use std::path::Path;
use std::time::Duration;

use tbot_cluster::{Code, Phase, method};

use super::lab::{BOT, Lab, Log, Running, listen, read, until};

const KINDS: [&str; 3] = ["host", "user", "db"];
/// A rotation is followed this long after it is noticed.
const DEBOUNCE: Duration = Duration::from_secs(10);

/// An agent with one output that renews by itself only in half an hour, and watches.
async fn watching(lab: &Lab, log: &Log) -> Running {
    let running = lab.start(lab.config("30m", &[lab.output("out")]));
    until("the output is written", || lab.path("out").join("identity").exists()).await;
    // After the stream has begun, the agent looks at each authority once.
    until("the agent watches", || noticed(log).0 == KINDS.len()).await;
    running
}

fn rotate(lab: &Lab, phase: Phase) {
    for kind in KINDS {
        lab.cluster.rotate(kind, phase).unwrap();
    }
}

/// Whether every authority stands in the output as the cluster has it, and the bot's own trust too.
fn follows(lab: &Lab) -> bool {
    let in_file = |name: &str, kind| {
        let path = lab.path("out").join(name);
        path.exists() && read(&path) == lab.cluster.authority_pem(kind)
    };
    in_file("teleport-host-ca.crt", "host")
        && in_file("teleport-user-ca.crt", "user")
        && in_file("teleport-database-ca.crt", "db")
        && trusted(&lab.storage().join("tlscacerts")) == certificates(&lab.cluster, &["user", "host"])
}

fn trusted(path: &Path) -> usize {
    read(path).matches("BEGIN CERTIFICATE").count()
}

fn certificates(cluster: &tbot_cluster::Cluster, kinds: &[&str]) -> usize {
    kinds.iter().map(|kind| cluster.authority_pem(kind).matches("BEGIN CERTIFICATE").count()).sum()
}

/// How many changes of authorities the agent has seen, and how often it has begun to follow them.
fn noticed(log: &Log) -> (usize, usize) {
    let text = log.text();
    let seen = text.matches("an authority of the cluster ").count();
    (seen, text.matches("renewing now, to follow").count())
}

/// Takes the cluster on to `phase`, and waits until the agent has seen it. On one thread, whatever the agent does about
/// it at once is done then.
async fn shown(lab: &Lab, log: &Log, phase: Phase) {
    let (seen, followed) = noticed(log);
    rotate(lab, phase);
    until("the agent has seen each authority", || noticed(log).0 == seen + KINDS.len()).await;
    tokio::task::yield_now().await;
    assert_eq!(noticed(log).1, followed, "not before the rotation has settled");
}

/// Takes the cluster on to `phase`, and expects one renewal of everything that brings the agent there.
async fn followed(lab: &Lab, log: &Log, phase: Phase) {
    let before = lab.stored_generation();
    shown(lab, log, phase).await;
    lab.clock.advance(DEBOUNCE);
    until("the agent follows", || lab.stored_generation() == before + 1 && follows(lab)).await;
}

/// Takes the cluster on to `phase`, which changes nothing for the agent.
async fn ignored(lab: &Lab, log: &Log, phase: Phase) {
    let rotated = || log.text().matches("is being rotated").count();
    let before = rotated();
    shown(lab, log, phase).await;
    assert_eq!(rotated(), before, "{phase:?}");
}

/// What the agent has works: it renews, and is accepted, when it is told to.
async fn works(lab: &Lab, running: &Running) {
    let (generation, key) = (lab.stored_generation(), read(&lab.path("out").join("key")));
    running.control.reload();
    until("it renews", || lab.stored_generation() > generation && read(&lab.path("out").join("key")) != key)
        .await;
}

#[tokio::test]
async fn a_whole_rotation_is_followed_without_a_restart() {
    let (log, _listening) = listen();
    let lab = Lab::new().await;
    let running = watching(&lab, &log).await;
    let first = lab.cluster.authority_pem("host");
    ignored(&lab, &log, Phase::Init).await;
    followed(&lab, &log, Phase::UpdateClients).await;
    ignored(&lab, &log, Phase::UpdateServers).await;
    works(&lab, &running).await;
    followed(&lab, &log, Phase::Standby).await;
    works(&lab, &running).await;
    assert_ne!(lab.cluster.authority_pem("host"), first);
    assert_eq!(lab.calls(method::WATCH_EVENTS), 1, "one stream all the while");
    running.stop().await.unwrap();
    assert_eq!((lab.calls(method::JOIN), lab.cluster.is_locked(BOT)), (1, false));
}

#[tokio::test]
async fn a_rollback_is_followed_from_every_phase() {
    let (log, _listening) = listen();
    let lab = Lab::new().await;
    let running = watching(&lab, &log).await;
    let first = KINDS.map(|kind| lab.cluster.authority_pem(kind));
    let phases = [Phase::Init, Phase::UpdateClients, Phase::UpdateServers];
    for last in 1..=phases.len() {
        for phase in &phases[..last] {
            if *phase == Phase::UpdateClients {
                followed(&lab, &log, *phase).await;
            } else {
                ignored(&lab, &log, *phase).await;
            }
        }
        followed(&lab, &log, Phase::Rollback).await;
        works(&lab, &running).await;
        followed(&lab, &log, Phase::Standby).await;
        works(&lab, &running).await;
        assert_eq!(KINDS.map(|kind| lab.cluster.authority_pem(kind)), first);
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_happens_while_nobody_watches_is_noticed_afterwards() {
    let (log, _listening) = listen();
    let lab = Lab::new().await;
    let running = watching(&lab, &log).await;
    rotate(&lab, Phase::Init);
    // The stream ends, and the next one cannot begin before the change has come.
    let hold = lab.cluster.hold_next(method::WATCH_EVENTS);
    lab.cluster.end_events();
    lab.clock.advance(Duration::from_secs(1));
    rotate(&lab, Phase::UpdateClients);
    hold.release();
    until("the new stream is there", || lab.calls(method::WATCH_EVENTS) == 2).await;
    let renewed = until("the agent follows", || {
        lab.clock.advance(Duration::from_millis(100));
        lab.stored_generation() == 2 && follows(&lab)
    });
    renewed.await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_stream_that_ends_or_is_refused_is_calm() {
    let (log, _listening) = listen();
    let lab = Lab::new().await;
    for _ in 0..3 {
        lab.cluster.fail_next(method::WATCH_EVENTS, Code::Unimplemented, "unknown method WatchEvents");
    }
    let running = lab.start(lab.config("30m", &[lab.output("out")]));
    let attempts = |count| {
        let lab = &lab;
        async move {
            until("there is another attempt", || {
                lab.clock.advance(Duration::from_millis(500));
                lab.calls(method::WATCH_EVENTS) == count
            })
            .await;
        }
    };
    attempts(4).await;
    lab.cluster.wait_for(method::WATCH_EVENTS, 4).await;
    lab.cluster.end_events();
    attempts(5).await;
    running.stop().await.unwrap();
    let text = log.text();
    assert!(!text.contains("WARN tbot::agent") && !text.contains("ERROR tbot::agent"), "{text}");
    assert_eq!(text.matches("INFO tbot::agent::runtime::rotation: cannot watch").count(), 1, "{text}");
}
