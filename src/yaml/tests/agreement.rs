//! Compares the reader with serde_yaml, a port of libyaml like the YAML library of the Go agent: both return the same value,
//! or the difference is listed in [`DIFFERENCES`] with its reason.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use serde::de::Deserialize as _;
use serde_json::Map;

use super::*;

/// An accepted difference between the reader and serde_yaml.
pub(super) struct Difference {
    pub(super) reason: &'static str,
    /// A file that shows the difference.
    example: &'static str,
    /// Whether this explains why our result for the text is not serde_yaml's.
    explains: fn(&str, &Result<Parsed, Vec<Problem>>) -> bool,
}

const DIFFERENCES: &[Difference] = &[
    // Accepted here, but not by serde_yaml.
    Difference {
        reason: "YAML 1.2 allows tabs between all tokens; only those in the indentation are rejected",
        example: "a: 1\nb:\n\t\n",
        explains: |text, ours| ours.is_ok() && text.contains('\t'),
    },
    Difference {
        reason: "YAML 1.2 allows more characters in a plain scalar in brackets, and a key there without a value",
        example: "a: [b:]\n",
        explains: |text, ours| ours.is_ok() && text.contains(['[', '{']),
    },
    Difference {
        reason: "YAML 1.2 allows the end of a document before the first one",
        example: "...\na: 1\n",
        explains: |text, ours| ours.is_ok() && text.contains("..."),
    },
    Difference {
        reason: "YAML 1.2 says to ignore an unknown directive",
        example: "%FOO\n---\na: 1\n",
        explains: |text, ours| ours.is_ok() && text.contains('%'),
    },
    Difference {
        reason: "YAML 1.2 allows more characters in the name of an anchor",
        example: "a: &! 1\n",
        explains: |text, _| {
            let ends_unusually = |(at, _): (usize, &str)| {
                let name = |found: char| found.is_ascii_alphanumeric() || "_-".contains(found);
                let end = text[at + 1..].trim_start_matches(name);
                !end.is_empty() && !end.starts_with([' ', '\t', '\n', '\r', ',', ']', '}'])
            };
            text.match_indices('&').any(ends_unusually)
        },
    },
    Difference {
        reason: ESCAPED_QUOTE,
        example: "a: \"\\'\"\n",
        explains: |text, ours| ours.is_ok() && text.contains("\\'"),
    },
    // A different value.
    Difference {
        reason: "a block that is kept to its end (`|+`) has the line break that the end of the file lacks",
        example: "a: |+\n  ",
        explains: |text, ours| ours.is_ok() && text.contains(['|', '>']) && text.ends_with([' ', '\t']),
    },
    Difference {
        reason: "an integer of more than 64 bits is a floating-point number, as in Go, and not an error",
        example: "a: 111111111111111311111111111111111\n",
        explains: |text, ours| {
            let is_long = |digits: &str| digits.len() > 16;
            ours.is_ok() && text.split(|digit: char| !digit.is_ascii_hexdigit()).any(is_long)
        },
    },
    // Accepted by serde_yaml, but not here.
    Difference {
        reason: "a quoted string must be indented on each line, or a missing quote would be reported far below",
        example: "a: 'b\nc'\n",
        explains: |text, ours| has_problem(ours, ProblemKind::Syntax) && text.contains(['\'', '"']),
    },
    Difference {
        reason: "a bracket after a plain scalar must be indented like the map around it",
        example: "a:\n  b: [\n    c\n]\n",
        explains: |text, ours| has_problem(ours, ProblemKind::Syntax) && text.contains(['[', '{']),
    },
    Difference {
        reason: "the header of a block must be indented, and its comment needs a space before the `#`",
        example: "a:\n|\n",
        explains: |text, ours| has_problem(ours, ProblemKind::Syntax) && text.contains(['|', '>']),
    },
    Difference {
        reason: "text after the end of a document is an error, not another document",
        example: "a:\n... b\n",
        explains: |text, ours| {
            has_problem(ours, ProblemKind::Syntax) && (text.contains("---") || text.contains("..."))
        },
    },
    Difference {
        reason: "YAML 1.2 allows fewer characters in a tag",
        example: "a: !!b!c\n",
        explains: |text, ours| has_problem(ours, ProblemKind::Syntax) && text.contains('!'),
    },
    // Rejected here by a rule of ours.
    Difference {
        reason: "a character that only YAML 1.1 treats as a line break, or as a mark of the byte order, is rejected",
        example: "a: \u{2028}\n",
        explains: |text, ours| {
            has_problem(ours, ProblemKind::Syntax) && text.contains(['\u{2028}', '\u{2029}', '\u{feff}'])
        },
    },
    Difference {
        reason: "a tag is never needed, and hides the type of a value",
        example: "!t a: 1\n",
        explains: |_, ours| has_problem(ours, ProblemKind::Tag),
    },
    Difference {
        reason: ANCHOR_REDEFINED,
        example: "a: &x 1\nb: &x 2\n",
        explains: |_, ours| has_problem(ours, ProblemKind::AnchorRedefined),
    },
    Difference {
        reason: TOO_DEEP,
        example: "a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
        explains: |_, ours| has_problem(ours, ProblemKind::TooDeep),
    },
];

const ANCHOR_REDEFINED: &str = "an alias of a name that two anchors have is most likely a mistake";
const ESCAPED_QUOTE: &str = "yaml.v3 reads `\\'` in double quotes, which libyaml rejects";
const TOO_DEEP: &str = "a limit on nesting bounds the recursion of whatever reads the value";

fn has_problem(ours: &Result<Parsed, Vec<Problem>>, kind: ProblemKind) -> bool {
    ours.as_ref().is_err_and(|problems| problems.iter().any(|problem| problem.kind == kind))
}

/// Reads the first document with serde_yaml. `None` if it has no value, or one that JSON cannot represent.
fn judge(text: &str) -> Option<Parsed> {
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let value = json_value(serde_yaml::Value::deserialize(documents.next()?).ok()?)?;
    let documents_ignored = documents.next().is_some();
    // For libyaml, a line that does not belong to the map above it starts another document.
    let is_marker = |line: &str| line.starts_with("---") || line.starts_with("...");
    let is_valid = value.is_object() && (!documents_ignored || text.split(['\n', '\r']).any(is_marker));
    is_valid.then_some(Parsed { value, documents_ignored })
}

fn json_value(value: serde_yaml::Value) -> Option<Value> {
    match value {
        serde_yaml::Value::Sequence(items) => items.into_iter().map(json_value).collect(),
        serde_yaml::Value::Mapping(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                map.insert(key.as_str()?.to_owned(), json_value(value)?);
            }
            let sources = match map.remove("<<") {
                None => Vec::new(),
                Some(Value::Array(sources)) => sources,
                Some(source) => vec![source],
            };
            for source in sources {
                for (key, value) in source.as_object()? {
                    map.entry(key).or_insert_with(|| value.clone());
                }
            }
            Some(Value::Object(map))
        }
        serde_yaml::Value::Tagged(_) => None,
        serde_yaml::Value::Number(number) if !number.is_finite() => None,
        scalar => serde_json::to_value(scalar).ok(),
    }
}

/// Returns `None` if the reader and serde_yaml agree, or else a difference that explains why not.
///
/// # Panics
///
/// Panics if no difference does.
pub(super) fn difference(text: &str) -> Option<&'static Difference> {
    let (ours, theirs) = (parse(text), judge(text));
    if ours.as_ref().ok() == theirs.as_ref() {
        return None;
    }
    let known = DIFFERENCES.iter().find(|difference| (difference.explains)(text, &ours));
    Some(known.unwrap_or_else(|| panic!("{text:?}\nis {ours:?}\nnot {theirs:?}")))
}

#[test]
fn the_files_of_the_tests_have_the_same_value() {
    fn check(path: &Path, checked: &mut usize, differences: &mut BTreeSet<&str>) {
        for path in path.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                check(&path, checked, differences);
            } else if path.extension().is_some_and(|extension| extension == "yaml")
                && let Ok(text) = decode(&std::fs::read(&path).unwrap())
            {
                *checked += 1;
                differences.extend(difference(&text).map(|difference| difference.reason));
            }
        }
    }
    let (mut checked, mut differences) = (0, BTreeSet::new());
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests"), &mut checked, &mut differences);
    assert!(checked > 100, "{checked}");
    assert_eq!(differences.into_iter().collect::<Vec<_>>(), [TOO_DEEP, ANCHOR_REDEFINED, ESCAPED_QUOTE]);
}

#[test]
fn common_styles_have_the_same_value() {
    for text in [
        "roles: [\n  \"access\",\n  \"editor\"\n]\n",
        "roles: [ # all\n  'access' # c\n]\nb: 1\n",
        "roles: [\n]\nlabels: {\n}\n",
        "roles: [\n\"access\",\neditor]\n",
        "a:\n  - b: c\n    d: {\n      \"e\": [\n        \"f\"\n      ]\n    }\n",
        "a:\n- b: {\n  c: 1\n  }\n- {\n  d: 1\n}\n",
        "a:\tb\nc: \td # e\n",
        "a:\n- b\n- c\nd:\n  - e\n",
        "a: |\n  b\n\n   c\n# d\ne: >-\n  f\n  g\n\n  h\n",
        "a: |\n  }\n\n  ]\nb: >\n\n  }\n",
        "a: |\n  b",
        "a: >-\n  b\n  c",
        "a: b\n  c\n\n  d\n",
        "a: \"b\n  c \\\n  d\"\n",
        "a: it's # b\nc: \"d # e\"\nf: g#h\ni: [j#k, l]\n",
        "a: http://b:1/c?d=e#f\ng: -h\ni: :j\nk: ?l\n",
        "a: 'b''c'\r\nd:\r\n  - e\r\n",
        "? a\n: b\n",
        "%YAML 1.1\n---\na: 1\n...\n",
        "{\"a\":1,\"b\":[{\"c\":null}]}",
        "a: [0x1F, 0o17, 0b11, 017, 1_000, +1, -0, .5, 1., 1e3, -1.5E-3, 1e999, 0x, 1.2.3, +-1, infinity]\n",
        "a: [18446744073709551615, -9223372036854775808, -0x10, +0x10, 0x-1]\n",
        "a: [yes, No, ON, y, True, TRUE, tRue, Null, NULL, nULL, ~, '~', \"\"]\n",
        "a: &a {b: 1}\nc: *a\nd:\n  <<: [*a, {b: 2, e: 3}]\n  f: 4\n",
    ] {
        assert!(parse(text).is_ok(), "{text:?}");
        if let Some(difference) = difference(text) {
            panic!("{text:?}: {}", difference.reason);
        }
    }
}

#[test]
fn each_difference_still_exists() {
    for known in DIFFERENCES {
        let found = difference(known.example).map(|difference| difference.reason);
        assert_eq!(found, Some(known.reason), "{:?}", known.example);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_yaml_like_text_has_the_same_value(text in malformed_input::yaml_like_text()) {
        difference(&text);
    }

    #[test]
    fn any_yaml_like_lines_have_the_same_value(text in malformed_input::yaml_like_lines()) {
        difference(&text);
    }

    #[test]
    fn any_plain_scalar_has_the_same_value(scalar in "[-+.~0-9a-fxoEInN_:]{0,8}") {
        difference(&format!("a: {scalar}\nb: '{scalar}'\n"));
    }
}
