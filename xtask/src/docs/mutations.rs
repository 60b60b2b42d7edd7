//! Seeded mutations: schema, pages, code and receiver agree, because a change of one of them alone fails a check, which names
//! the command that repairs it.

use std::fs;
use std::path::Path;

use ::prehog::schema::EventSchema;
use serde_json::{Value, json};
use tbot::config::internal::schema::{generate, generate_v1};
use tbot::event::internal::{Rules, audit, generate_schema};
use xtask_launcher::root;

use super::configuration;
use super::telemetry::TelemetryPage;
use crate::generated::{GeneratedFile, check, pretty_json};
use crate::proto::prehog::proto_file;
use crate::released::{freeze, versions};
use crate::{docs, proto, schema};

/// A change of the declarations of the event.
type Mutation = (&'static str, fn(&mut Value));

fn remove(map: &mut Value, key: &str) -> Value {
    map.as_object_mut().unwrap().shift_remove(key).unwrap()
}

/// Changes of what is collected.
const CONTENT: [Mutation; 6] = [
    ("drop", |event| drop(remove(&mut event["properties"], "helper_version"))),
    ("rename", |event| {
        let mut property = remove(&mut event["properties"], "helper_version");
        property["x-wire"]["name"] = json!("helperRelease");
        event["properties"]["helper_release"] = property;
    }),
    ("loosen a pattern", |event| event["properties"]["helper_version"]["pattern"] = json!("^v?[0-9]{1,3}$")),
    ("loosen a list", |event| {
        event["$defs"]["RunMode"]["enum"].as_array_mut().unwrap().push(json!("sometimes"));
    }),
    ("add", |event| {
        let mut property = event["properties"]["helper_version"].clone();
        property["x-wire"] = json!({ "field": 1000, "name": "more" });
        event["properties"]["more"] = property;
    }),
    ("read something else", |event| {
        event["properties"]["run_mode"]["x-source"]["config"] = json!("/debug");
    }),
];

const REASON: Mutation =
    ("change a reason", |event| event["properties"]["helper"]["x-reason"] = json!("Because."));

fn mutate(mutation: Mutation) -> Value {
    let mut event = generate_schema();
    mutation.1(&mut event);
    assert_ne!(event, generate_schema(), "{}", mutation.0);
    event
}

/// Asserts that the repository lacks this content, and that the check says with which command to generate it.
fn assert_stale(what: &str, command: &str, path: &str, content: String) {
    let file = GeneratedFile { path: path.to_owned(), content };
    let message = match check(&root().unwrap(), &[], command, &[file]) {
        Ok(()) => panic!("{what}: {path} is not affected"),
        Err(error) => error.to_string(),
    };
    assert!(message.contains(path) && message.contains(&format!("run `{command}`")), "{what}: {message}");
}

#[test]
fn a_changed_declaration_makes_the_schema_and_the_page_stale() {
    for mutation in CONTENT.into_iter().chain([REASON]) {
        let (what, event) = (mutation.0, mutate(mutation));
        assert_stale(
            what,
            "cargo xtask schema",
            "schema/tbot.start.schema.json",
            pretty_json(&event).unwrap(),
        );
        // A declaration that cannot even be described fails the generator, which is as good.
        if let Ok(events) = versions(&event)
            && let Ok(page) = TelemetryPage::new(&events, &generate(), &generate_v1(), "")
        {
            assert_stale(what, "cargo xtask docs", "docs/telemetry.md", page.markdown());
        }
    }
}

#[test]
fn only_a_new_version_may_change_what_is_collected() {
    for mutation in CONTENT {
        let error = freeze(&mutate(mutation)).err().unwrap_or_else(|| panic!("{} passes", mutation.0));
        let message = error.to_string();
        assert!(
            message.contains("increment EVENT_VERSION") || message.contains("not compatible"),
            "{}: {message}",
            mutation.0
        );
    }
    assert!(freeze(&mutate(REASON)).unwrap().is_empty(), "a reason may be explained better");
}

#[test]
fn a_changed_property_makes_the_receiver_stale() {
    let mut compared = 0;
    for mutation in CONTENT.into_iter().filter(|(what, _)| ["drop", "rename", "add"].contains(what)) {
        let event = mutate(mutation);
        let schema = EventSchema::new(&Rules::read(&event).unwrap());
        let Ok(schema) = schema else { continue };
        let file = proto_file(&schema).unwrap();
        assert_stale(mutation.0, "cargo xtask proto", &file.path, file.content);
        compared += 1;
    }
    assert!(compared >= 2, "only {compared} mutations reach the receiver");
}

#[test]
fn a_property_that_reads_too_much_fails_the_audit() {
    for (pointer, class) in
        [("/onboarding/token", "secret"), ("/proxy_server", "location"), ("/debug", "tuning")]
    {
        let mut event = generate_schema();
        event["properties"]["run_mode"]["x-source"]["config"] = json!(pointer);
        let findings = audit(&event, &generate());
        assert!(findings.iter().any(|finding| finding.contains(class)), "{pointer}: {findings:?}");
    }
}

#[test]
fn a_source_that_the_page_would_list_as_never_collected_fails_the_generator() {
    let page = |source: &str| {
        let mut event = generate_schema();
        event["properties"]["run_mode"]["x-source"]["config"] = json!(source);
        TelemetryPage::new(&versions(&event).unwrap(), &generate(), &generate_v1(), "")
    };
    page("/onboarding/join_method").unwrap();
    for source in ["/storage/type", "/onboarding/gitlab/token_env_var_name"] {
        let error = page(source).err().unwrap_or_else(|| panic!("{source} passes")).to_string();
        assert!(error.contains(source) && error.contains("WITH_SOURCES"), "{error}");
    }
}

#[test]
fn a_new_field_of_a_service_makes_the_schema_and_both_pages_stale() {
    let config = generate();
    let definitions = config["$defs"].as_object().unwrap();
    let services: Vec<String> = definitions
        .iter()
        .filter(|(_, one)| one["x-access"].is_string())
        .map(|(name, _)| name.clone())
        .collect();
    assert!(services.len() >= 19, "only {services:?}");
    for service in services {
        let mut config = generate();
        config["$defs"][&service]["properties"]["favourite"] =
            json!({ "type": "string", "description": "A new field.", "x-sensitivity": "identifier" });
        assert_stale(
            &service,
            "cargo xtask schema",
            "schema/tbot.schema.json",
            pretty_json(&config).unwrap(),
        );
        let page = configuration::page(&config, &generate_v1());
        assert_stale(&service, "cargo xtask docs", "docs/configuration.md", page);
        let events = versions(&generate_schema()).unwrap();
        let page = TelemetryPage::new(&events, &config, &generate_v1(), "").unwrap();
        assert_stale(&service, "cargo xtask docs", "docs/telemetry.md", page.markdown());
    }
}

/// Writes generated files to a directory, changes one of them at a time, and expects the check to fail and to name it.
fn assert_every_change_is_found(directory: &Path, command: &str, files: &[GeneratedFile]) {
    for GeneratedFile { path, content } in files {
        let file = directory.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    check(directory, &[], command, files).unwrap();
    for GeneratedFile { path, content } in files {
        let middle = content.len() / 2;
        let middle =
            content.char_indices().map(|(index, _)| index).find(|index| *index >= middle).unwrap_or(0);
        let changes = [
            content.replacen('\n', "", 1),
            format!("{content}\n"),
            format!("{}x{}", &content[..middle], &content[middle..]),
        ];
        for changed in changes {
            fs::write(directory.join(path), changed).unwrap();
            let error = check(directory, &[], command, files).err();
            let message = error.unwrap_or_else(|| panic!("a change of {path} is not found")).to_string();
            assert!(message.contains(path) && message.contains(&format!("run `{command}`")), "{message}");
        }
        fs::write(directory.join(path), content).unwrap();
    }
}

#[test]
fn every_change_of_a_generated_file_is_found() {
    let directory = tempfile::tempdir().unwrap();
    for (command, files) in [
        ("cargo xtask schema", schema::generate().unwrap()),
        ("cargo xtask docs", docs::generate().unwrap()),
        ("cargo xtask proto", proto::generate().unwrap()),
    ] {
        assert!(files.len() >= 3, "{command}");
        assert_every_change_is_found(directory.path(), command, &files);
    }
}
