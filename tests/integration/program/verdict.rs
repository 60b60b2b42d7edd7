//! `tbot validate` and `tbot start` agree: `start` refuses a configuration with the codes that `validate` reports as errors
//! or as not supported, and goes on whatever else `validate` reports.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use super::fake_server::FakeServer;
use super::fixture::{CLOSED_PORT, Finished, Telemetry, tbot};

/// The findings about what a flag or a variable must supply, and the flags that supply it.
const SUPPLIED_BY: [(&str, &[&str]); 4] = [
    // Without it, a start refuses to join, after it has accepted the configuration.
    ("unverified-auth-server", &["--insecure"]),
    ("missing-address", &["--proxy-server", CLOSED_PORT]),
    ("missing-join-method", &["--join-method", "token", "--token", "a"]),
    ("missing-token", &["--token", "a"]),
];

/// Chooses one of these values.
fn one_of(values: &[Value]) -> impl Strategy<Value = Value> + use<> {
    prop::sample::select(values.to_vec())
}

fn directories() -> impl Strategy<Value = Value> {
    let paths =
        ["storage", "./storage/", "storage/out", "out", "out/..", "out/tlscert", "out/..5", "", "other"];
    prop::sample::select(paths.to_vec()).prop_map(|path| json!({ "type": "directory", "path": path }))
}

fn destinations() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => directories(),
        1 => one_of(&[
            json!({ "type": "memory" }),
            json!({ "type": "kubernetes_secret", "name": "bot", "namespace": "a" }),
            json!({ "type": "kubernetes_secret", "name": "bot" }),
            json!({ "type": "kubernetes_secret", "name": "x/y", "namespace": "A" }),
        ]),
    ]
}

fn services() -> impl Strategy<Value = Value> {
    let bodies = one_of(&[
        json!({ "type": "identity" }),
        json!({ "type": "identity", "name": "identity-1" }),
        json!({ "type": "identity", "name": "Upper" }),
        json!({ "type": "identity", "roles": ["access"] }),
        json!({ "type": "identity", "delegation_session_id": "a" }),
        json!({ "type": "identity", "credential_ttl": "48h", "renewal_interval": "1h" }),
        json!({ "type": "identity", "credential_ttl": "200h", "renewal_interval": "1h" }),
        json!({ "type": "identity", "credential_ttl": "1h" }),
        json!({ "type": "application", "app_name": "" }),
        json!({ "type": "database", "service": "a", "format": "cockroach" }),
        json!({ "type": "kubernetes/v2", "selectors": [{ "name": "a" }], "context_name_template": "{{.Labels.a}}" }),
        json!({ "type": "kubernetes/v2", "selectors": [{ "name": "a" }], "context_name_template": "{{.Kube" }),
        json!({ "type": "kubernetes/v2", "selectors": [{ "name": "a" }], "context_name_template": "{{.KubeName | upper}}" }),
        json!({ "type": "kubernetes/v2", "selectors": [{ "name": "a" }], "context_name_template": "a {{- .KubeName -}}" }),
        json!({ "type": "identity", "ssh_config": "" }),
        json!({ "type": "workload-identity-x509", "selector": { "name": "a" }, "certificate_ttl": "1h" }),
        json!({ "type": "ssh-multiplexer" }),
        json!({ "type": "spiffe-svid", "svid": { "path": "/a" } }),
        json!({ "type": "identity", "unknown": 1 }),
    ]);
    (bodies, destinations()).prop_map(|(mut body, destination)| {
        body["destination"] = destination;
        body
    })
}

/// Generates configurations of oneshot mode, in which the program ends by itself. No address leads anywhere.
fn configurations() -> impl Strategy<Value = Value> {
    let closed = || json!(CLOSED_PORT);
    let top_level = [
        (
            "proxy_server",
            vec![
                closed(),
                closed(),
                json!("127.0.0.1"),
                json!(":443"),
                json!("user@127.0.0.1:1"),
                json!("::1"),
            ],
        ),
        ("auth_server", vec![closed(), json!("127.0.0.1:3025"), json!("127.0.0.1:x")]),
        ("diag_addr", vec![json!("127.0.0.1:0"), json!(":0"), json!("3001"), json!("")]),
        ("fips", vec![json!(true), json!(false)]),
        ("scoped", vec![json!(true), json!(false)]),
        ("certificate_ttl", vec![json!("1h"), json!("30h"), json!("-1h")]),
        ("renewal_interval", vec![json!("20m"), json!("1ms"), json!("1h")]),
        ("insecure", vec![json!(true)]),
        (
            "onboarding",
            vec![
                json!({ "join_method": "token", "token": "a" }),
                json!({ "join_method": "token", "token": "out/token" }),
                json!({ "join_method": "github" }),
                json!({ "join_method": "", "token": "a" }),
                json!({ "join_method": "bound_keypair" }),
                json!({ "join_method": "token", "token": "a", "ca_pins": ["foo"] }),
                json!({ "token": "a" }),
            ],
        ),
    ];
    let properties = top_level.map(|(key, values)| {
        let value = prop::option::weighted(if key == "onboarding" { 0.9 } else { 0.3 }, one_of(&values));
        value.prop_map(move |value| value.map(|value| (key.to_owned(), value)))
    });
    // Never the default, which is not in the directory of the run.
    let storage = destinations();
    let lists = (prop::collection::vec(services(), 0..4), prop::collection::vec(services(), 0..2));
    (Vec::from(properties), storage, lists).prop_map(|(properties, storage, (services, outputs))| {
        let mut config: Map<String, Value> = properties.into_iter().flatten().collect();
        config.insert("version".to_owned(), json!("v2"));
        config.insert("oneshot".to_owned(), json!(true));
        config.insert("services".to_owned(), json!(services));
        config.insert("outputs".to_owned(), json!(outputs));
        config.insert("storage".to_owned(), storage);
        Value::Object(config)
    })
}

/// A mistake in one line of a file.
#[derive(Clone, Copy, Debug)]
enum Mistake {
    Repeated,
    IndentedByOne,
    IndentedByTwo,
    IndentedByTab,
    NotIndented,
    WithoutDash,
    WithTag,
    NotFinite,
    NotRendered,
    NumberAsKey,
    MisspelledKey,
    WithOpenQuote,
}

impl Mistake {
    const ALL: [Self; 12] = [
        Self::Repeated,
        Self::IndentedByOne,
        Self::IndentedByTwo,
        Self::IndentedByTab,
        Self::NotIndented,
        Self::WithoutDash,
        Self::WithTag,
        Self::NotFinite,
        Self::NotRendered,
        Self::NumberAsKey,
        Self::MisspelledKey,
        Self::WithOpenQuote,
    ];

    fn make_in(self, line: &str) -> String {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        let (start, name) = key.split_at(key.len() - key.trim_start_matches([' ', '-']).len());
        match self {
            Self::Repeated => format!("{line}\n{line}"),
            Self::IndentedByOne => format!(" {line}"),
            Self::IndentedByTwo => format!("  {line}"),
            Self::IndentedByTab => format!("\t{line}"),
            Self::NotIndented => line.trim_start().to_owned(),
            Self::WithoutDash => line.replacen("- ", "  ", 1),
            Self::WithTag => format!("{key}: !x{value}"),
            Self::NotFinite => format!("{key}: .inf"),
            Self::NotRendered => format!("{key}: {{{{ .Values.x }}}}"),
            Self::NumberAsKey => format!("{start}5:{value}"),
            Self::MisspelledKey => format!("{start}x{name}:{value}"),
            Self::WithOpenQuote => format!("{key}: \"{value}"),
        }
    }
}

/// Generates the text of configurations, a quarter of them with up to three mistakes in the text.
fn files() -> impl Strategy<Value = String> {
    let mistake = (prop::sample::select(Mistake::ALL.to_vec()), any::<prop::sample::Index>());
    let mistakes = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(mistake, 1..4)];
    (configurations(), mistakes).prop_map(|(config, mistakes)| {
        let text = tbot::yaml::emit(&config).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (mistake, index) in mistakes {
            let line = index.get_mut(&mut lines);
            // Only a run of oneshot mode ends by itself.
            if !line.starts_with("oneshot") {
                *line = mistake.make_in(line);
            }
        }
        lines.join("\n") + "\n"
    })
}

/// Returns the codes of the errors that a start reports.
fn refused_codes(finished: &Finished) -> BTreeSet<String> {
    let code = |line: &str| Some(line.split_once("code=\"")?.1.split_once('"')?.0.to_owned());
    let logged = finished.log_at("ERROR").into_iter().filter_map(code);
    let reported = finished.diagnostic_codes().into_iter();
    let reported =
        reported.filter_map(|shown| Some(shown.strip_prefix("error[")?.strip_suffix(']')?.to_owned()));
    logged.chain(reported).collect()
}

#[test]
fn an_output_that_leads_into_the_storage_by_a_link_is_refused_before_the_join() {
    let proxy = FakeServer::ok();
    let address = proxy.address();
    let file = "version: v2\nonboarding: {join_method: token, token: a}\nstorage: {type: directory, path: storage}\n\
                services:\n  - {type: identity, destination: {type: directory, path: link/out}}\n";
    let run =
        tbot(Telemetry::ClosedPort, &["start", "-c", "tbot.yaml", "--oneshot", "--proxy-server", &address]);
    std::os::unix::fs::symlink("storage", run.path().join("link")).unwrap();
    std::fs::create_dir(run.path().join("storage")).unwrap();
    let finished = run.file("tbot.yaml", file).run();
    assert_eq!(finished.status, Some(3), "{}", finished.stderr);
    assert_eq!(refused_codes(&finished), BTreeSet::from(["nested-destination".to_owned()]));
    assert_eq!(proxy.connections(), 0, "the agent connected to the cluster");
    assert!(std::fs::read_dir(finished.path().join("storage")).unwrap().next().is_none());
}

#[test]
fn start_refuses_exactly_what_validate_reports_as_an_error_or_as_not_supported() {
    let mut outcomes = BTreeSet::new();
    let outcomes_of_runs = std::cell::RefCell::new(&mut outcomes);
    let agree = |file: String| {
        let run = |arguments: &[&str]| tbot(Telemetry::ClosedPort, arguments).file("tbot.yaml", &file).run();
        let validated = run(&["validate", "--format", "json", "tbot.yaml"]);
        let report: Value = serde_json::from_str(&validated.stdout).unwrap();
        let found: Vec<(&str, &str)> = report["diagnostics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|found| (found["code"].as_str().unwrap(), found["severity"].as_str().unwrap()))
            .collect();
        let errors: BTreeSet<&str> =
            found.iter().filter(|(_, severity)| *severity == "error").map(|(code, _)| *code).collect();
        // The error of a missing namespace depends on the environment of the start.
        let needs_namespace = found.iter().any(|(code, _)| *code == "missing-namespace");
        let is_unsupported = found.iter().any(|(code, _)| *code == "not-supported");
        let expected: BTreeSet<&str> =
            if errors.is_empty() && is_unsupported { ["not-supported"].into() } else { errors };

        let supplied = SUPPLIED_BY.into_iter().filter(|(code, _)| found.iter().any(|found| found.0 == *code));
        let flags: Vec<&str> = supplied.flat_map(|(_, flags)| flags.iter().copied()).collect();
        let run = tbot(Telemetry::ClosedPort, &[&["start", "-c", "tbot.yaml"], &flags[..]].concat());
        let run = if needs_namespace { run.env("POD_NAMESPACE", "pod") } else { run };
        let started = run.file("tbot.yaml", &file).run();

        prop_assert_eq!(validated.status, Some(if report["errors"] == 0 { 0 } else { 3 }));
        let refused = refused_codes(&started);
        let is_refused = started.status == Some(3);
        prop_assert_eq!(is_refused, !expected.is_empty(), "{} {}", &validated.stdout, &started.stderr);
        if is_refused {
            prop_assert_eq!(
                refused.iter().map(String::as_str).collect::<BTreeSet<_>>(),
                expected,
                "{}",
                &started.stderr
            );
        }
        outcomes_of_runs.borrow_mut().insert((is_refused, is_unsupported));
        Ok(())
    };
    // Hardly any generated file is valid.
    let valid = format!(
        "version: v2\noneshot: true\nproxy_server: {CLOSED_PORT}\nonboarding: {{join_method: token, token: a}}\n\
         storage: {{type: directory, path: storage}}\n\
         services: [{{type: identity, destination: {{type: directory, path: out}}}}]\n"
    );
    agree(valid).unwrap();
    // The flag for the token sets a part of the map whose name is misspelled.
    let misspelled = "version: v2\noneshot: true\nxonboarding: {join_method: github}\n";
    agree(misspelled.to_owned()).unwrap();
    let config = Config { failure_persistence: None, ..Config::with_cases(130) };
    TestRunner::new(config).run(&files(), agree).unwrap_or_else(|failure| panic!("{failure}"));
    for outcome in [(true, true), (true, false), (false, false)] {
        assert!(outcomes.contains(&outcome), "no configuration led to {outcome:?}: {outcomes:?}");
    }
}
