//! Writes generated trees in every YAML style, and tests that parsing returns the same value and the right positions.

use proptest::prelude::*;
use serde_json::{Map, Number};

use super::malformed_input::pointers;
use super::*;

#[derive(Debug, Clone)]
enum Tree {
    /// A scalar in the syntax of the file, and its value.
    Scalar(String, Value),
    /// The lines of a `|-` block.
    Block(Vec<String>),
    List(bool, Vec<Self>),
    Map(bool, Vec<(String, Self)>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let scalar = prop_oneof![
        Just(Tree::Scalar(String::new(), Value::Null)),
        any::<bool>().prop_map(|value| Tree::Scalar(value.to_string(), Value::Bool(value))),
        any::<i32>().prop_map(|value| Tree::Scalar(value.to_string(), Value::Number(Number::from(value)))),
        "s[a-z0-9é: /]{0,6}[a-z]".prop_filter_map("a `: ` ends a plain scalar", |text| {
            (!text.contains(": ")).then(|| Tree::Scalar(text.clone(), Value::String(text)))
        }),
        "[a-z:# '\u{1f600}-]{0,8}"
            .prop_map(|text| Tree::Scalar(format!("'{}'", text.replace('\'', "''")), Value::String(text))),
        "[a-zé: \"\\\\\n\t]{0,8}"
            .prop_map(|text| Tree::Scalar(Value::from(text.clone()).to_string(), Value::String(text))),
        proptest::collection::vec("[a-z#][a-z :]{0,6}[a-z]", 1..4).prop_map(Tree::Block),
    ];
    scalar.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            (any::<bool>(), proptest::collection::vec(inner.clone(), 0..5))
                .prop_map(|(flow, items)| Tree::List(flow, items)),
            map(inner),
        ]
    })
}

fn map(inner: impl Strategy<Value = Tree>) -> impl Strategy<Value = Tree> {
    let entries = proptest::collection::hash_map("k[a-z~/é]{0,4}", inner, 0..5);
    (any::<bool>(), entries).prop_map(|(flow, entries)| Tree::Map(flow, entries.into_iter().collect()))
}

impl Tree {
    fn value(&self) -> Value {
        match self {
            Self::Scalar(_, value) => value.clone(),
            Self::Block(lines) => Value::String(lines.join("\n")),
            Self::List(_, items) => Value::Array(items.iter().map(Self::value).collect()),
            Self::Map(_, entries) => Value::Object(
                entries.iter().map(|(key, item)| (key.clone(), item.value())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// Writes the tree after a `:` or a `-`, with the separating space or line break.
    fn write(&self, indent: usize, out: &mut String) {
        let next = format!("\n{:indent$}", "");
        match self {
            Self::Scalar(text, _) if text.is_empty() => {}
            Self::Scalar(text, _) => *out += &format!(" {text} # c"),
            Self::Block(lines) => *out += &format!(" |-{next}{}", lines.join(&next)),
            Self::List(false, items) if !items.is_empty() => {
                for item in items {
                    *out += &format!("{next}-");
                    item.write(indent + 2, out);
                }
            }
            Self::Map(false, entries) if !entries.is_empty() => {
                for (key, item) in entries {
                    *out += &format!("{next}{key}:");
                    item.write(indent + 2, out);
                }
            }
            Self::List(..) | Self::Map(..) => {
                out.push(' ');
                self.write_flow(indent, out);
            }
        }
    }

    fn write_flow(&self, indent: usize, out: &mut String) {
        match self {
            Self::Scalar(text, _) if text.is_empty() => *out += "null",
            Self::Scalar(text, Value::String(_)) if text.starts_with('s') => *out += &format!("'{text}'"),
            Self::Scalar(text, _) => *out += text,
            Self::Block(lines) => *out += &Value::from(lines.join("\n")).to_string(),
            Self::List(_, items) => {
                out.push('[');
                for item in items {
                    item.write_flow(indent, out);
                    *out += &format!(",\n{:indent$}", "");
                }
                out.push(']');
            }
            Self::Map(_, entries) => {
                out.push('{');
                for (key, item) in entries {
                    *out += &format!("{key}: ");
                    item.write_flow(indent, out);
                    *out += ", ";
                }
                out.push('}');
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_pointer_has_the_position_of_its_value(root in map(tree())) {
        let mut text = "---".to_owned();
        root.write(0, &mut text);
        let expected = root.value();
        let parsed = parse(&text);
        prop_assert!(parsed.is_ok(), "{text}\n{parsed:?}");
        prop_assert_eq!(&value(&text), &expected, "{}", text);

        let positions = Positions::parse(&text);
        for pointer in pointers(&expected) {
            let Some(span) = positions.value(pointer.as_str()) else {
                return Err(TestCaseError::fail(format!("{pointer} has no position in\n{text}")));
            };
            let slice = &text[span.start.byte..span.end.byte];
            // The slice starts in the middle of a line: restore its column, so that the following lines stay aligned.
            let alone = format!("x:\n  {:width$}{}", "", slice.replace('\n', "\n  "), width = span.start.column - 1);
            let alone = if slice.starts_with('|') { format!("x: {slice}") } else { alone };
            let found = parse(&alone).map(|parsed| parsed.value["x"].clone());
            prop_assert_eq!(found.as_ref().ok(), expected.pointer(pointer.as_str()), "{} of\n{}\nis {:?}", pointer, text, slice);
            prop_assert_eq!(slice.trim(), slice);

            if let Some(last) = pointer.last() {
                let key = positions.key(pointer.as_str()).map(|span| &text[span.start.byte..span.end.byte]);
                let in_list = pointer.parent().and_then(|parent| expected.pointer(parent.as_str())).is_some_and(Value::is_array);
                prop_assert_eq!(key, (!in_list).then_some(last.as_ref()));
            }
        }
    }
}
