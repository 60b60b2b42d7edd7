//! Tests parsed values, positions, and the problems of invalid files.

mod agreement;
mod fuzz;
mod json;
mod malformed_input;
mod round_trip;

use serde_json::json;

use super::internal::Positions;
use super::*;

fn value(text: &str) -> Value {
    parse(text).unwrap_or_else(|problems| panic!("{text:?}: {problems:?}")).value
}

/// Lists the problems of a text, one per line: position, kind, related position, message, help.
fn problems_of(text: &str) -> String {
    let problems = parse(text).expect_err(text);
    let show = |span: Option<Span>| match span {
        None => "file".to_owned(),
        Some(Span { start, end }) if start.line == end.line => {
            format!("{}:{}-{}", start.line, start.column, end.column)
        }
        Some(Span { start, end }) => format!("{}:{}-{}:{}", start.line, start.column, end.line, end.column),
    };
    let line = |problem: &Problem| {
        let related = problem.related.map(|span| format!(" (and {})", show(Some(span)))).unwrap_or_default();
        let help = problem.help.as_deref().unwrap_or("-");
        format!("{} {:?}{related}: {}; {help}", show(problem.span), problem.kind, problem.message)
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn kinds(text: &str) -> Vec<ProblemKind> {
    parse(text).expect_err(text).iter().map(|problem| problem.kind).collect()
}

#[test]
fn plain_scalars_have_their_yaml_1_2_types() {
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
fn aliases_and_merges_are_resolved_and_own_keys_take_precedence() {
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
    let positions = Positions::parse(text);
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
fn redundant_core_schema_tags_are_accepted() {
    assert_eq!(value("a: !!str 12\nb: !!map {c: !!seq [1]}\n"), json!({"a": "12", "b": {"c": [1]}}));
}

#[test]
fn a_key_that_does_not_look_like_a_name_is_not_shown() {
    assert_eq!(display_key("app.kubernetes.io/name"), "app.kubernetes.io/name");
    for key in ["token:abc", "a b", "", "\u{1b}[31m", &"k".repeat(65)] {
        assert_eq!(display_key(key), "***");
    }
    assert!(!problems_of("{token:abc: 1, token:abc: 2}").contains("abc"));
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
fn decode_accepts_only_utf8_and_utf16() {
    let text = "a: 1\nb: \u{e9}\u{1f600}\n";
    let units: Vec<u16> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    for bytes in [&*little, &*big, &[b"\xef\xbb\xbf", text.as_bytes()].concat(), text.as_bytes()] {
        assert_eq!(decode(bytes).as_deref(), Ok(text), "{bytes:?}");
    }
    let kind = |bytes: &[u8]| decode(bytes).expect_err("rejected").kind;
    assert_eq!(kind(b"\xff\xfea\0b"), ProblemKind::NotUtf8);
    assert_eq!(kind(b"\xff\xfe\0\xd8"), ProblemKind::NotUtf8);
    assert_eq!(kind(b"\xff\xfea\0\0\0"), ProblemKind::Binary);
    assert_eq!(kind(b"\xff\xfe\0\0a\0\0\0"), ProblemKind::Binary);
    let mut large = b"\xff\xfe".to_vec();
    large.extend([0xac, 0x20].repeat(MAX_BYTES / 2 - 1));
    assert_eq!(kind(&large), ProblemKind::TooLarge);
    assert_eq!(kind(b"\x7fELF\x02\x01\x01\0\0"), ProblemKind::Binary);
    assert_eq!(kind(b"a: \xe9\n"), ProblemKind::NotUtf8);
    assert_eq!(kind(&vec![b' '; MAX_BYTES + 1]), ProblemKind::TooLarge);
    let problem = decode(b"a: 1\nb: \xe9\n").expect_err("rejected");
    insta::assert_snapshot!(problem.message, @"invalid UTF-8 on line 2");
}

#[test]
fn a_problem_is_an_error_whose_message_shows_nothing_of_the_file() {
    let read = |text: &[u8]| -> Result<Parsed, Box<dyn Error>> {
        parse(&decode(text)?).map_err(|problems| problems.into_iter().next().unwrap().into())
    };
    let messages = [&b"a: \xe9\n"[..], b"version: v2\nhunter2: 1\nhunter2: 2\n", b"a: hunter2: b\n"]
        .map(|text| read(text).unwrap_err().to_string());
    insta::assert_snapshot!(messages.join("\n"), @"
    invalid UTF-8 on line 1; save the file as UTF-8
    line 3 column 1: duplicate key; remove one of the two
    line 1 column 11: unexpected `:`; align the keys of a map; put a space after the `:`, and quotes around a value that contains `: `
    ");
    for text in [
        "hunter2: 1\nhunter2: 2\n",
        "a:\nhunter2: 1\na: 2\n",
        "a: !hunter2 b\n",
        "a: &hunter2 1\nb: &hunter2 2\n",
    ] {
        let problems = parse(text).unwrap_err();
        assert!(
            problems.iter().all(|problem| !format!("{problem} {problem:?}").contains("hunter2")),
            "{problems:?}"
        );
    }
}

#[test]
fn an_escaped_single_quote_is_read_in_double_quotes() {
    let text = r#"a: "b\'c\e\\'d\x1b\u001B\U0000001b\'", b\'c: &x\' "\'"
"#;
    let text = format!("{{{}}}\n", text.trim());
    let (esc, positions) = ("\u{1b}", Positions::parse(&text));
    assert_eq!(value(&text), json!({"a": format!("b'c{esc}\\'d{esc}{esc}{esc}'"), "b\\'c": "'"}));
    let written = positions.value("/b\\'c").map(|span| &text[span.start.byte..span.end.byte]);
    assert_eq!(written, Some(r#""\'""#));
    assert_eq!(value("a: \"b\\\n  \\'c\"\n\"\\'k\": 'x\\'\n"), json!({"a": "b'c", "'k": "x\\"}));
}

#[test]
fn an_empty_file_differs_from_a_root_that_is_not_a_map() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "--- # c\n...\n", "null\n", "~"] {
        assert_eq!(kinds(text), [ProblemKind::Empty], "{text:?}");
    }
    for text in ["---\n# by a tool\n---\na: 1\n", "# c\n---\n...\n---\na: 1\n"] {
        assert_eq!(kinds(text), [ProblemKind::Empty], "{text:?}");
        assert!(problems_of(text).contains("first YAML document"), "{text:?}");
    }
    for text in ["- a\n", "a\n", "2", "[]", "'a: b'"] {
        assert_eq!(kinds(text), [ProblemKind::RootNotMap], "{text:?}");
    }
    assert_eq!(value("{}"), json!({}));
}

#[test]
fn all_problems_of_a_file_with_valid_syntax_are_reported() {
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
    insta::assert_snapshot!(problems_of(text));
}

#[test]
fn unreadable_values_are_left_out_of_the_result() {
    let text = "a: &a !x 1\nb: [.inf, *a, 2]\n3: x\nc: {{ d }}\ne: {<<: [5, {f: !x 1, g: !x 1, h: 2}], g: 3}\n!x i: 4\n";
    let (parsed, _) = parse_with_problems(text);
    let (parsed, unreadable) = parsed.unwrap();
    assert_eq!(
        parsed.value,
        json!({"a": null, "b": [null, null, 2], "c": null, "e": {"g": 3, "f": null, "h": 2}, "i": 4})
    );
    let pointers = |pointers: &[crate::pointer::Pointer]| {
        pointers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(pointers(&unreadable.values), "/a /b/0 /b/1 /c /e/f");
    assert_eq!(pointers(&unreadable.maps), " /e");
}

#[test]
fn the_aliases_of_unreadable_values_are_limited() {
    let mut text = "a0: &a0 [!x y, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        text += &format!("a{level}: &a{level} [{}]\n", format!("*a{}, ", level - 1).repeat(10));
    }
    let (parsed, problems) = parse_with_problems(&text);
    assert!(parsed.is_none());
    let kinds: Vec<_> = problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, [ProblemKind::Tag, ProblemKind::TooManyNodes]);
    let (parsed, _) = parse_with_problems("a: &a {b: *a, c: !x y}\n");
    assert!(parsed.is_none());
}

#[test]
fn only_maps_can_be_merged() {
    for text in ["a: 1\n<<: 5\n", "<<:\n", "<<: [{a: 1}, b]\n", "<<: {<<: x}\n"] {
        assert_eq!(kinds(text), [ProblemKind::Merge], "{text:?}");
    }
}

#[test]
fn syntax_errors_have_our_own_messages() {
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
        "a: 1\n\tb: 2\n",
        "a:\n  \tb: 1\n",
        "a:\n \t- b\n",
        "a:\n  - b: 1\n  - \tc: 1\n",
        "a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> main\n",
        "a:\n  - b: 1\n=======\n  - b: 2\n",
        "a:\n  b:c\n  d: 1\n",
        "a: 1\nb:2\n",
        "a:\n  - b:c\n    # d\n\n    e: 1\n",
        "a:\n  - http://b\n  c: 1\n",
        "a: {b:[c]}\n",
        "a:\n  b: [\n    c\n]\n",
        "a:\n  b: 'c\n  d'\n",
        "a: [- b]\n",
        "a: b # c\n  d\n",
        "a: [b]#c\n",
        "a: 1\n... b\n",
        "a:\n  b:\u{a0}{c: 1, d: 2}\n",
        "a:\n  - b: 1\n  -\u{a0}b: 2\n",
        "a:\u{202f}1\nb: 2\n",
        "a: b\u{a0}c: d\n",
        "a: 1\nb\n  c: 1\n",
        "a: 1\nb\n  - c: 1\n",
        "a: 1\nb\n  - c\n",
        "a b\nc: 1\n",
        "a:\n  b c\n  d: 1\n",
        "a:\n  - b c\n    d: 1\n",
        "a:\n  - b: 1\n    c\n      d: 1\n",
        "some prose\n\na: 1\n",
        "a: b\n  c\n  d: 1\n",
        "a:\n  - b: 1\n   c: 2\n",
        "a:\n  - b: 1\n     c: 2\n",
        "a:\n  -b: 1\n    c: 2\n",
        "a:\n  -b: 1\n   c: 2\n",
        "a:\n  \u{2013} b: 1\n    c: 2\n",
        "```yaml\na: 1\n",
        "a: 1\n```\n",
        "~~~\na: 1\n",
        "a: 1\n{{ include \"b\" . }}\nc: 1\n",
        "a:\n  {{ toYaml .Values.b | indent 2 }}\n  c: 1\n",
        "{# a #}\nb: 1\n",
        "a: >b\n",
        "a: |\nb\nc: 1\n",
        "'a':b\nc: 1\n",
        "a: 1\n\"b\":c\n",
        "a: \"\\q \\'\"\n",
        "a:\n  b: |\n  c\n",
        "a:\n  b: |\n  c\n  d\n  e: 1\n",
        "a:\n  - b: >-\n    c\n",
        "a: 1\nEOF\n",
        "a:\n  - b: 1\nEOF\n",
        "a:\n  - b:c # d\n    e: 1\n",
        "a:\n  - b:c # d\n",
        "a:\n  - b:c # d\n  - e: 1\n",
        "a:\n  b:c # d\n  e: 1\n",
        "a: 1\n\u{feff}b: 1\n",
        "a:\n  - <<: {b: 1}\n    <<: {c: 1}\n",
        "a: b: 1\n  c: 2\n",
        "a:\n  b:\n  - c\n  d: e\n    f: g\n",
        "a:\n  b:\n  - c\n  d\n    e: f\n",
        "a:\n  b:\n  - c\n  -d\n  e:\n",
        "a:\n  b:\n  - c\n  \u{2013} d\n  e:\n",
        "a: [\n  b\n]\nc\n  d: e\n",
        "a:\n  team-a: b\n    c: d\n",
        "a:\n  example.com/team: b\n    c: d\n",
        "a: b c\n    d e: f\n",
        "a:/b\nc: d\n",
        "a:\n  b: >-\n    {{.C}}\n d: e\n",
        "a:\n  b: |\n    ```\n d: e\n",
        "a:\n  {{ b }}\n  c: d\n",
        "a:\n  b:\n    - sha256:7e12\n    c: d\n",
        "a:\n  b:\n    - localhost:22\n    c: d\n",
        "a:\n  b:\n    - node:reader\n    c: d\n",
        "a: |\n  b\n  EOF\nc: [d\n",
        "a:\n  b: |\n  team-a: c\n  d: [e\n",
    ];
    let lines: Vec<String> = texts
        .iter()
        .map(|text| match parse(text) {
            Ok(parsed) => format!("{text:?}\n  fine: {}", parsed.value),
            Err(_) => format!("{text:?}\n  {}", problems_of(text).replace('\n', "\n  ")),
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn keys_and_values_have_positions() {
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
    let positions = Positions::parse(text);
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
fn positions_before_a_syntax_error_are_known() {
    let positions = Positions::parse("a: 1\nb:\n  - x\n  - \"y\nc: 2\n");
    assert!(positions.is_incomplete());
    assert_eq!(positions.value("/b/0").map(|span| span.start.line), Some(3));
    assert_eq!(positions.value("/c"), None);
}
