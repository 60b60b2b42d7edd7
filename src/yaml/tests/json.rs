//! Compares the JSON reader with the YAML reader on the same text.

use proptest::prelude::*;
use serde_json::Map;

use super::super::{json, parse_yaml};
use super::*;

/// The value that the YAML reader finds, if it finds no problem.
fn yaml(text: &str) -> Option<Value> {
    let (parsed, problems) = parse_yaml(text);
    let parsed = parsed.filter(|_| problems.is_empty())?.0;
    (!parsed.documents_ignored).then_some(parsed.value)
}

fn tree() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        "[ -~]{0,9}".prop_map(Value::from),
        "[a:,{}\\[\\]#&*!|>'\"%@`<\\\\/\u{e9}\u{1f600}\n\t \u{7}-]{0,6}".prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 60, 6, |inner| {
        let key = "[a-d<:,# \"\\\\?-]{0,3}";
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn json_has_the_value_that_the_yaml_reader_finds(
        root in proptest::collection::vec(("[a-c]{1,2}", tree()), 0..5),
        pretty in any::<bool>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), "[{}\\[\\],:\"\\\\ \n\t0-9e.a<-]{0,2}"), 0..3),
    ) {
        let root = Value::Object(root.into_iter().collect::<Map<_, _>>());
        let mut text = if pretty { format!("{root:#}") } else { root.to_string() };
        for (index, edit) in edits {
            let at = index.index(text.len());
            if text.is_char_boundary(at) {
                text.insert_str(at, &edit);
            }
        }
        if let Some(value) = json::read(&text) {
            prop_assert_eq!(Some(value), yaml(&text), "{}", text);
        }
    }
}

#[test]
fn a_usual_file_is_read_as_json() {
    for text in [
        "{}",
        r#"{"version":"v2","services":[{"type":"identity","scoped":false,"n":[1,-2,null]}]}"#,
        "{\n  \"version\": \"v2\",\n  \"a\": {\n    \"b\": [\n      \"x \\\" \\n \\\\\"\n    ]\n  }\n}\n",
    ] {
        assert_eq!(json::read(text), serde_json::from_str(text).ok(), "{text}");
        assert_eq!(json::read(text), yaml(text), "{text}");
    }
}

#[test]
fn text_that_yaml_reads_differently_is_not_read_as_json() {
    let long = format!(r#"{{"{}": 1}}"#, "k".repeat(1100));
    let deep = format!(r#"{{"a": {}1{}}}"#, "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    for text in [
        "[]",
        r#"{"a": 1, "a": 2}"#,
        r#"{"<<": {"a": 1}}"#,
        r#"{"a": 1.5}"#,
        r#"{"a": -0}"#,
        r#"{"a": 123456789012345678901}"#,
        "{\"a\"\n: 1}",
        "{\t\"a\": 1}",
        r#"{"a": "\ud83d\ude00"}"#,
        "{\"a\": 1}\n---\n",
        "{a: 1}",
        &long,
        &deep,
    ] {
        assert_eq!(json::read(text), None, "{text}");
    }
    let deepest = format!(r#"{{"a": {}1{}}}"#, "[".repeat(MAX_DEPTH - 1), "]".repeat(MAX_DEPTH - 1));
    assert!(json::read(&deepest).is_some());
    assert_eq!(json::read(&deepest), yaml(&deepest));
}
