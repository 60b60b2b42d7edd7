//! The preview and the request that is sent: the same bytes. And where the properties come from.

use super::receiver::Receiver;
use super::run::{CLOSED, ENDS_AT_ONCE, Ended, Telemetry, tbot};

const CONFIG: &str = "\
version: v2
onboarding:
  join_method: github
oneshot: true
anonymous_telemetry_opt_in: true
services:
  - type: identity
    destination: {type: directory, path: out}
outputs:
  - type: kubernetes/v2
    selectors: [{name: a}]
    destination: {type: directory, path: kube}
";

/// The body that a preview shows.
pub(crate) fn body_of(preview: &Ended) -> &str {
    preview.stdout.lines().find(|line| line.starts_with('{')).unwrap()
}

/// A preview with what is different at every run replaced.
fn normal(preview: &Ended) -> String {
    let body: serde_json::Value = serde_json::from_str(body_of(preview)).unwrap();
    let stdout = preview.stdout.replace(body["distinctId"].as_str().unwrap(), "[UUID]");
    stdout.replace(env!("CARGO_PKG_VERSION"), "[VERSION]")
}

#[test]
fn a_preview_shows_the_whole_request_and_where_everything_comes_from() {
    let ended = tbot(
        Telemetry::Default,
        &["telemetry", "preview", "-c", "tbot.yaml", "--no-oneshot", "--proxy-server", CLOSED],
    )
    .file("tbot.yaml", CONFIG)
    .env("_TBOT_TELEMETRY_HELPER", "gha:teleport-actions/auth-k8s")
    .env("_TBOT_TELEMETRY_HELPER_VERSION", "v1.2.3; echo secret")
    .end();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    insta::assert_snapshot!(normal(&ended));
}

#[test]
fn a_preview_while_off_says_so_and_shows_the_same() {
    let ended = tbot(
        Telemetry::Default,
        &["telemetry", "preview", "--join-uri", "tbot+proxy+token://a-token@127.0.0.1:1", "--oneshot"],
    )
    .env("DO_NOT_TRACK", "1")
    .env("_TBOT_TELEMETRY_HELPER", "my own script")
    .env("_TBOT_TELEMETRY_HELPER_VERSION", "1.2.3")
    .end();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(!ended.stdout.contains("my own script") && !ended.stdout.contains("a-token"), "{}", ended.stdout);
    insta::assert_snapshot!(normal(&ended));
}

#[test]
fn the_request_that_is_previewed_is_the_one_that_is_sent() {
    let receiver = Receiver::ok();
    let flags = [&ENDS_AT_ONCE[1..], &["--anonymous-telemetry-opt-in"]].concat();
    let run = |command: &[&str]| tbot(Telemetry::To(&receiver), &[command, &flags].concat()).end();
    let preview = run(&["telemetry", "preview"]);
    run(&["start"]);

    let mut lines = preview.stdout.lines().skip_while(|line| !line.starts_with("POST "));
    let path = lines.next().unwrap().replace(&receiver.url(), "");
    let mut headers: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    headers.sort_unstable();
    let sent = receiver.requests().remove(0);
    assert_eq!(sent.line, format!("{path} HTTP/1.1"));
    assert_eq!(sent.headers, headers);
    assert_eq!(sent.body.len(), body_of(&preview).len());
}

#[test]
fn an_address_of_which_nothing_may_be_shown_is_masked() {
    let address = format!("http://{CLOSED}/base?key=hunter2#hunter3");
    let ended = tbot(
        Telemetry::Address(&address),
        &["telemetry", "preview", "--join-method", "github", "--proxy-server", CLOSED],
    )
    .end();
    let line = ended.stdout.lines().find(|line| line.starts_with("POST ")).unwrap();
    let path = "prehog.v1alpha.TbotReportingService/SubmitTbotEvent";
    assert_eq!(line, format!("POST http://{CLOSED}/base/{path}?..."));
    assert!(!ended.stdout.contains("hunter"), "{}", ended.stdout);
}

#[test]
fn status_lists_every_input() {
    let ended = tbot(Telemetry::Default, &["telemetry", "status", "-c", "tbot.yaml"])
        .file("tbot.yaml", CONFIG)
        .env("TELEPORT_ANONYMOUS_TELEMETRY", "perhaps")
        .env("DO_NOT_TRACK", "0")
        .end();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    insta::assert_snapshot!(ended.stdout);
}

#[test]
fn explain_prints_the_page_of_this_version() {
    let ended = tbot(Telemetry::Default, &["telemetry", "explain"]).end();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/telemetry.md")).unwrap();
    assert_eq!((ended.status, ended.stdout), (Some(0), page));
}
