//! Nothing that is a secret, or may be one, is shown: not in a message, not in an excerpt, in no format.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use tbot::config::{FormatVersion, Purpose};
use tbot::diagnostic::ReportFormat;

use crate::agreement::run;
use crate::cases::said;
use crate::values::{any_text, fitting, mutated, pointers};

const CANARY: &str = "hunter2";

/// Texts of which the sensitive ones hold the canary, in every form that a check looks at.
fn with_canaries(class: &str) -> BoxedStrategy<String> {
    if !matches!(class, "secret" | "identifier") {
        return any_text(class);
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

/// Puts the canary where a scalar does not belong: under an unknown key, in a key without its space, in place of a map or
/// a list.
fn misplace(value: &mut Value, places: &[(Index, u8)]) {
    for (index, way) in places {
        let pointers = pointers(value);
        let containers: Vec<&String> = pointers
            .iter()
            .filter(|at| value.pointer(at).is_some_and(|at| at.is_object() || at.is_array()))
            .collect();
        if containers.is_empty() {
            return;
        }
        let pointer = (*index.get(&containers)).clone();
        let Some(at) = value.pointer_mut(&pointer) else { continue };
        match (way, &mut *at) {
            (0, Value::Object(map)) => drop(map.insert("pasword".to_owned(), json!(CANARY))),
            (1, Value::Object(map)) => drop(map.insert(format!("token:{CANARY}"), Value::Null)),
            (2, Value::Object(map)) => drop(map.insert("widget".to_owned(), json!({ "secret": [CANARY] }))),
            _ if pointer.is_empty() || takes_a_word(&pointer) => {}
            _ => *at = json!(CANARY),
        }
    }
}

/// Lists and maps in place of which a path may stand, or in which a word of a closed set: those are shown.
fn takes_a_word(pointer: &str) -> bool {
    pointer.contains("/configs")
        || ["/trust_domains", "/directory", "/memory"].iter().any(|key| pointer.ends_with(key))
}

fn is_silent(text: &str) -> Result<(), TestCaseError> {
    for format in [ReportFormat::Human, ReportFormat::Json, ReportFormat::Github] {
        let said = said(text.as_bytes(), Purpose::Start, format);
        prop_assert!(!said.contains(CANARY), "{:?} of\n{}\nsays\n{}", format, text, said);
    }
    Ok(())
}

fn written(value: &Value, as_json: bool) -> String {
    if as_json { serde_json::to_string_pretty(value).unwrap() } else { serde_yaml::to_string(value).unwrap() }
}

#[test]
fn no_diagnostic_shows_a_secret() {
    for version in [FormatVersion::V1, FormatVersion::V2] {
        let schema = version.schema();
        let places = vec((any::<Index>(), 0_u8..4), 0..3);
        let misplaced = (fitting(schema, schema, with_canaries), places).prop_map(|(mut value, places)| {
            misplace(&mut value, &places);
            value
        });
        run(150, &(misplaced, any::<bool>()), |(value, as_json)| is_silent(&written(&value, as_json)));
        // Names of keys are shown, and a change may make a key of a text; so these look like no name.
        let broken = mutated(schema, |class| with_canaries(class).prop_map(|text| text + " !").boxed());
        run(150, &(broken, any::<bool>()), |(value, as_json)| is_silent(&written(&value, as_json)));
    }
}

#[test]
fn no_syntax_error_shows_a_secret() {
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
        is_silent(text).unwrap();
    }
}
