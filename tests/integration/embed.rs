//! The library sends no telemetry: even with consent from the configuration and the environment, a program that embeds it connects
//! neither to the endpoint in the environment nor, through an HTTP proxy, to another machine.

#![expect(clippy::unwrap_used, reason = "a panic in a helper fails the test")]

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tbot_cluster::{Cluster, ClusterConfig, clock, method};

use crate::agent::fixture::wait_until;

/// Builds the example, which `cargo test --test integration` alone does not, and returns its path. For another selection than the
/// workspace, cargo would build the dependencies again.
fn build_example() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--workspace", "--example", "embed", "--message-format=json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let messages = stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let executables = messages.filter(|message| message["target"]["name"] == "embed");
    executables.filter_map(|message| Some(PathBuf::from(message["executable"].as_str()?))).next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_embeds_the_library_sends_no_telemetry() {
    let example = build_example();
    for oneshot in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
        let token = cluster.add_bot("embedded", &["access"]).unwrap();
        let endpoint = TcpListener::bind("127.0.0.1:0").unwrap();
        endpoint.set_nonblocking(true).unwrap();
        let endpoint_url = format!("http://{}", endpoint.local_addr().unwrap());
        std::fs::write(directory.path().join("ca.pem"), cluster.web_ca_pem()).unwrap();
        let configuration = format!(
            "version: v2\nproxy_server: {}\nonboarding: {{join_method: token, token: {token}}}\n\
             storage: {{type: directory, path: storage}}\nanonymous_telemetry_opt_in: true\noneshot: {oneshot}\n\
             services:\n  - {{type: identity, destination: {{type: directory, path: out}}}}\n",
            cluster.proxy_addr(),
        );
        std::fs::write(directory.path().join("tbot.yaml"), configuration).unwrap();

        let mut program = Command::new(&example)
            .arg("tbot.yaml")
            .current_dir(directory.path())
            .env_clear()
            .env("SSL_CERT_FILE", directory.path().join("ca.pem"))
            .env("TELEPORT_ANONYMOUS_TELEMETRY", "true")
            .env("TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS", &endpoint_url)
            // A request to any other machine arrives here, too. The cluster is on this one.
            .env("HTTPS_PROXY", &endpoint_url)
            .spawn()
            .unwrap();
        let identity = directory.path().join("out/identity");
        if !oneshot {
            wait_until("the output is written", || identity.exists()).await;
            // The first heartbeat follows the first attempts of all services.
            let is_done = || cluster.requests().iter().any(|call| call.method == method::SUBMIT_HEARTBEAT);
            wait_until("the heartbeat is sent", is_done).await;
            kill_process(Pid::from_child(&program), Signal::TERM).unwrap();
        }
        let status = tokio::task::spawn_blocking(move || program.wait()).await.unwrap().unwrap();
        assert!(status.success() && identity.exists(), "{status}");
        // The program has ended, so a connection from it would be waiting here.
        assert_eq!(endpoint.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "oneshot: {oneshot}");
    }
}

/// Runs the example once, with these paths of the storage and of its only output.
async fn run_once(cluster: &Cluster, storage: &str, output: &str) -> (tempfile::TempDir, Output) {
    let directory = tempfile::tempdir().unwrap();
    let token = cluster.add_bot("embedded", &["access"]).unwrap();
    std::fs::write(directory.path().join("ca.pem"), cluster.web_ca_pem()).unwrap();
    let storage = storage.replace("DIRECTORY", directory.path().to_str().unwrap());
    let configuration = format!(
        "\u{feff}version: v2\nproxy_server: {}\nonboarding: {{join_method: token, token: {token}}}\n\
         storage: {{type: directory, path: {storage}}}\noneshot: true\n\
         services:\n  - {{type: identity, destination: {{type: directory, path: {output}}}}}\n",
        cluster.proxy_addr(),
    );
    std::fs::write(directory.path().join("tbot.yaml"), configuration).unwrap();
    let mut program = Command::new(build_example());
    program.arg("tbot.yaml").current_dir(directory.path()).env_clear();
    program.env("SSL_CERT_FILE", directory.path().join("ca.pem"));
    let output = tokio::task::spawn_blocking(move || program.output()).await.unwrap().unwrap();
    (directory, output)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_in_the_storage_is_refused_before_the_join() {
    let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
    let (directory, output) = run_once(&cluster, "DIRECTORY/bot", "bot").await;
    assert!(!output.status.success());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("/services/0/destination/path"), "{message}");
    assert!(!directory.path().join("bot").exists());
    assert!(cluster.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ssh_configuration_runs_tbot_instead_of_the_embedding_program() {
    let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
    let (directory, output) = run_once(&cluster, "storage", "out").await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ssh_config = std::fs::read_to_string(directory.path().join("out/ssh_config")).unwrap();
    assert!(ssh_config.contains("/usr/local/bin/tbot") && !ssh_config.contains("embed"), "{ssh_config}");
}

#[test]
fn a_problem_in_a_file_in_utf_16_is_shown_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let configuration =
        "\u{feff}version: v2\nproxy_server: 127.0.0.1:1\nonboarding: {join_method: gihub, token: a}\n";
    let utf_16: Vec<u8> = configuration.encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(directory.path().join("tbot.yaml"), utf_16).unwrap();
    let program = Command::new(build_example())
        .arg("tbot.yaml")
        .current_dir(directory.path())
        .env_clear()
        .output()
        .unwrap();
    assert!(!program.status.success());
    let message = String::from_utf8(program.stderr).unwrap();
    assert!(message.contains("tbot.yaml:3:27"), "{message}");
}
