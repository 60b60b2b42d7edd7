//! `tbot telemetry preview` shows the request that is sent, and where its properties come from. Also `status` and `explain`.

use std::collections::BTreeMap;

use super::fake_server::FakeServer;
use super::fixture::{CLOSED_PORT, FAILING_START, Finished, Telemetry, tbot};

const CONFIG: &str = "\
version: v2
onboarding:
  join_method: github
  token: bots
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

/// Returns the body of the request in a preview.
pub(crate) fn body_of(preview: &Finished) -> &str {
    preview.stdout.lines().find(|line| line.starts_with('{')).unwrap()
}

/// Returns the properties of the event in a preview, as a map from name to value and origin.
pub(crate) fn properties_of(preview: &Finished) -> BTreeMap<&str, (&str, &str)> {
    assert_eq!(preview.status, Some(0), "{}", preview.stderr);
    let lines: Vec<&str> = preview.stdout.lines().collect();
    let properties = lines.windows(2).filter_map(|pair| {
        let (name, value) = pair[0].split_once(" = ")?;
        Some((name, (value, pair[1].strip_prefix("    ")?)))
    });
    properties.collect()
}

/// Replaces the parts of a preview that vary.
fn normalized(preview: &Finished) -> String {
    let body: serde_json::Value = serde_json::from_str(body_of(preview)).unwrap();
    let stdout = preview.stdout.replace(body["distinctId"].as_str().unwrap(), "[UUID]");
    stdout.replace(env!("CARGO_PKG_VERSION"), "[VERSION]")
}

#[test]
fn a_preview_shows_the_whole_request_and_the_origin_of_every_property() {
    let finished = tbot(
        Telemetry::Default,
        &["telemetry", "preview", "-c", "tbot.yaml", "--no-oneshot", "--proxy-server", CLOSED_PORT],
    )
    .file("tbot.yaml", CONFIG)
    .env("_TBOT_TELEMETRY_HELPER", "gha:teleport-actions/auth-k8s")
    .env("_TBOT_TELEMETRY_HELPER_VERSION", "v1.2.3; echo secret")
    .run();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    insta::assert_snapshot!(normalized(&finished));
}

#[test]
fn a_preview_works_while_telemetry_is_off() {
    let finished = tbot(
        Telemetry::Default,
        &["telemetry", "preview", "--join-uri", "tbot+proxy+token://a-token@127.0.0.1:1", "--oneshot"],
    )
    .env("DO_NOT_TRACK", "1")
    .env("_TBOT_TELEMETRY_HELPER", "my own script")
    .env("_TBOT_TELEMETRY_HELPER_VERSION", "1.2.3")
    .run();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert!(
        !finished.stdout.contains("my own script") && !finished.stdout.contains("a-token"),
        "{}",
        finished.stdout
    );
    insta::assert_snapshot!(normalized(&finished));
}

#[test]
fn without_a_configuration_an_example_is_previewed() {
    let preview =
        |flags: &[&str]| tbot(Telemetry::Default, &[&["telemetry", "preview"], flags].concat()).run();
    let example = preview(&[]);
    let join_method = ("token", "example:4 (onboarding.join_method)");
    assert_eq!(properties_of(&example)["join_type"], join_method);
    assert_eq!(properties_of(&example)["destinations_configured"].0, "1");
    insta::assert_snapshot!(example.stdout.lines().next().unwrap(), @"this is an example, because there is no configuration: name yours with --config");

    // Flags that are not enough for a start change the example.
    let example = preview(&["--oneshot"]);
    assert_eq!(properties_of(&example)["run_mode"], ("one-shot", "flag --oneshot (oneshot)"));
    assert_eq!(properties_of(&example)["join_type"], join_method);
    let own = preview(&["--join-method", "github", "--token", "a", "--proxy-server", CLOSED_PORT]);
    assert_eq!(properties_of(&own)["destinations_configured"].0, "0");
    let wrong = preview(&["--join-method", "githib"]);
    assert_eq!(wrong.status, Some(3));
    assert!(wrong.stderr.contains("--join-method"), "{}", wrong.stderr);
}

#[test]
fn the_previewed_request_is_sent_unchanged() {
    let server = FakeServer::ok();
    let flags = [&FAILING_START[1..], &["--anonymous-telemetry-opt-in"]].concat();
    let run = |command: &[&str]| tbot(Telemetry::Server(&server), &[command, &flags].concat()).run();
    let preview = run(&["telemetry", "preview"]);
    run(&["start"]);

    let mut lines = preview.stdout.lines().skip_while(|line| !line.starts_with("POST "));
    let path = lines.next().unwrap().replace(&server.url(), "");
    let mut headers: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    headers.sort_unstable();
    let sent = server.requests().remove(0);
    assert_eq!(sent.request_line, format!("{path} HTTP/1.1"));
    assert_eq!(sent.headers, headers);
    assert_eq!(sent.body.len(), body_of(&preview).len());
}

#[test]
fn secrets_in_the_address_of_the_endpoint_are_not_shown() {
    let address = format!("http://{CLOSED_PORT}/base?key=hunter2#hunter3");
    let finished = tbot(
        Telemetry::Address(&address),
        &["telemetry", "preview", "--join-method", "github", "--token", "a", "--proxy-server", CLOSED_PORT],
    )
    .run();
    let line = finished.stdout.lines().find(|line| line.starts_with("POST ")).unwrap();
    let path = "prehog.v1alpha.TbotReportingService/SubmitTbotEvent";
    assert_eq!(line, format!("POST http://{CLOSED_PORT}/base/{path}?..."));
    assert!(!finished.stdout.contains("hunter"), "{}", finished.stdout);
}

#[test]
fn status_lists_every_input() {
    let finished = tbot(Telemetry::Default, &["telemetry", "status", "-c", "tbot.yaml"])
        .file("tbot.yaml", CONFIG)
        .env("TELEPORT_ANONYMOUS_TELEMETRY", "perhaps")
        .env("DO_NOT_TRACK", "0")
        .run();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    insta::assert_snapshot!(finished.stdout);
}

#[test]
fn explain_prints_the_documentation_of_this_version_and_on_request_every_configuration_property() {
    let generated = |name: &str| {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/tbot/telemetry/generated");
        std::fs::read_to_string(format!("{directory}/{name}.txt")).unwrap()
    };
    let explain =
        |flags: &[&str]| tbot(Telemetry::Default, &[&["telemetry", "explain"], flags].concat()).run();
    let (page, all_properties) = (generated("explain"), generated("all-properties"));
    let finished = explain(&["--full"]);
    assert_eq!((finished.status, finished.stdout), (Some(0), format!("{page}{all_properties}")));
    let finished = explain(&[]);
    assert_eq!((finished.status, finished.stdout), (Some(0), page));
}
