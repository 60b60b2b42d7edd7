//! The program against a whole cluster: telemetry beside a run that succeeds.

use std::path::Path;

use rustix::process::Signal;
use serde_json::json;
use tbot_cluster::{Cluster, ClusterConfig, clock};

use super::receiver::{Behaviour, Receiver};
use super::run::{Run, Telemetry, tbot};
use crate::agent::fixture::wait_until;

/// A run of `tbot start` as a new bot of this cluster, with one output to the folder `out`.
fn start(cluster: &Cluster, bot: &str, receiver: &Receiver, flags: &[&str]) -> Run {
    let config = json!({
        "version": "v2",
        "proxy_server": cluster.proxy_addr().to_string(),
        "onboarding": { "join_method": "token", "token": cluster.add_bot(bot, &["access"]).unwrap() },
        "storage": { "type": "directory", "path": "storage" },
        "services": [{ "type": "identity", "destination": { "type": "directory", "path": "out" } }],
        "anonymous_telemetry_opt_in": true,
    });
    let arguments = [&["start", "-c", "tbot.yaml"][..], flags].concat();
    let run = tbot(Telemetry::To(receiver), &arguments)
        .file("tbot.yaml", config.to_string())
        .file("web-ca.pem", cluster.web_ca_pem());
    let roots = run.path().join("web-ca.pem");
    run.env("SSL_CERT_FILE", roots)
}

async fn cluster() -> Cluster {
    Cluster::start(ClusterConfig::new(clock::system())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_shot_run_succeeds_whatever_the_endpoint_does() {
    let cluster = cluster().await;
    for (bot, behaviour, warnings) in
        [("ok", Behaviour::ok(), 0), ("silence", Behaviour::Silence, 1), ("garbage", Behaviour::Garbage, 1)]
    {
        let receiver = Receiver::new(behaviour);
        let run = start(&cluster, bot, &receiver, &["--oneshot"]);
        let ended = tokio::task::block_in_place(|| run.end());
        assert_eq!(ended.status, Some(0), "{}", ended.stderr);
        assert_eq!(ended.telemetry_warnings().len(), warnings, "{}", ended.stderr);
        assert_eq!(receiver.requests().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_daemon_cleanly_while_the_endpoint_holds_its_connection() {
    let cluster = cluster().await;
    for (bot, signal) in [("term", Signal::TERM), ("int", Signal::INT)] {
        let receiver = Receiver::new(Behaviour::Silence);
        let run = start(&cluster, bot, &receiver, &[]);
        let identity = run.path().join("out/identity");
        let running = run.spawn();
        wait_until("the output is written", || Path::exists(&identity)).await;
        tokio::task::block_in_place(|| receiver.wait_for_request());
        running.signal(signal);
        let ended = tokio::task::block_in_place(|| running.end());
        assert_eq!(ended.status, Some(0), "{}", ended.stderr);
        assert_eq!(receiver.let_go(), 0);
    }
}
