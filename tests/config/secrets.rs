//! Nothing that is or could be a secret appears in a report, neither in a message nor in an excerpt, in any format, nor in
//! the `Debug` output of a type that contains a configuration.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use tbot::config::internal::FormatVersion;
use tbot::config::{Override, OverrideSource, Purpose, load};
use tbot::diagnostic::ReportFormat;
use tbot::pointer::Pointer;
use tbot::yaml;

use crate::agreement::test_property;
use crate::cases::load_and_render;
use crate::values::{any_string, mutated_values, pointers, valid_values};

const CANARY: &str = "hunter2";

/// Strings that contain the canary if the class is sensitive, in every form that a check examines.
fn with_canaries(class: &str) -> BoxedStrategy<String> {
    if !matches!(class, "secret" | "identifier") {
        return any_string(class);
    }
    select(vec![
        "hunter2",
        "hunter2-and-more",
        "/etc/hunter2",
        "./hunter2",
        "~/hunter2",
        "${hunter2}",
        "Hunter 2 hunter2: x",
        "{{.hunter2}}",
        "{{ hunter2",
        "arn:aws:iam::1:role/hunter2",
        "tbot+proxy+token://hunter2:hunter2@teleport.example.com:443",
        "tbot+proxy+azure://hunter2:hunter2@hunter2",
        "tbot+hunter2+token://hunter2@teleport.example.com",
        "tbot+proxy+hunter2://hunter2@teleport.example.com",
        "hunter2://hunter2",
        "line\nhunter2",
        "\"hunter2",
        "hunter2 # hunter2",
    ])
    .prop_map(str::to_owned)
    .boxed()
}

/// Writes the canary where a scalar does not belong: under an unknown key, in a key without a space after the colon, or
/// in place of a map or list.
fn misplace(value: &mut Value, misplacements: &[(Index, u8)]) {
    for (index, variant) in misplacements {
        let pointers = pointers(value);
        let containers: Vec<&String> = pointers
            .iter()
            .filter(|pointer| {
                value.pointer(pointer).is_some_and(|found| found.is_object() || found.is_array())
            })
            .collect();
        if containers.is_empty() {
            return;
        }
        let pointer = (*index.get(&containers)).clone();
        let Some(target) = value.pointer_mut(&pointer) else { continue };
        match (variant, &mut *target) {
            (0, Value::Object(map)) => drop(map.insert("pasword".to_owned(), json!(CANARY))),
            (1, Value::Object(map)) => drop(map.insert(format!("token:{CANARY}"), Value::Null)),
            (2, Value::Object(map)) => drop(map.insert("widget".to_owned(), json!({ "secret": [CANARY] }))),
            _ if pointer.is_empty() || accepts_a_word(&pointer) => {}
            _ => *target = json!(CANARY),
        }
    }
}

/// Returns whether a list or map can be written as a path, or contains words of a closed set. These are not secret, so
/// they are shown.
fn accepts_a_word(pointer: &str) -> bool {
    pointer.contains("/configs")
        || ["/trust_domains", "/directory", "/memory"].iter().any(|key| pointer.ends_with(key))
}

fn does_not_reveal_canary(contents: &str) -> Result<(), TestCaseError> {
    for format in [ReportFormat::Human, ReportFormat::Json, ReportFormat::Github, ReportFormat::Sarif] {
        let report = load_and_render(contents.as_bytes(), Purpose::Start, format);
        prop_assert!(!report.contains(CANARY), "the {:?} report of\n{}\nis\n{}", format, contents, report);
    }
    let mut outcome = load(Some(contents), &[], Purpose::Start);
    // A location may be shown, and the host of a join URI is one.
    outcome.effective = None;
    let debug_output = format!("{outcome:?}\n{:?}\n{:?}", outcome.disclosure(), yaml::parse(contents));
    prop_assert!(!debug_output.contains(CANARY), "the debug output of\n{}\nis\n{}", contents, debug_output);
    Ok(())
}

fn serialize(value: &Value, as_json: bool) -> String {
    if as_json { serde_json::to_string_pretty(value).unwrap() } else { serde_yaml::to_string(value).unwrap() }
}

#[test]
fn no_report_reveals_a_secret() {
    for version in [FormatVersion::V1, FormatVersion::V2] {
        let schema = version.schema();
        let misplacements = vec((any::<Index>(), 0_u8..4), 0..3);
        let misplaced = (valid_values(schema, schema, with_canaries), misplacements).prop_map(
            |(mut value, misplacements)| {
                misplace(&mut value, &misplacements);
                value
            },
        );
        test_property(150, &(misplaced, any::<bool>()), |(value, as_json)| {
            does_not_reveal_canary(&serialize(&value, as_json))
        });
        // Keys that look like names are shown, and a mutation can turn a string into a key. With the suffix, such a key
        // does not look like a name.
        let broken =
            mutated_values(schema, |class| with_canaries(class).prop_map(|text| text + " !").boxed());
        test_property(150, &(broken, any::<bool>()), |(value, as_json)| {
            does_not_reveal_canary(&serialize(&value, as_json))
        });
    }
}

#[test]
fn no_syntax_error_reveals_a_secret() {
    for text in [
        "version: v2\nonboarding:\n  token: hunter2: more\n",
        "version: v2\nonboarding:\n  token: \"hunter2\n",
        "version: v2\nonboarding:\n\ttoken: hunter2\n",
        "version: v2\nonboarding:\n  token: !hunter2 x\n",
        "version: v2\nonboarding:\n  token: *hunter2\n",
        "version: v2\nonboarding:\n  token: &hunter2 x\n  ca_path: &hunter2 y\n",
        "version: v2\nonboarding: {token: hunter2\n",
        "hunter2",
        "- hunter2\n",
    ] {
        does_not_reveal_canary(text).unwrap();
    }
}

#[test]
fn the_debug_output_of_an_effective_configuration_contains_no_secret() {
    let file = "version: v2\nproxy_server: teleport.example.com:443\n\
                onboarding: {join_method: bound_keypair, token: hunter2, bound_keypair: {registration_secret: hunter2}}\n\
                storage: {type: memory}\n\
                services: [{type: identity, roles: [hunter2], destination: {type: directory, path: /opt/machine-id}}]\n";
    let token = Pointer::from("/onboarding/token");
    let from_flag = Override::new(token, json!("hunter2"), OverrideSource::Flag("--token".to_owned()));
    let outcome = load(Some(file), std::slice::from_ref(&from_flag), Purpose::Start);
    let effective = outcome.effective.clone().unwrap();
    assert_eq!(effective.value()["onboarding"]["token"], CANARY);
    let debug_output = format!("{effective:#?}\n{outcome:#?}\n{from_flag:#?}");
    assert!(debug_output.contains("teleport.example.com"), "the harmless parts are shown: {debug_output}");
    assert!(!debug_output.contains(CANARY), "{debug_output}");
}
