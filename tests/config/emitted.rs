//! Emitted YAML parses as the same value: for any configuration, and for words that have a special meaning in YAML.

use proptest::prelude::*;
use serde_json::json;
use tbot::config::internal::FormatVersion;
use tbot::yaml::{self, EmitError};

use crate::agreement::test_property;
use crate::values::{any_string, valid_values};

#[test]
fn an_emitted_configuration_parses_as_the_same_value() {
    let schema = FormatVersion::V2.schema();
    test_property(200, &valid_values(schema, schema, any_string), |value| {
        let text = yaml::emit(&value).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let parsed =
            yaml::parse(&text).map_err(|problems| TestCaseError::fail(format!("{problems:?}\n{text}")))?;
        prop_assert_eq!(parsed.value, value, "{}", text);
        prop_assert!(!parsed.documents_ignored, "{}", text);
        Ok(())
    });
}

#[test]
fn strings_with_a_special_meaning_in_yaml_remain_strings() {
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
fn a_value_that_would_parse_differently_is_rejected() {
    let separators = ["a\u{2028}b", "\u{2029}"].map(|text| json!({ "a": text }));
    for value in [json!({ "<<": { "a": 1 } }), json!(["a"]), json!(null)].into_iter().chain(separators) {
        assert!(matches!(yaml::emit(&value), Err(EmitError::Ambiguous)), "{value}");
    }
}
