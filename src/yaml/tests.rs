//! What a text becomes, and what is said about one that becomes nothing.

mod hostile;
mod trees;

use serde_json::json;

use super::*;

fn value(text: &str) -> Value {
    parse(text).unwrap_or_else(|problems| panic!("{text:?}: {problems:?}")).value
}

/// What is wrong, a line a problem: where, the kind, the other place, the message, the help.
fn wrong(text: &str) -> String {
    let problems = parse(text).expect_err(text);
    let place = |span: Option<Span>| match span {
        None => "file".to_owned(),
        Some(Span { start, end }) if start.line == end.line => {
            format!("{}:{}-{}", start.line, start.column, end.column)
        }
        Some(Span { start, end }) => format!("{}:{}-{}:{}", start.line, start.column, end.line, end.column),
    };
    let line = |problem: &Problem| {
        let related = problem.related.map(|span| format!(" (and {})", place(Some(span)))).unwrap_or_default();
        let help = problem.help.as_deref().unwrap_or("-");
        format!("{} {:?}{related}: {}; {help}", place(problem.span), problem.kind, problem.message)
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn kinds(text: &str) -> Vec<ProblemKind> {
    parse(text).expect_err(text).iter().map(|problem| problem.kind).collect()
}

#[test]
fn scalars_keep_the_type_that_yaml_1_2_gives_them() {
    let text = "\
a: 00012
b: yes
c: on
d: 2
e: -2
f: 1.5
g: true
h: null
i: ~
j:
k: '2'
l: 0x10
m: 1e3
n: 2026-01-02
o: 1h30m
p: 12:30:45
q: 123456789012345678901234567890
";
    assert_eq!(
        value(text),
        json!({
            "a": "00012", "b": "yes", "c": "on", "d": 2, "e": -2, "f": 1.5, "g": true, "h": null, "i": null, "j": null,
            "k": "2", "l": 16, "m": 1000.0, "n": "2026-01-02", "o": "1h30m", "p": "12:30:45",
            "q": 123_456_789_012_345_678_901_234_567_890_u128 as f64,
        })
    );
}

#[test]
fn json_is_yaml() {
    assert_eq!(value(r#"{"a": [1, "b", {"c": null}]}"#), json!({"a": [1, "b", {"c": null}]}));
}

#[test]
fn keys_keep_their_order() {
    let keys: Vec<String> = value("z: 1\na: 2\nm: 3\n").as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["z", "a", "m"]);
}

#[test]
fn aliases_and_merges_are_resolved_and_own_keys_win() {
    let text = "\
base: &base {type: memory, path: /a}
other: &other {path: /b, extra: 1}
one: *base
two:
  <<: *base
  path: /c
three:
  path: /c
  <<: [*base, *other]
four:
  <<: {<<: *other, path: /d}
";
    assert_eq!(
        value(text),
        json!({
            "base": {"type": "memory", "path": "/a"},
            "other": {"path": "/b", "extra": 1},
            "one": {"type": "memory", "path": "/a"},
            "two": {"path": "/c", "type": "memory"},
            "three": {"path": "/c", "type": "memory", "extra": 1},
            "four": {"path": "/d", "extra": 1},
        })
    );
    let positions = Positions::of(text);
    let at = |span: Option<Span>| span.map(|span| &text[span.start.byte..span.end.byte]);
    let line = |span: Option<Span>| span.map(|span| span.start.line);
    assert_eq!(at(positions.value("/one/path")), Some("/a"));
    assert_eq!(at(positions.value("/two/path")), Some("/c"));
    assert_eq!(line(positions.key("/two/type")), Some(1));
    assert_eq!(line(positions.key("/three/extra")), Some(2));
    assert_eq!(at(positions.value("/three/path")), Some("/c"));
    assert_eq!(at(positions.value("/four/path")), Some("/d"));
    assert_eq!(line(positions.value("/four/extra")), Some(2));
    assert_eq!(at(positions.key("/one")), Some("one"));
    assert_eq!(line(positions.value("/one")), Some(1));
}

#[test]
fn tags_of_the_core_schema_that_change_nothing_are_read() {
    assert_eq!(value("a: !!str 12\nb: !!map {c: !!seq [1]}\n"), json!({"a": "12", "b": {"c": [1]}}));
}

#[test]
fn the_limits_in_the_messages_are_the_limits() {
    let says = |kind, limit: String| assert!(Problem::of(kind).message.contains(&limit), "{kind:?} {limit}");
    says(ProblemKind::TooLarge, format!("{} MiB", MAX_BYTES >> 20));
    says(ProblemKind::TooDeep, format!("{MAX_DEPTH} levels"));
    says(ProblemKind::TooManyNodes, format!("{MAX_NODES} values"));
}

#[test]
fn a_key_that_is_no_name_is_not_repeated() {
    assert_eq!(display_key("app.kubernetes.io/name"), "app.kubernetes.io/name");
    for key in ["token:abc", "a b", "", "\u{1b}[31m", &"k".repeat(65)] {
        assert_eq!(display_key(key), "...");
    }
    assert!(!wrong("{token:abc: 1, token:abc: 2}").contains("abc"));
}

#[test]
fn only_the_first_document_is_read() {
    for text in ["a: 1\n---\nb: 2\n", "---\na: 1\n...\n---\nb: [\n", "a: 1\n---\n"] {
        let parsed = parse(text).unwrap();
        assert_eq!((parsed.value, parsed.documents_ignored), (json!({"a": 1}), true), "{text:?}");
    }
    for text in ["a: 1\n", "--- # c\na: 1\n...\n", "%YAML 1.2\n---\na: 1\n", "a: 1\n...\n# c\n"] {
        let parsed = parse(text).unwrap();
        assert_eq!((parsed.value, parsed.documents_ignored), (json!({"a": 1}), false), "{text:?}");
    }
}

#[test]
fn bytes_are_told_apart() {
    assert_eq!(decode(b"\xef\xbb\xbfa: 1"), Ok("a: 1"));
    let kind = |bytes: &[u8]| decode(bytes).expect_err("refused").kind;
    assert_eq!(kind(b"\xff\xfea\0"), ProblemKind::NotUtf8);
    assert_eq!(kind(b"\x7fELF\x02\x01\x01\0\0"), ProblemKind::Binary);
    assert_eq!(kind(b"a: \xe9\n"), ProblemKind::NotUtf8);
    assert_eq!(kind(&vec![b' '; MAX_BYTES + 1]), ProblemKind::TooLarge);
    assert!(decode(b"a: 1\nb: \xe9\n").expect_err("refused").message.contains("line 2"));
}

#[test]
fn nothing_and_something_else_are_told_apart() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "--- # c\n...\n", "null\n", "~"] {
        assert_eq!(kinds(text), [ProblemKind::Empty], "{text:?}");
    }
    for text in ["- a\n", "a\n", "2", "[]", "'a: b'"] {
        assert_eq!(kinds(text), [ProblemKind::RootNotMap], "{text:?}");
    }
    assert_eq!(value("{}"), json!({}));
}

#[test]
fn all_problems_that_leave_the_grammar_alone_are_found_at_once() {
    let text = "\
a: 1
b: {x: 1, y: 2, x: 3}
a: .inf
c: !secret s3cret
1: one
? [k]
: v
d: &n [.nan]
e: &n 2
<<: 5
\"a\": 3
<<: {f: 1}
*n : 4
";
    insta::assert_snapshot!(wrong(text));
}

#[test]
fn a_merge_of_something_else_is_a_problem() {
    for text in ["a: 1\n<<: 5\n", "<<:\n", "<<: [{a: 1}, b]\n", "<<: {<<: x}\n"] {
        assert_eq!(kinds(text), [ProblemKind::Merge], "{text:?}");
    }
}

#[test]
fn errors_of_grammar_are_in_our_words() {
    let texts = [
        "a: b: c\n",
        "a: 'b\n",
        "a: \"b\nc: d\n",
        "a: \"\\q\"\n",
        "a:\n\tb: 1\n",
        "a:\n  b: 1\n c: 2\n",
        "a: 1\n  b: 2\n",
        "a: [1, 2\nb: 3\n",
        "a: {b: 1\n",
        "a: ]\n",
        "a: }\nb: c\n",
        "a: @b\n",
        "a: `b`\n",
        "a: *nowhere\n",
        "a: & b\n",
        "a\nb: 1\n",
        "a: 1\nb\n",
        "a: 1\nb\nc: 2\n",
        "- a\nb: 1\n",
        "a: 1\n- b\n",
        "a: - b\n",
        "a: |x\n  b\n",
        "a: %b\n",
        "%FOO\n",
        "a: !<x b\n",
        "a: \u{7}\n",
        "a: b\u{2028}c: d\n",
        "a: 1\n}\n",
        "a: 1\n---\n}\n",
        "a:\n  - b\n - c\n",
        "a: 'b' c\n",
        "a: \"b\"c\n",
        "{a: 1} b\n",
        "a: {b}}\n",
        "a:b\nc: d\n",
        "a: !t\n",
        "a: &x\n  b: 1\n x: 1\n",
    ];
    let lines: Vec<String> = texts
        .iter()
        .map(|text| match parse(text) {
            Ok(parsed) => format!("{text:?}\n  fine: {}", parsed.value),
            Err(_) => format!("{text:?}\n  {}", wrong(text).replace('\n', "\n  ")),
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn positions_are_those_of_the_text() {
    let text = "\
# comment
a: &x !!str  one # c
b:
  - 'two'   # c
  -
  - &y
    k: v
  - [1,
     { m: 2 }]
c: |
  text
  more

d:
é: {\"q r\": , s}
e: *x
";
    let positions = Positions::of(text);
    let mut out = String::new();
    for pointer in [
        "", "/a", "/b", "/b/0", "/b/1", "/b/2", "/b/2/k", "/b/3", "/b/3/0", "/b/3/1", "/b/3/1/m", "/c", "/d",
        "/é", "/é/q r", "/é/s", "/e",
    ] {
        let show = |span: Option<Span>| match span {
            None => "-".to_owned(),
            Some(Span { start, end }) => {
                format!(
                    "{}:{}-{}:{} {:?}",
                    start.line,
                    start.column,
                    end.line,
                    end.column,
                    &text[start.byte..end.byte]
                )
            }
        };
        out +=
            &format!("{pointer:?}: {} = {}\n", show(positions.key(pointer)), show(positions.value(pointer)));
    }
    assert_eq!(positions.value("/b/4"), None);
    assert_eq!(positions.value("/b/x"), None);
    assert_eq!(positions.value("/a/b"), None);
    insta::assert_snapshot!(out);
}

#[test]
fn positions_hold_what_came_before_an_error() {
    let positions = Positions::of("a: 1\nb:\n  - x\n  - \"y\nc: 2\n");
    assert!(positions.broken());
    assert_eq!(positions.value("/b/0").map(|span| span.start.line), Some(3));
    assert_eq!(positions.value("/c"), None);
}
