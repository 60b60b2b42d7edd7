//! Inputs from wrapper scripts: flags with empty values, and secrets through pipes.

use rustix::process::Signal;
use serde_json::json;
use tonic::Code;

use tbot_cluster::method;

use super::bot_fixture::BotFixture;
use super::fixture::{Telemetry, tbot};
use crate::agent::fixture::wait_until;

/// Flags with empty values, as a script passes them if its variables are not set.
const EMPTY: [&str; 16] = [
    "--config-string=",
    "--proxy-server=",
    "--auth-server=",
    "--token=",
    "--join-method=",
    "--join-uri=",
    "--ca-pin=",
    "--registration-secret=",
    "--registration-secret-path=",
    "--static-key-path=",
    "--storage=",
    "--certificate-ttl=",
    "--renewal-interval=0s",
    "--diag-addr=",
    "--destination-dir=",
    "--pid-file=",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_with_an_empty_value_overrides_nothing() {
    let fixture = BotFixture::new().await;
    fixture.change_config(|config| {
        config["credential_ttl"] = json!("2h");
        config["renewal_interval"] = json!("30m");
    });
    let finished = fixture.start(&[&EMPTY[..], &["--oneshot"]].concat()).run_blocking();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert!(fixture.path("out/identity").exists());
    assert!(!finished.stderr.contains("overrides"), "{}", finished.stderr);

    // A variable is used before the file.
    let variable =
        fixture.start(&["--oneshot", "--proxy-server="]).env("TELEPORT_PROXY", "127.0.0.1:1").run_blocking();
    assert!(variable.stderr.contains("TELEPORT_PROXY overrides proxy_server"), "{}", variable.stderr);
}

#[test]
fn an_empty_path_of_a_configuration_is_that_of_the_variable() {
    let file = "version: v2\n";
    let validate = |arguments: &[&str]| tbot(Telemetry::ClosedPort, &[&["validate"], arguments].concat());
    let finished =
        validate(&["--config="]).env("TBOT_CONFIG_PATH", "other.yaml").file("other.yaml", file).run();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert!(finished.stdout.contains("other.yaml"), "{}", finished.stdout);
    let finished = validate(&["--config=", "--config-string="]).file("tbot.yaml", file).run();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_from_a_pipe_is_kept_for_further_attempts() {
    let fixture = BotFixture::new().await;
    let mut token = String::new();
    fixture.change_config(|config| {
        token = config["onboarding"]["token"].as_str().unwrap().to_owned();
        config["onboarding"]["token"] = json!("/dev/stdin");
    });
    fixture.cluster.fail_next(method::FIND, Code::ResourceExhausted, "slow down");
    let running = fixture.start(&[]).stdin(format!("{token}\n")).spawn();
    wait_until("the output is written", || fixture.path("out/identity").exists()).await;
    running.signal(Signal::TERM);
    let finished = tokio::task::block_in_place(|| running.wait());
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("slow down"), "{}", finished.stderr);
    assert!(!finished.stderr.contains(&token), "{}", finished.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_pipe_is_an_error() {
    let fixture = BotFixture::new().await;
    let finished = fixture.start(&["--oneshot", "--token=/dev/stdin"]).run_blocking();
    assert_eq!(finished.status, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("the join token file /dev/stdin is empty"), "{}", finished.stderr);
}
