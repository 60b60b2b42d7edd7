//! The JSON Schema and the types accept exactly the same values, and every rejection is explained. The violations that the
//! program finds are those that the `jsonschema` crate finds.

use std::cell::Cell;
use std::collections::{BTreeSet, HashSet};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tbot::config::internal::schema::{SchemaViolation, ViolatedKeyword, violations};
use tbot::config::internal::{FormatVersion, check_structure};
use tbot::config::{Purpose, load};
use tbot::diagnostic::{ReportFormat, Severity};

use crate::cases::load_and_render;
use crate::values::{any_string, mutated_values, valid_values};

/// Tests a property with the given number of random cases.
pub(crate) fn test_property<S: Strategy>(
    cases: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let mut runner = TestRunner::new(Config::with_cases(cases));
    runner.run(strategy, test).unwrap_or_else(|failure| panic!("{failure}"));
}

/// The setting is in `.cargo/config.toml`, and applies to the property tests of all members.
#[test]
fn a_failing_property_test_writes_no_file() {
    assert!(Config::default().failure_persistence.is_none());
}

/// A violation: the pointer of the value, the keyword, and the key that is missing or unknown.
type Found = (String, &'static str, Option<String>);

fn own_violations(schema: &Value, value: &Value) -> BTreeSet<Found> {
    let found = |violation: SchemaViolation<'_>| {
        let (keyword, keys) = match violation.keyword {
            ViolatedKeyword::Type => ("type", Vec::new()),
            ViolatedKeyword::Enum(_) => ("enum", Vec::new()),
            ViolatedKeyword::Pattern => ("pattern", Vec::new()),
            ViolatedKeyword::Range => ("range", Vec::new()),
            ViolatedKeyword::Required(key) => ("required", vec![key]),
            ViolatedKeyword::AdditionalProperties(keys) => ("additionalProperties", keys),
        };
        with_keys(violation.pointer.as_str(), keyword, keys)
    };
    violations(schema, value).into_iter().flat_map(found).collect()
}

fn violations_of_crate(validator: &Validator, value: &Value) -> BTreeSet<Found> {
    let errors: Vec<ValidationError<'_>> = validator.iter_errors(value).collect();
    let is_type = |error: &ValidationError<'_>| matches!(error.kind(), ValidationErrorKind::Type { .. });
    let wrong_types: HashSet<&str> =
        errors.iter().filter(|error| is_type(error)).map(|error| error.instance_path().as_str()).collect();
    // The crate reports other keywords, too, if the type is wrong.
    let is_counted = |error: &&ValidationError<'_>| {
        is_type(error) || !wrong_types.contains(error.instance_path().as_str())
    };
    let found = |error: &ValidationError<'_>| {
        let (keyword, keys) = match error.kind() {
            ValidationErrorKind::Type { .. } => ("type", Vec::new()),
            ValidationErrorKind::Enum { .. } | ValidationErrorKind::Constant { .. } => ("enum", Vec::new()),
            ValidationErrorKind::Pattern { .. } => ("pattern", Vec::new()),
            ValidationErrorKind::Minimum { .. } | ValidationErrorKind::Maximum { .. } => {
                ("range", Vec::new())
            }
            ValidationErrorKind::Required { property } => ("required", vec![property.as_str().unwrap()]),
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                ("additionalProperties", unexpected.iter().map(String::as_str).collect())
            }
            // Represents the unknown keys of a map that has no properties at all.
            ValidationErrorKind::FalseSchema => {
                let map = value.pointer(error.instance_path().as_str()).unwrap().as_object().unwrap();
                ("additionalProperties", map.keys().map(String::as_str).collect())
            }
            other => panic!("unexpected: {}", other.keyword()),
        };
        with_keys(error.instance_path().as_str(), keyword, keys)
    };
    errors.iter().filter(is_counted).flat_map(found).collect()
}

fn with_keys(pointer: &str, keyword: &'static str, keys: Vec<&str>) -> Vec<Found> {
    match keys.is_empty() {
        true => vec![(pointer.to_owned(), keyword, None)],
        false => keys.into_iter().map(|key| (pointer.to_owned(), keyword, Some(key.to_owned()))).collect(),
    }
}

fn assert_agreement(version: FormatVersion) {
    let schema = version.schema();
    let validator = jsonschema::validator_for(schema).unwrap();
    let (accepted, rejected) = (Cell::new(0), Cell::new(0));
    let compare = |value: Value| {
        let by_types = check_structure(version, &value);
        let count = if by_types.is_ok() { &accepted } else { &rejected };
        count.set(count.get() + 1);
        prop_assert_eq!(by_types.is_ok(), validator.is_valid(&value), "types (left) and schema (right)");
        prop_assert_eq!(own_violations(schema, &value), violations_of_crate(&validator, &value));
        if let Err(violations) = by_types {
            prop_assert!(!violations.is_empty(), "rejected without a diagnostic");
        }
        Ok(())
    };
    test_property(500, &valid_values(schema, schema, any_string), |value| {
        prop_assert!(validator.is_valid(&value), "generated to be valid");
        compare(value)
    });
    accepted.set(0);
    test_property(1500, &mutated_values(schema, any_string), compare);
    assert!(accepted.get() > 100 && rejected.get() > 100, "accepted {accepted:?}, rejected {rejected:?}");
}

#[test]
fn types_and_schema_agree_on_version_1() {
    assert_agreement(FormatVersion::V1);
}

#[test]
fn types_and_schema_agree_on_version_2() {
    assert_agreement(FormatVersion::V2);
}

/// The values that the property tests above reach rarely or never.
#[test]
fn each_keyword_is_evaluated_as_by_the_crate() {
    let condition =
        json!({ "if": { "type": "string" }, "then": { "enum": ["a"] }, "else": { "maximum": 1 } });
    let map =
        json!({ "properties": { "a": { "items": { "type": "boolean" } } }, "additionalProperties": false });
    let typed = json!({ "additionalProperties": { "type": ["array", "null"] }, "required": ["a", "b/c"] });
    let values = json!([
        null, true, 0, 1, 1.0, 1.5, 2, -1, 1e300, "", "a", "b", "aa", [], [true], ["a", false, 1], {}, { "a": 1 },
        { "a": [] }, { "a": [true, "a"], "b/c": null }, { "~d": 0, "b/c": "" }
    ]);
    let types = ["null", "boolean", "integer", "number", "string", "array", "object"];
    let schemas = types.iter().map(|name| json!({ "type": name })).chain([
        json!(true),
        json!({ "minimum": 1, "maximum": 1 }),
        json!({ "minimum": 1.5 }),
        json!({ "pattern": "^a$" }),
        json!({ "const": "a" }),
        json!({ "enum": ["b", null] }),
        json!({ "$defs": { "a": { "type": "string" } }, "items": { "$ref": "#/$defs/a" } }),
        json!({ "allOf": [condition, { "enum": [0, "a"] }] }),
        condition,
        map,
        typed,
    ]);
    for schema in schemas {
        let validator = jsonschema::validator_for(&schema).unwrap();
        for value in values.as_array().unwrap() {
            let (own, of_crate) = (own_violations(&schema, value), violations_of_crate(&validator, value));
            assert_eq!(own, of_crate, "{schema}: {value}");
        }
    }
}

#[test]
fn both_reject_a_value_that_is_not_a_map() {
    for version in [FormatVersion::V1, FormatVersion::V2] {
        for value in [Value::Null, Value::from(1), Value::from("v2"), Value::from(vec!["v2"])] {
            assert!(!check_structure(version, &value).unwrap_err().is_empty());
        }
    }
}

/// Loads a file and renders its report in every format.
fn renders_in_every_format(contents: &str) -> Result<(), TestCaseError> {
    for format in [ReportFormat::Human, ReportFormat::Json, ReportFormat::Github] {
        load_and_render(contents.as_bytes(), Purpose::Start, format);
    }
    Ok(())
}

#[test]
fn any_string_loads_or_is_reported() {
    test_property(300, &".{0,200}", |contents| renders_in_every_format(&contents));
    test_property(
        300,
        &"((version|token|onboarding|services|- type|identity|v2|[ \\-:\n\\[\\]{}&*!|>#'\"?,]){1}){0,60}",
        |contents| renders_in_every_format(&contents),
    );
}

#[test]
fn any_value_loads_or_is_reported() {
    for version in [FormatVersion::V1, FormatVersion::V2] {
        test_property(100, &mutated_values(version.schema(), any_string), |value| {
            let contents = serde_yaml::to_string(&value).unwrap();
            renders_in_every_format(&contents)?;
            let outcome = load(Some(&contents), &[], Purpose::Validate);
            let is_error = |diagnostic: &tbot::diagnostic::Diagnostic| diagnostic.severity == Severity::Error;
            if version == FormatVersion::V2
                && value["version"] == "v2"
                && check_structure(version, &value).is_err()
            {
                prop_assert!(outcome.diagnostics.iter().any(is_error));
            }
            Ok(())
        });
    }
}
