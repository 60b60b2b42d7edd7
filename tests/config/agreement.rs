//! The JSON Schema and the types accept exactly the same values, and every rejection is explained.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
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

fn assert_agreement(version: FormatVersion) {
    let schema = version.schema();
    let validator = jsonschema::validator_for(schema).unwrap();
    let (accepted, rejected) = (Cell::new(0), Cell::new(0));
    let compare = |value: Value| {
        let by_types = check_structure(version, &value);
        let count = if by_types.is_ok() { &accepted } else { &rejected };
        count.set(count.get() + 1);
        prop_assert_eq!(by_types.is_ok(), validator.is_valid(&value), "types (left) and schema (right)");
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
