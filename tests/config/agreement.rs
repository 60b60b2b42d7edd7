//! The JSON Schema and the types accept exactly the same, and whatever is refused is explained.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use tbot::config::{FormatVersion, Purpose, load, structure};
use tbot::diagnostic::{ReportFormat, Severity};

use crate::cases::said;
use crate::values::{any_text, fitting, mutated};

/// Runs a property over so many cases.
pub(crate) fn run<S: Strategy>(
    cases: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    runner.run(strategy, test).unwrap_or_else(|failure| panic!("{failure}"));
}

fn agrees(version: FormatVersion) {
    let schema = version.schema();
    let validator = jsonschema::validator_for(schema).unwrap();
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    let judge = |value: Value| {
        let by_types = structure(version, &value);
        let count = if by_types.is_ok() { &accepted } else { &refused };
        count.set(count.get() + 1);
        prop_assert_eq!(by_types.is_ok(), validator.is_valid(&value), "types (left) and schema (right)");
        if let Err(violations) = by_types {
            prop_assert!(!violations.is_empty(), "refused without a reason");
        }
        Ok(())
    };
    run(500, &fitting(schema, schema, any_text), |value| {
        prop_assert!(validator.is_valid(&value), "made to fit");
        judge(value)
    });
    accepted.set(0);
    run(1500, &mutated(schema, any_text), judge);
    assert!(accepted.get() > 100 && refused.get() > 100, "accepted {accepted:?}, refused {refused:?}");
}

#[test]
fn types_and_schema_agree_on_version_1() {
    agrees(FormatVersion::V1);
}

#[test]
fn types_and_schema_agree_on_version_2() {
    agrees(FormatVersion::V2);
}

#[test]
fn what_is_no_map_is_refused_by_both() {
    for version in [FormatVersion::V1, FormatVersion::V2] {
        for value in [Value::Null, Value::from(1), Value::from("v2"), Value::from(vec!["v2"])] {
            assert!(!structure(version, &value).unwrap_err().is_empty());
        }
    }
}

/// Loads a text and renders what is found in every format; `said` asserts that it is usable exactly without an error.
fn loads(text: &str) -> Result<(), TestCaseError> {
    for format in [ReportFormat::Human, ReportFormat::Json, ReportFormat::Github] {
        said(text.as_bytes(), Purpose::Start, format);
    }
    Ok(())
}

#[test]
fn any_text_gets_an_answer() {
    run(300, &".{0,200}", |text| loads(&text));
    run(
        300,
        &"((version|token|onboarding|services|- type|identity|v2|[ \\-:\n\\[\\]{}&*!|>#'\"?,]){1}){0,60}",
        |text| loads(&text),
    );
}

#[test]
fn any_value_gets_an_answer() {
    for version in [FormatVersion::V1, FormatVersion::V2] {
        run(100, &mutated(version.schema(), any_text), |value| {
            let text = serde_yaml::to_string(&value).unwrap();
            loads(&text)?;
            let loaded = load(Some(&text), &[], Purpose::Validate);
            let is_error = |found: &tbot::diagnostic::Diagnostic| found.severity == Severity::Error;
            if version == FormatVersion::V2 && value["version"] == "v2" && structure(version, &value).is_err()
            {
                prop_assert!(loaded.diagnostics.iter().any(is_error));
            }
            Ok(())
        });
    }
}
