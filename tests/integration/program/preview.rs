//! `tbot telemetry preview` shows the request that is sent, and where its properties come from. Also `status` and `explain`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::fake_server::FakeServer;
use super::fixture::{CLOSED_PORT, FAILING_START, Finished, Run, Telemetry, tbot};

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
        // The name in the request follows the value.
        let value = value.split(' ').next()?;
        (!name.starts_with(' ')).then_some((name, (value, pair[1].strip_prefix("    ")?)))
    });
    properties.collect()
}

/// Returns the document of a preview as JSON.
fn parsed(preview: &Finished) -> Value {
    assert_eq!(preview.status, Some(0), "{}", preview.stderr);
    serde_json::from_str(&preview.stdout).unwrap()
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
    insta::assert_snapshot!(normalized(&example));
    let document = parsed(&preview(&["--format", "json"]));
    let yaml = document["example"].as_str().unwrap();
    let indented: Vec<String> = yaml.lines().map(|line| format!("    {line}\n")).collect();
    assert!(example.stdout.contains(&indented.concat()), "{yaml}");

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

/// Checks that a start sends the previewed request to the endpoint at `address`. `set_up` adds what a run needs for the connection.
fn assert_previewed_request_is_sent(server: &FakeServer, address: &str, set_up: impl Fn(Run) -> Run) {
    let flags = [&FAILING_START[1..], &["--anonymous-telemetry-opt-in"]].concat();
    let run = |command: &[&str]| set_up(tbot(Telemetry::Address(address), &[command, &flags].concat())).run();
    let preview = run(&["telemetry", "preview"]);
    let document = parsed(&run(&["telemetry", "preview", "--format", "json"]));
    assert_eq!(server.connections(), 0);
    let finished = run(&["start"]);
    let sent = server.requests().pop().unwrap_or_else(|| panic!("{}", finished.stderr));

    let mut lines = preview.stdout.lines().skip_while(|line| !line.starts_with("POST "));
    let path = lines.next().unwrap().replace(address, "");
    let mut headers: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    headers.sort_unstable();
    assert_eq!(sent.request_line, format!("{path} HTTP/1.1"));
    assert_eq!(sent.headers, headers);

    let request = &document["request"];
    let target = request["url"].as_str().unwrap().strip_prefix(address).unwrap();
    assert_eq!(sent.request_line, format!("{} {target} HTTP/1.1", request["method"].as_str().unwrap()));
    let header =
        |header: &Value| Some(format!("{}: {}", header["name"].as_str()?, header["value"].as_str()?));
    let mut headers: Vec<String> =
        request["headers"].as_array().unwrap().iter().map(|line| header(line).unwrap()).collect();
    headers.sort_unstable();
    assert_eq!(sent.headers, headers);

    // Each run has its own id, and nothing else differs.
    let bodies = [&sent.body, body_of(&preview), request["body"].as_str().unwrap()];
    let ids = bodies.map(|body| {
        let body: Value = serde_json::from_str(body).unwrap();
        body["distinctId"].as_str().unwrap().to_owned()
    });
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    for (body, id) in bodies.iter().zip(&ids) {
        assert_eq!(body.replace(id, ""), sent.body.replace(&ids[0], ""));
    }
}

#[test]
fn the_previewed_request_is_sent_unchanged() {
    let server = FakeServer::ok();
    assert_previewed_request_is_sent(&server, &server.url(), |run| run);
}

#[test]
fn the_previewed_request_is_sent_unchanged_over_tls() {
    let server = FakeServer::https();
    assert_previewed_request_is_sent(&server, &server.https_url(), |run| run.trusting_ca(server.ca_pem()));
}

#[test]
fn the_previewed_request_is_sent_unchanged_through_an_http_proxy() {
    let proxy = FakeServer::https_behind_proxy("telemetry.invalid");
    assert_previewed_request_is_sent(&proxy, "https://telemetry.invalid", |run| {
        run.trusting_ca(proxy.ca_pem()).with_proxy(&proxy, "robot:hunter2")
    });
    let requests = proxy.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    // The request to the proxy contains nothing about the agent or this machine.
    assert_eq!(requests[0].request_line, "CONNECT telemetry.invalid:443 HTTP/1.1");
    let headers: Vec<String> = requests[0].headers.iter().map(|header| header.to_lowercase()).collect();
    let authorization = "proxy-authorization: basic cm9ib3q6ahvudgvymg==";
    assert_eq!(headers, ["host: telemetry.invalid:443", authorization]);
}

/// Previews the event of [`CONFIG`] as JSON, with a helper and an additional service.
fn json_preview() -> Value {
    let command =
        ["telemetry", "preview", "--format", "json", "-c", "tbot.yaml", "--proxy-server", CLOSED_PORT];
    let service = ["application", "--app", "a", "--destination", "app"];
    let finished = tbot(Telemetry::Default, &[&command[..], &service].concat())
        .file("tbot.yaml", CONFIG)
        .env("_TBOT_TELEMETRY_HELPER", "gha:teleport-actions/auth-k8s")
        .env("_TBOT_TELEMETRY_HELPER_VERSION", "v1.2.3; echo secret")
        .run();
    parsed(&finished)
}

#[test]
fn a_preview_as_json_has_the_event_the_request_and_the_sources_of_every_property() {
    let mut document = json_preview();
    let body = document["request"]["body"].as_str().unwrap();
    let parsed_body: Value = serde_json::from_str(body).unwrap();
    for property in document["event"]["properties"].as_array().unwrap() {
        let wire_name = property["wire_name"].as_str().unwrap();
        assert_eq!(property["wire_value"], parsed_body["start"][wire_name], "{wire_name}");
    }
    let body = body.replace(parsed_body["distinctId"].as_str().unwrap(), "[UUID]");
    document["request"]["body"] = body.into();
    let text = format!("{document:#}").replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
    insta::assert_snapshot!(text);
}

#[test]
fn the_source_of_a_missing_value_is_its_default() {
    let finished = tbot(Telemetry::Default, &["telemetry", "preview", "--format", "json", "-c", "tbot.yaml"])
        .file("tbot.yaml", CONFIG.replace("oneshot: true\n", "proxy_server: a:1\n"))
        .run();
    let document = parsed(&finished);
    let run_mode = &document["event"]["properties"][0];
    assert_eq!((&run_mode["name"], &run_mode["value"]), (&json!("run_mode"), &json!("continuous")));
    let source = json!({ "kind": "default", "key": "oneshot", "input": null, "line": null, "column": null, "outcome": null });
    assert_eq!(run_mode["sources"], json!([source]));
}

#[test]
fn the_subtracted_counts_add_up_to_the_total() {
    let document = json_preview();
    let properties = document["event"]["properties"].as_array().unwrap();
    let value = |name: &Value| properties.iter().find(|one| one["name"] == *name).unwrap()["value"].as_u64();
    let mut checked = 0;
    for property in properties {
        let minus = property["minus"].as_array().unwrap();
        if !minus.is_empty() {
            let parts: u64 = minus.iter().map(|name| value(name).unwrap()).sum();
            assert_eq!(property["wire_value"].as_u64().unwrap() + parts, property["value"].as_u64().unwrap());
            checked += 1;
        }
    }
    assert_eq!(checked, 1);
}

/// Adds the paths of the members of a document, such as `event.properties[].name`. A list or an object is not a member itself.
fn add_members(value: &Value, path: &str, members: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            let separator = if path.is_empty() { "" } else { "." };
            map.iter()
                .for_each(|(key, value)| add_members(value, &format!("{path}{separator}{key}"), members));
        }
        Value::Array(items) => items.iter().for_each(|item| add_members(item, &format!("{path}[]"), members)),
        _ => drop(members.insert(path.to_owned())),
    }
}

#[test]
fn a_preview_and_a_status_as_json_have_exactly_the_documented_members() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/telemetry.md")).unwrap();
    for (command, document) in [("preview", json_preview()), ("status", json_status(Telemetry::Default, "0"))]
    {
        let (_, section) = page.split_once(&format!("\n## The {command} as JSON\n")).unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let items = section.lines().filter_map(|line| line.strip_prefix("- `")?.split_once('`'));
        let documented: BTreeSet<String> = items.map(|(member, _)| member.to_owned()).collect();
        let mut members = BTreeSet::new();
        add_members(&document, "", &mut members);
        assert_eq!(members, documented, "{command}");
    }
}

/// Runs `tbot telemetry status --format json` with a value of `DO_NOT_TRACK`.
fn json_status(telemetry: Telemetry<'_>, do_not_track: &str) -> Value {
    let arguments = ["telemetry", "status", "--format", "json", "-c", "tbot.yaml"];
    parsed(&tbot(telemetry, &arguments).file("tbot.yaml", CONFIG).env("DO_NOT_TRACK", do_not_track).run())
}

#[test]
fn a_status_as_json_has_the_decision_and_the_endpoint_of_the_preview() {
    let (status, preview) = (json_status(Telemetry::Default, "0"), json_preview());
    for member in ["url", "proxy"] {
        assert_eq!(status["request"][member], preview["request"][member]);
    }
    assert_eq!(status["consent"]["on"], true);
    assert_eq!(status["consent"]["inputs"].as_array().unwrap().len(), 4);
    assert_eq!(status["request"]["error"], Value::Null);

    let opted_out = json_status(Telemetry::Default, "1");
    assert_eq!(opted_out["consent"]["on"], false);
    assert_eq!(opted_out["consent"]["inputs"][3]["consent"], "no");

    let rejected = json_status(Telemetry::Address("ftp://example.invalid"), "0");
    assert_eq!(rejected["request"]["url"], Value::Null);
    assert!(
        rejected["request"]["error"].as_str().unwrap().starts_with("TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS ")
    );
}

#[test]
fn an_invalid_configuration_prints_no_status_as_json() {
    let arguments = ["telemetry", "status", "--format", "json", "--join-method", "frob"];
    let finished = tbot(Telemetry::Default, &arguments).run();
    assert_eq!((finished.status, finished.stdout.as_str()), (Some(3), ""), "{}", finished.stderr);
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
fn status_mentions_further_documents_whose_opt_out_is_not_read() {
    let notes = |file: &str| {
        let finished = tbot(Telemetry::Default, &["telemetry", "status", "-c", "tbot.yaml"])
            .file("tbot.yaml", file)
            .env("TELEPORT_ANONYMOUS_TELEMETRY", "1")
            .run();
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        finished.stdout.matches("\nnote: ").count()
    };
    assert_eq!(notes(&format!("{CONFIG}---\nanonymous_telemetry_opt_in: false\n")), notes(CONFIG) + 1);
}

#[test]
fn status_and_preview_mention_the_file_that_they_have_not_read() {
    let run = |flags: &[&str]| {
        let run = tbot(Telemetry::Default, &[&["telemetry"], flags].concat());
        run.file("tbot.yaml", CONFIG).file("example", CONFIG).run()
    };
    let own = ["preview", "--join-method", "github", "--token", "a", "--proxy-server", CLOSED_PORT];
    let hint = "hint: tbot.yaml was not read";
    for (flags, is_mentioned) in [
        (&["status"][..], true),
        (&["preview"], true),
        (&own, true),
        (&["status", "-c", "tbot.yaml"], false),
        (&["preview", "-c", "tbot.yaml", "--proxy-server", CLOSED_PORT], false),
        (&["preview", "-c", "example", "--proxy-server", CLOSED_PORT], false),
    ] {
        let finished = run(flags);
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        assert_eq!(finished.stdout.contains(hint), is_mentioned, "{}", finished.stdout);
    }
}

#[test]
fn status_and_preview_refuse_an_output_in_the_storage_like_a_start() {
    for command in ["status", "preview"] {
        let run = tbot(Telemetry::Default, &["telemetry", command, "-c", "tbot.yaml"]);
        let storage = run.path().join("bot");
        let config = format!(
            "version: v2\nproxy_server: teleport.example.com:443\nonboarding: {{join_method: github, token: a}}\n\
             anonymous_telemetry_opt_in: true\nstorage: {{type: directory, path: {}}}\n\
             services: [{{type: identity, destination: {{type: directory, path: bot}}}}]\n",
            storage.display()
        );
        let finished = run.file("tbot.yaml", config).run();
        assert_eq!(finished.status, Some(3), "{command}: {}", finished.stdout);
        assert_eq!(finished.diagnostic_codes(), ["error[same-destination]"], "{command}");
        assert!(!finished.stdout.contains("https://"), "{command}: {}", finished.stdout);
    }
}

#[test]
fn status_notes_what_a_flag_or_variable_must_set_before_a_start_sends_the_event() {
    let status = |flags: &[&str]| {
        let arguments = [&["telemetry", "status", "-c", "tbot.yaml"], flags].concat();
        let config = "version: v2\nanonymous_telemetry_opt_in: true\n";
        let finished = tbot(Telemetry::Default, &arguments).file("tbot.yaml", config).run();
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        finished
    };
    let run = |flags: &[&str]| {
        let notes = status(flags).stdout.lines().filter(|line| line.starts_with("note: ")).count();
        let document = parsed(&status(&[flags, &["--format=json"]].concat()));
        assert_eq!(document["notes"].as_array().unwrap().len(), notes);
        notes
    };
    assert_eq!(run(&[]), 2);
    assert_eq!(run(&["--join-method=github", "--token=a"]), 1);
    assert_eq!(run(&["--join-method=github", "--token=a", "--proxy-server=teleport.example.com:443"]), 0);
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
