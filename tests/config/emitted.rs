//! What is written as YAML reads as the same value: whatever a configuration holds, and words that YAML has meanings for.

use proptest::prelude::*;
use serde_json::json;
use tbot::config::FormatVersion;
use tbot::yaml;

use crate::agreement::run;
use crate::values::{any_text, fitting};

#[test]
fn a_configuration_reads_as_it_was_before_it_was_written() {
    let schema = FormatVersion::V2.schema();
    run(200, &fitting(schema, schema, any_text), |value| {
        let text = yaml::emit(&value).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let parsed =
            yaml::parse(&text).map_err(|problems| TestCaseError::fail(format!("{problems:?}\n{text}")))?;
        prop_assert_eq!(parsed.value, value, "{}", text);
        prop_assert!(!parsed.documents_ignored, "{}", text);
        Ok(())
    });
}

#[test]
fn texts_that_yaml_has_other_meanings_for_stay_texts() {
    let words =
        ["on", "yes", "null", "~", "", "0001", "0x1f", "1e3", ".inf", "1:20", "true", "2026-01-01", "- a"];
    let more = [
        "a: b", "# a", "&a", "*a", "!a", "%a", "@a", "a\nb\n", " a ", "\t", "'", "\"", "\u{7f}", "---", "...",
    ];
    for word in words.into_iter().chain(more) {
        let value = json!({ "version": word, word: [word] });
        let text = yaml::emit(&value).unwrap();
        assert_eq!(yaml::parse(&text).map(|parsed| parsed.value), Ok(value), "{text}");
    }
}

#[test]
fn what_would_read_as_something_else_is_refused() {
    for value in [json!({ "<<": { "a": 1 } }), json!(["a"]), json!(null)] {
        let error = yaml::emit(&value).unwrap_err();
        assert!(matches!(error, yaml::EmitError::Ambiguous), "{error}");
    }
}
