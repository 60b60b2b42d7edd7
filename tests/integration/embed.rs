//! The library cannot send: an embedder's run with every consent given reaches the cluster and nothing else.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tbot_cluster::{Cluster, ClusterConfig, clock};

/// The example program, built here: a run of these tests alone does not build it.
fn example() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "tbot",
            "--example",
            "embed",
            "--message-format=json",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let built = String::from_utf8(output.stdout).unwrap();
    let messages = built.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let executables = messages.filter(|message| message["target"]["name"] == "embed");
    executables.filter_map(|message| Some(PathBuf::from(message["executable"].as_str()?))).next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedder_sends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
    let token = cluster.add_bot("embedded", &["access"]).unwrap();
    let endpoint = TcpListener::bind("127.0.0.1:0").unwrap();
    endpoint.set_nonblocking(true).unwrap();
    std::fs::write(folder.path().join("ca.pem"), cluster.web_ca_pem()).unwrap();
    let configuration = format!(
        "version: v2\nproxy_server: {}\nonboarding: {{join_method: token, token: {token}}}\n\
         storage: {{type: directory, path: storage}}\nanonymous_telemetry_opt_in: true\noneshot: true\n\
         services:\n  - {{type: identity, destination: {{type: directory, path: out}}}}\n",
        cluster.proxy_addr(),
    );
    std::fs::write(folder.path().join("tbot.yaml"), configuration).unwrap();

    let mut command = Command::new(example());
    command
        .arg("tbot.yaml")
        .current_dir(folder.path())
        .env_clear()
        .env("SSL_CERT_FILE", folder.path().join("ca.pem"))
        .env("TELEPORT_ANONYMOUS_TELEMETRY", "true")
        .env("TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS", format!("http://{}", endpoint.local_addr().unwrap()));
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(folder.path().join("out/identity").exists());
    // The program has ended: a connection would be waiting here.
    assert_eq!(endpoint.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}
