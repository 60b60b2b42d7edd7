//! Tests that malformed and malicious files are handled in bounded time and memory.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// Returns every pointer of a value.
pub(super) fn pointers(value: &Value) -> Vec<crate::pointer::Pointer> {
    let mut open = vec![(crate::pointer::Pointer::root(), value)];
    let mut all = Vec::new();
    while let Some((pointer, value)) = open.pop() {
        match value {
            Value::Array(items) => {
                open.extend(items.iter().enumerate().map(|(index, item)| (pointer.index(index), item)));
            }
            Value::Object(map) => open.extend(map.iter().map(|(key, item)| (pointer.key(key), item))),
            _ => {}
        }
        all.push(pointer);
    }
    all
}

/// Generates text with many characters that have a meaning in YAML.
pub(super) fn yaml_like_text() -> impl Strategy<Value = String> {
    "([ab<:*&!|>'\"%@?#,\\-\\[\\]{}~0.é]|[ab]: |- |\n|\n  | ){0,60}"
}

/// Generates lines that look like those of a configuration.
pub(super) fn yaml_like_lines() -> impl Strategy<Value = String> {
    let line = "( {0,4})(- |)(a|b|<<|\"c\"|\\? |):( [0-2]| &x| \\*x| !t| \\| *| >-| '| \"|) ?(x|\\[|\\{a: |\\]|\\}|) ?(# c|)";
    proptest::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

/// Checks that parsing any text does not panic, and returns either a value whose positions are known or at least one problem,
/// each with a position inside the text.
pub(super) fn check_any_text(text: &str) -> Result<(), TestCaseError> {
    let positions = Positions::parse(text);
    match parse(text) {
        Ok(parsed) => {
            prop_assert!(parsed.value.is_object());
            if !positions.is_incomplete() {
                for pointer in pointers(&parsed.value) {
                    let span = positions.value(pointer.as_str());
                    prop_assert!(span.is_some(), "{} of {:?} has no position", pointer, text);
                }
            }
        }
        Err(problems) => {
            prop_assert!(!problems.is_empty());
            if let (Some((parsed, unreadable)), _) = parse_with_problems(text) {
                for pointer in &unreadable.values {
                    let part = parsed.value.pointer(pointer.as_str());
                    prop_assert_eq!(part, Some(&Value::Null), "{} of {:?}", pointer, text);
                }
                for pointer in &unreadable.maps {
                    let map = parsed.value.pointer(pointer.as_str());
                    prop_assert!(map.is_some_and(Value::is_object), "{} of {:?}", pointer, text);
                }
            }
            for span in problems.iter().flat_map(|problem| [problem.span, problem.related]).flatten() {
                prop_assert!(span.start <= span.end && text.get(span.start.byte..span.end.byte).is_some());
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_handled(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(text) = decode(&bytes) {
            check_any_text(&text)?;
        }
    }

    #[test]
    fn any_text_is_handled(text in ".{0,200}") {
        check_any_text(&text)?;
    }

    #[test]
    fn any_yaml_like_text_is_handled(text in yaml_like_text()) {
        check_any_text(&text)?;
    }

    #[test]
    fn any_yaml_like_lines_are_handled(text in yaml_like_lines()) {
        check_any_text(&text)?;
    }
}

#[test]
fn an_alias_bomb_is_rejected() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let _ = writeln!(text, "a{level}: &a{level} [{}]", format!("*a{}, ", level - 1).repeat(10));
    }
    assert_eq!(kinds(&text), [ProblemKind::TooManyNodes]);
}

#[test]
fn an_alias_bomb_of_merges_is_rejected() {
    let mut text = "a0: &a0 {k: x}\n".to_owned();
    for level in 1..12 {
        let _ = writeln!(
            text,
            "a{level}: &a{level} {{k{level}: [{}]}}",
            format!("{{<<: *a{}}}, ", level - 1).repeat(10)
        );
    }
    assert_eq!(kinds(&text), [ProblemKind::TooManyNodes]);
}

#[test]
fn an_alias_bomb_of_a_long_string_is_rejected() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(1000));
    assert_eq!(kinds(&text), [ProblemKind::TooLarge]);
}

#[test]
fn a_recursive_alias_is_rejected() {
    assert_eq!(kinds("a: &a {b: *a}\n"), [ProblemKind::TooDeep]);
    assert_eq!(kinds("a: &a {<<: *a}\n"), [ProblemKind::TooDeep]);
    let positions = Positions::parse("a: &a {<<: *a, b: 1}\n");
    assert_eq!(positions.value("/a/c"), None);
    assert!(positions.value("/a/b").is_some());
}

#[test]
fn deep_nesting_is_rejected_quickly() {
    for (text, kind) in [
        ("{a: ".repeat(MAX_BYTES / 4), ProblemKind::TooDeep),
        (format!("a: {}", "[".repeat(1 << 20)), ProblemKind::TooDeep),
        (format!("a:\n  {}", "- ".repeat(1 << 20)), ProblemKind::TooDeep),
        ("? ".repeat(1 << 20), ProblemKind::TooDeep),
        (format!("a: {}1{}", "[".repeat(100), "]".repeat(100)), ProblemKind::TooDeep),
        (format!("a: [{}]", "[],".repeat(1 << 20)), ProblemKind::TooManyNodes),
    ] {
        assert!(kinds(&text).contains(&kind), "{:?}", &text[..20]);
    }
    let deepest = format!("a: {}1{}", "[".repeat(MAX_DEPTH - 1), "]".repeat(MAX_DEPTH - 1));
    assert!(value(&deepest)["a"].is_array());
}

#[test]
fn the_number_of_reported_problems_is_limited() {
    assert_eq!(kinds(&"a: 1\n".repeat(MAX_PROBLEMS + 2)).len(), MAX_PROBLEMS);
}

#[test]
fn ten_thousand_outputs_are_parsed() {
    let mut text = "version: v2\noutputs:\n".to_owned();
    for number in 0..10_000 {
        let _ = writeln!(
            text,
            "  - type: kubernetes\n    kubernetes_cluster: cluster-{number}\n    destination:\n      type: directory\n      \
             path: /opt/machine-id/{number}\n      readers: [{{user: a}}, {{group: b}}]"
        );
    }
    let parsed = value(&decode(text.as_bytes()).unwrap());
    assert_eq!(parsed["outputs"].as_array().map(Vec::len), Some(10_000));
    let positions = Positions::parse(&text);
    assert_eq!(
        positions.value("/outputs/9999/destination/path").map(|span| span.start.line),
        Some(2 + 60_000 - 1)
    );
}
