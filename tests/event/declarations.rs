//! Tests that the declarations follow the telemetry rules, and that the audit detects violations.

use serde_json::{Value, json};
use tbot::config::internal::schema;
use tbot::event::SCHEMA;
use tbot::event::internal::{Rules, audit, generate_schema};

#[test]
fn the_declarations_pass_the_audit() {
    assert_eq!(audit(&generate_schema(), &schema::generate()), Vec::<String>::new());
}

#[test]
fn the_embedded_schema_is_up_to_date() {
    let embedded: Value = serde_json::from_str(SCHEMA).unwrap();
    assert!(
        embedded == generate_schema(),
        "the schema of the event is out of date: run `cargo xtask schema`"
    );
}

#[test]
fn version_1_of_the_event_has_the_nine_required_properties() {
    let properties = Rules::embedded().unwrap().properties.iter();
    let names: Vec<&str> = properties.filter(|rule| rule.since == 1).map(|rule| rule.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "run_mode",
            "version",
            "join_type",
            "helper",
            "helper_version",
            "destinations_configured",
            "destinations_configured_database_access",
            "destinations_configured_kubernetes_access",
            "destinations_configured_application_access",
        ]
    );
}

#[test]
fn the_schema_is_valid_and_closed() {
    let schema = generate_schema();
    assert!(jsonschema::meta::is_valid(&schema));
    assert_eq!(schema["additionalProperties"], false);
}

/// A report tells the two implementations of `tbot` apart by their versions.
#[test]
fn the_version_of_this_program_is_one_of_the_rust_implementation() {
    let rules = Rules::embedded().unwrap();
    let version = rules.properties.iter().find(|rule| rule.name == "version").unwrap();
    let implementations: Vec<(&str, u32)> =
        version.implementations.iter().map(|one| (one.name.as_str(), one.first_major)).collect();
    assert_eq!(implementations, [("Rust tbot", 0), ("Go tbot", 10)]);
    let major: u32 = env!("CARGO_PKG_VERSION_MAJOR").parse().unwrap();
    assert!(major < version.implementations[1].first_major);
}

#[test]
fn parts_of_a_report_that_cannot_be_made_are_found() {
    let without_implementations = findings(|event| {
        event["properties"]["version"].as_object_mut().unwrap().shift_remove("x-implementations");
    });
    let unknown_part = findings(|event| event["properties"]["helper"]["x-report"] = json!(["hourly"]));
    let open_version = findings(|event| {
        event["properties"]["version"]["x-implementations"] = json!({ "Rust tbot": "0.1.2" });
    });
    insta::assert_debug_snapshot!([without_implementations, unknown_part, open_version]);
}

fn findings(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut event = generate_schema();
    change(&mut event);
    audit(&event, &schema::generate())
}

#[test]
fn only_a_category_may_be_a_source() {
    let from = |pointer: &str| {
        findings(|event| event["properties"]["join_type"]["x-source"] = json!({ "config": pointer }))
    };
    insta::assert_debug_snapshot!(
        ["/onboarding/token", "/proxy_server", "/credential_ttl", "/onboarding/azure/client_id", "/hostname"]
            .map(from)
    );
}

#[test]
fn missing_keywords_are_found() {
    let without = |keyword: &str| {
        findings(|event| {
            event["properties"]["run_mode"].as_object_mut().unwrap().shift_remove(keyword);
        })
    };
    insta::assert_debug_snapshot!(
        ["x-source", "x-reason", "x-report", "x-since", "x-wire", "description", "examples"].map(without)
    );
}

#[test]
fn open_patterns_and_other_variables_are_found() {
    let with = |variable: &str, pattern: &str| {
        findings(|event| {
            let mut property = event["properties"]["helper_version"].clone();
            property["x-source"] = json!({ "env": variable });
            property["pattern"] = json!(pattern);
            property["x-wire"] = json!({ "field": 1000, "name": "new" });
            event["properties"]["new"] = property;
        })
    };
    for permitted in ["^[a-z]{1,5}$", "^[0-9a-f]{6}$"] {
        assert_eq!(with("_TBOT_TELEMETRY_HELPER", permitted), Vec::<String>::new(), "{permitted}");
    }
    assert_eq!(
        with("_TBOT_TELEMETRY_HELPER", "^([0-9a-f]{6}|g)$").len(),
        1,
        "one string more than permitted"
    );
    insta::assert_debug_snapshot!([
        with("HOSTNAME", "^[a-z]$"),
        with("_TBOT_TELEMETRY_HELPER", "^.*$"),
        with("_TBOT_TELEMETRY_HELPER", "[a-z]"),
        with("_TBOT_TELEMETRY_HELPER", "^[a-z]{1,6}$"),
    ]);
}

#[test]
fn open_sets_and_invalid_mappings_are_found() {
    let open = findings(|event| {
        event["properties"]["version"].as_object_mut().unwrap().shift_remove("pattern");
    });
    let unknown =
        findings(|event| event["properties"]["version"]["x-source"] = json!({ "file": "/etc/hostname" }));
    let shared_field =
        findings(|event| event["properties"]["version"]["x-wire"] = json!({ "field": 1, "name": "version" }));
    let shared_name =
        findings(|event| event["properties"]["version"]["x-wire"] = json!({ "field": 2, "name": "runMode" }));
    let unmapped = findings(|event| {
        event["properties"]["run_mode"]["x-wire"]["values"] = json!({ "one-shot": "RUN_MODE_ONE_SHOT" });
    });
    let closed = findings(|event| event["additionalProperties"] = json!(true));
    insta::assert_debug_snapshot!([open, unknown, shared_field, shared_name, unmapped, closed]);
}

#[test]
fn empty_explanations_are_found() {
    for keyword in ["x-reason", "description"] {
        assert_eq!(
            findings(|event| event["properties"]["helper"][keyword] = json!("")).len(),
            1,
            "{keyword}"
        );
    }
}

#[test]
fn a_property_is_declared_since_a_version_that_exists() {
    let since =
        |version: u64| findings(|event| event["properties"]["helper"]["x-since"] = json!(version)).len();
    let current = generate_schema()["x-version"].as_u64().unwrap();
    assert_eq!([0, 1, current, current + 1].map(since), [1, 0, 0, 1]);
}

#[test]
fn the_values_of_a_set_are_counted() {
    let mut schema = generate_schema();
    schema["properties"]["destinations_configured"]["minimum"] = json!(5);
    schema["properties"]["destinations_configured"]["maximum"] = json!(9);
    let rules = Rules::read(&schema).unwrap();
    let size = |name: &str| rules.properties.iter().find(|rule| rule.name == name).unwrap().values.size();
    assert_eq!(["run_mode", "destinations_configured"].map(size), [Some(2), Some(5)]);
}
