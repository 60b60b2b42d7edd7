//! The values that a help text proposes are themselves valid: advice does not lead from one error into the next.

use std::collections::HashSet;

use serde_json::{Value, json};
use tbot::config::{Override, OverrideSource, Purpose, load};
use tbot::diagnostic::{Code, Diagnostic, Severity};
use tbot::pointer::Pointer;
use tbot::yaml;

use crate::values::pointers;

const FILE: &str = include_str!("../cases/validate/all-fields/tbot.yaml");

/// Returns the diagnostics of the value at a pointer.
fn findings_at(value: &Value, pointer: &str) -> Vec<Diagnostic> {
    let outcome = load(Some(&serde_json::to_string(value).unwrap()), &[], Purpose::Validate);
    let is_here = |one: &Diagnostic| one.target.pointer().is_some_and(|at| at.as_str() == pointer);
    outcome.diagnostics.into_iter().filter(is_here).collect()
}

/// Returns the values that a help text proposes in place of `written`.
fn proposals(help: &str, written: &Value) -> Vec<Value> {
    if help == "write it in quotes" {
        return vec![json!(written.to_string())];
    }
    let quoted = help.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|proposal| yaml::parse(&format!("x: {proposal}")).ok()?.value.get("x").cloned())
        .collect()
}

#[test]
fn a_value_proposed_for_a_wrong_type_or_word_is_valid() {
    let base = yaml::parse(FILE).unwrap().value;
    let mut applied = 0;
    let mut wrong = Vec::new();
    let mut seen = HashSet::new();
    for pointer in pointers(&base) {
        let Some(Value::String(_)) = base.pointer(&pointer) else { continue };
        let properties = pointer.trim_end_matches("/0").rsplit('/').take(2).collect::<Vec<_>>().join(" of ");
        if !seen.insert(properties) {
            continue;
        }
        for written in [json!(3001), json!(true), json!("nonsense")] {
            let mut value = base.clone();
            *value.pointer_mut(&pointer).unwrap() = written.clone();
            let is_structural = |one: &Diagnostic| {
                matches!(one.code, Code::WrongType | Code::UnknownValue | Code::InvalidFormat)
            };
            for found in findings_at(&value, &pointer).into_iter().filter(is_structural) {
                let help = found.help.unwrap_or_default();
                // A word that selects a type requires other keys, too. A join URI consists of the user's own values.
                if pointer.ends_with("/type") || pointer == "/join_uri" {
                    continue;
                }
                let proposals = proposals(&help, &written);
                if proposals.is_empty() {
                    wrong.push(format!("{pointer}: {help:?} proposes nothing"));
                }
                for proposal in proposals {
                    *value.pointer_mut(&pointer).unwrap() = proposal.clone();
                    let errors = findings_at(&value, &pointer);
                    // The others depend on other values of the file.
                    let is_error = |one: &&Diagnostic| {
                        one.severity == Severity::Error
                            && (is_structural(one)
                                || matches!(one.code, Code::InvalidAddress | Code::InvalidArn))
                    };
                    let errors: Vec<_> = errors.iter().filter(is_error).collect();
                    if !errors.is_empty() {
                        wrong.push(format!("{pointer}: {written} -> {proposal}: {errors:?}"));
                    }
                    applied += 1;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(applied > 50, "only {applied} proposals");
}

#[test]
fn a_port_becomes_the_port_of_the_proposed_address() {
    let value = json!({ "version": "v2", "diag_addr": 9000 });
    let help = findings_at(&value, "/diag_addr").remove(0).help.unwrap();
    assert_eq!(proposals(&help, &json!(9000)), [json!("127.0.0.1:9000")]);
}

#[test]
fn the_help_for_the_address_of_a_join_uri_is_about_the_uri_in_both_versions() {
    for file in [
        "version: v1\ndestinations: [{directory: /out}]\n",
        "version: v2\nservices: [{type: identity, destination: {type: directory, path: /out}}]\n",
    ] {
        for (port, code) in [(443, Code::Deprecated), (3025, Code::UnverifiedAuthServer)] {
            let uri = |server| {
                let uri = json!(format!("tbot+{server}+token://a@teleport.example.com:{port}"));
                Override::new(Pointer::from("/join_uri"), uri, OverrideSource::Flag("--join-uri".to_owned()))
            };
            let outcome = load(Some(file), &[uri("auth")], Purpose::Validate);
            let found = outcome.diagnostics.iter().find(|one| one.code == code).unwrap();
            let help = found.help.as_deref().unwrap();
            assert!(proposals(help, &json!(null)).contains(&json!("tbot+proxy+")), "{file} {help}");

            // Following the advice leads to no further error.
            let outcome = load(Some(file), &[uri("proxy")], Purpose::Validate);
            assert!(outcome.effective.is_some(), "{file} {:?}", outcome.diagnostics);
        }
    }
}
