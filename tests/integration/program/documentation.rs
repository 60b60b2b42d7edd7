//! The documentation: its configurations are valid, and its commands run.

use std::path::Path;
use std::process::Command;

use serde::Deserialize as _;
use serde_yaml::{Deserializer, Value};
use tbot::config::{Purpose, load};
use tbot::diagnostic::Severity;
use tbot_cluster::{Cluster, ClusterConfig, clock};
use tbot_documentation::{CodeBlock, Page, Session, pages};

use super::fake_server::{Behaviour, FakeServer};
use super::fixture::{CLOSED_PORT, program};

/// The line that opts in, with its comment next to it or, for a terminal, above it.
const OPT_IN: [&str; 2] = [
    "\nanonymous_telemetry_opt_in: true # opt in to anonymous usage telemetry; this line can be removed\n",
    "\n# opt in to anonymous usage telemetry; this line can be removed\nanonymous_telemetry_opt_in: true\n",
];

/// Keys of a configuration that identify a part of one.
const PARTS: [&str; 6] = ["destination", "onboarding", "outputs", "proxy_server", "services", "storage"];

/// What the pages show instead of the values of the development cluster.
const PROXY: &str = "teleport.example.com:443";
const CLUSTER: &str = "teleport.example.com";
const BOT: &str = "example";
const TOKEN: &str = "3f1c9a6d5b7e4820a1c4d9e8b6f50372";
const TELEMETRY: &str = "https://reporting-tbot.teleportinfra.sh";

/// Returns whether the examples of a page are configurations with mistakes.
fn shows_mistakes(page: &Page) -> bool {
    page.path.starts_with("docs/diagnostics")
}

/// Returns the documents of a block, each with its text.
fn documents(block: &CodeBlock, place: &str) -> Vec<(String, Value)> {
    let texts = block.text.split("\n---\n").map(|text| format!("{text}\n"));
    let parse = |text: String| {
        let value = Value::deserialize(Deserializer::from_str(&text));
        let value = value.unwrap_or_else(|error| panic!("{place}: {error}"));
        (text, value)
    };
    texts.map(parse).collect()
}

/// Returns the strings in a value.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Sequence(items) => items.iter().flat_map(strings).collect(),
        Value::Mapping(map) => map.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// Returns the configurations in a block: its documents of version 2, and the strings that contain one, as in a ConfigMap.
fn configurations(block: &CodeBlock, place: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (text, value) in documents(block, place) {
        let has = |key: &str| value.get(key).is_some();
        let is_configuration = value.get("version").and_then(Value::as_str) == Some("v2") && !has("kind");
        if is_configuration {
            found.push(text);
            continue;
        }
        let part = PARTS.iter().find(|key| has(key));
        assert!(part.is_none(), "{place}: show a whole configuration instead of a part of one: {part:?}");
        let embedded = strings(&value).into_iter().filter(|text| text.starts_with("version: v2\n"));
        found.extend(embedded.map(str::to_owned));
    }
    found
}

#[test]
fn every_configuration_is_valid_and_opts_in() {
    let mut checked = 0;
    for page in pages().iter().filter(|page| !shows_mistakes(page)) {
        for block in page.code_blocks().iter().filter(|block| block.language == "yaml") {
            let place = format!("{}:{}", page.path.display(), block.line);
            for configuration in configurations(block, &place) {
                let diagnostics = load(Some(&configuration), &[], Purpose::Validate).diagnostics;
                let problems: Vec<_> =
                    diagnostics.iter().filter(|found| found.severity != Severity::Note).collect();
                assert!(problems.is_empty(), "{place}: {problems:#?}");
                let opts_in = OPT_IN.iter().any(|line| configuration.contains(line));
                assert!(opts_in, "{place}: does not opt in to telemetry");
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "found only {checked} configurations");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_pages_print_what_the_pages_show() {
    let program = program();
    let telemetry = FakeServer::new(Behaviour::ok());
    let (endpoint, host) = (telemetry.url(), telemetry.url().replace("http://", ""));
    // A test of prehog runs the commands of its page.
    let has_commands = |page: &&Page| {
        page.path != Path::new("docs/prehog.md")
            && page.code_blocks().iter().any(|block| block.language == "console")
    };
    let mut count = 0;
    for page in pages().iter().filter(has_commands) {
        let mut config = ClusterConfig::new(clock::system());
        config.cluster_name = CLUSTER.to_owned();
        let cluster = Cluster::start(config).await.unwrap();
        let token = cluster.add_bot(BOT, &["access"]).unwrap();
        let session = Session::new(&program)
            .with_variable("SSL_CERT_FILE", "web-ca.pem")
            .with_variable("TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS", &endpoint)
            // A second safeguard: a request to another machine ends at a closed port.
            .with_variable("HTTPS_PROXY", format!("http://{CLOSED_PORT}"))
            .with_replacement(TELEMETRY, &endpoint)
            .with_replacement(TELEMETRY.trim_start_matches("https://"), &host)
            .with_replacement(PROXY, &cluster.proxy_addr().to_string())
            .with_replacement(TOKEN, &token);
        std::fs::write(session.directory().join("web-ca.pem"), cluster.web_ca_pem()).unwrap();
        count += session.run(page);
    }
    assert!(count > 10, "ran only {count} commands");
}

#[test]
fn every_block_of_commands_is_run_or_says_why_not() {
    for page in pages().iter().filter(|page| !page.is_generated()) {
        for block in page.code_blocks() {
            let is_reason_missing = match block.language.as_str() {
                "sh" => block.not_run.is_none(),
                "bash" | "shell" | "zsh" => true,
                _ => block.not_run.is_some(),
            };
            assert!(
                !is_reason_missing,
                "{}:{}: commands are either in a `console` block, which a test runs, or in a `sh` block with the \
                 comment `<!-- not run: REASON -->` directly before it",
                page.path.display(),
                block.line
            );
        }
    }
}

#[test]
fn the_example_of_a_helper_opts_in_only_if_its_user_did_and_no_input_opts_out() {
    let page = Page::read("docs/telemetry-helper.md");
    let is_action = |block: &CodeBlock| block.text.contains("using: composite");
    let action = page.code_blocks().into_iter().find(is_action).unwrap();
    let action: Value = serde_yaml::from_str(&action.text).unwrap();
    let script = action["runs"]["steps"][0]["run"].as_str().unwrap();
    let script = script.replace("tbot start", "tbot telemetry status");

    let directory = tempfile::tempdir().unwrap();
    let program = program();
    let is_on = |decision: &str, environment: &str, configuration: &str| {
        std::fs::write(directory.path().join("tbot.yaml"), format!("version: v2\n{configuration}")).unwrap();
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(directory.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", program.parent().unwrap().display()))
            .envs([("CONFIG", "tbot.yaml"), ("DECISION", decision)])
            .env("TELEPORT_ANONYMOUS_TELEMETRY", environment)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().starts_with("anonymous telemetry is on")
    };
    let opts_in = "anonymous_telemetry_opt_in: true\n";
    for (decision, environment, configuration, expected) in [
        ("", "", "", false),
        ("", "", opts_in, true),
        ("", "0", opts_in, false),
        ("true", "", "", true),
        ("true", "0", "", false),
        ("false", "", opts_in, false),
        ("false", "1", opts_in, false),
        ("no", "", opts_in, false),
        ("off", "1", "", false),
        ("TRUE", "1", opts_in, false),
    ] {
        let on = is_on(decision, environment, configuration);
        assert_eq!(on, expected, "{decision:?}, {environment:?}, {configuration:?}");
    }
}
