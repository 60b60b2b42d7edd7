//! Telemetry next to an agent that succeeds: a misbehaving endpoint affects neither a oneshot run nor the shutdown of a
//! continuous one.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::json;
use tbot_cluster::{Cluster, ClusterConfig, clock, method};

use super::fake_server::{Behaviour, FakeServer};
use super::fixture::{FAILING_START, Run, Telemetry, tbot};
use crate::agent::fixture::wait_until;

/// Prepares a `tbot start` as a new bot of this cluster, with one output to the directory `out`.
pub(super) fn start(
    cluster: &Cluster,
    bot: &str,
    (telemetry, is_on): (Telemetry<'_>, bool),
    flags: &[&str],
) -> Run {
    let config = json!({
        "version": "v2",
        "proxy_server": cluster.proxy_addr().to_string(),
        "onboarding": { "join_method": "token", "token": cluster.add_bot(bot, &["access"]).unwrap() },
        "storage": { "type": "directory", "path": "storage" },
        "services": [{ "type": "identity", "destination": { "type": "directory", "path": "out" } }],
        "anonymous_telemetry_opt_in": is_on,
    });
    let arguments = [&["start", "-c", "tbot.yaml"][..], flags].concat();
    tbot(telemetry, &arguments).file("tbot.yaml", config.to_string()).trusting(cluster)
}

async fn start_cluster() -> Cluster {
    Cluster::start(ClusterConfig::new(clock::system())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oneshot_run_succeeds_with_the_same_files_whatever_the_endpoint_does() {
    let cluster = start_cluster().await;
    let run = |bot: &str, telemetry: Telemetry<'_>, is_on: bool, warnings: usize| {
        let finished = start(&cluster, bot, (telemetry, is_on), &["--oneshot"]).run_blocking();
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        assert_eq!(finished.telemetry_warnings().len(), warnings, "{}", finished.stderr);
        tree(finished.path())
    };
    let without_telemetry = run("off", Telemetry::ClosedPort, false, 0);
    assert!(without_telemetry.contains(&PathBuf::from("out/identity")), "{without_telemetry:?}");
    assert_eq!(run("refused", Telemetry::ClosedPort, true, 1), without_telemetry);
    for (bot, behaviour, warnings) in
        [("ok", Behaviour::ok(), 0), ("silence", Behaviour::Silence, 1), ("garbage", Behaviour::Garbage, 1)]
    {
        let telemetry = FakeServer::new(behaviour);
        let with_telemetry = run(bot, Telemetry::Server(&telemetry), true, warnings);
        assert_eq!(with_telemetry, without_telemetry, "{bot}");
        assert_eq!(telemetry.requests().len(), 1);
    }
}

/// Only a connection shows whether the address is that of an auth server.
#[tokio::test(flavor = "multi_thread")]
async fn an_auth_server_that_cannot_be_verified_is_refused_after_the_event_was_submitted() {
    let cluster = start_cluster().await;
    let telemetry = FakeServer::new(Behaviour::ok());
    let run = start(&cluster, "robot", (Telemetry::Server(&telemetry), true), &["--oneshot"]);
    let config = std::fs::read_to_string(run.path().join("tbot.yaml")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let address = cluster.auth_addr().to_string();
    config.as_object_mut().unwrap().remove("proxy_server");
    config["auth_server"] = json!(address);
    let finished = run.file("tbot.yaml", config.to_string()).run_blocking();
    assert_eq!(finished.status, Some(3), "{}", finished.stderr);
    assert!(finished.log_at("WARN").iter().any(|line| line.contains("unverified-auth-server")));
    assert!(finished.log_at("INFO").iter().any(|line| line.contains(&format!("auth_server={address} "))));
    assert_eq!(telemetry.requests().len(), 1);
    let allowed = [method::GET_CLUSTER_CA_CERT, method::PING];
    assert!(cluster.requests().iter().all(|call| allowed.contains(&call.method.as_str())));
}

/// Returns the paths of all files and directories below `directory`, sorted.
fn tree(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path.clone());
            }
            found.push(path.strip_prefix(directory).unwrap().to_owned());
        }
    }
    found.sort();
    found
}

#[test]
fn a_submission_changes_neither_the_exit_status_nor_any_directory() {
    let refused = ["start", "--fips", "--join-method=token", "--token=a", "--proxy-server=127.0.0.1:1"];
    for (arguments, status) in [(&FAILING_START[..], 1), (&refused, 3)] {
        let run = |behaviour: Behaviour, flags: &[&str]| {
            let server = FakeServer::new(behaviour);
            let run = tbot(Telemetry::Server(&server), &[arguments, flags].concat());
            let directory = run.path().to_str().unwrap().to_owned();
            let variables = ["HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"];
            let finished = run.envs(&variables.map(|variable| (variable, directory.as_str()))).run();
            assert_eq!(finished.status, Some(status), "{}", finished.stderr);
            (server.requests().len(), tree(finished.path()))
        };
        let (none, without_telemetry) = run(Behaviour::ok(), &[]);
        assert_eq!(none, 0);
        for behaviour in
            [Behaviour::ok(), Behaviour::Silence, Behaviour::respond("500 Internal Server Error", "")]
        {
            let (one, with_telemetry) = run(behaviour, &["--anonymous-telemetry-opt-in"]);
            assert_eq!((one, with_telemetry), (1, without_telemetry.clone()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_shuts_the_agent_down_while_the_endpoint_keeps_its_connection_open() {
    let cluster = start_cluster().await;
    for (bot, signal) in [("term", Signal::TERM), ("int", Signal::INT)] {
        let telemetry = FakeServer::new(Behaviour::Silence);
        let run = start(&cluster, bot, (Telemetry::Server(&telemetry), true), &[]);
        let identity = run.path().join("out/identity");
        let running = run.spawn();
        wait_until("the output is written", || Path::exists(&identity)).await;
        tokio::task::block_in_place(|| telemetry.wait_for_request());
        running.signal(signal);
        let finished = tokio::task::block_in_place(|| running.wait());
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        assert_eq!(telemetry.closed_connections(), 0);
        let name = format!("signal=SIG{}", bot.to_uppercase());
        assert_eq!(finished.log_at("INFO").iter().filter(|line| line.contains(&name)).count(), 1);
    }
}
