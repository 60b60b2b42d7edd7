//! Visits the strings of a configuration, for checks that apply to strings of any property. Depends on `schema`.

use serde_json::Value;

use super::scalar::Sensitivity;
use super::schema::{FormatVersion, class_of, locate, locate_branch};
use crate::pointer::Pointer;

/// A string of a configuration in version 2 of the format.
///
/// Almost all strings pass all checks, so their pointer and class are determined only on request.
pub(super) struct ConfigString<'a> {
    value: &'a str,
    config: &'a Value,
    step: Step<'a>,
}

/// The last step of the path to a value. `parent` is `None` for the root.
#[derive(Clone, Copy)]
struct Step<'a> {
    parent: Option<&'a Self>,
    token: Token<'a>,
}

#[derive(Clone, Copy)]
enum Token<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl Step<'_> {
    fn pointer(&self) -> Pointer {
        let mut pointer = self.parent.map_or_else(Pointer::root, Step::pointer);
        match self.token {
            Token::Root => {}
            Token::Key(key) => {
                pointer.push_key(key);
            }
            Token::Index(index) => {
                pointer.push_index(index);
            }
        }
        pointer
    }
}

impl ConfigString<'_> {
    pub(super) const fn as_str(&self) -> &str {
        self.value
    }

    pub(super) fn pointer(&self) -> Pointer {
        self.step.pointer()
    }

    /// Returns the sensitivity class of the string at `pointer`, which is that of this string.
    pub(super) fn class(&self, pointer: &Pointer) -> Option<Sensitivity> {
        let schema = FormatVersion::V2.schema();
        locate(schema, self.config, pointer).and_then(|property| class_of(schema, property))
    }

    /// Returns whether the string is an entry of a list, or of a map with keys of the user, such as labels.
    pub(super) fn is_entry(&self, pointer: &Pointer) -> bool {
        let map = pointer
            .parent()
            .and_then(|parent| locate_branch(FormatVersion::V2.schema(), self.config, &parent));
        let key = pointer.last();
        map.zip(key).is_none_or(|(map, key)| map["properties"].get(key.as_ref()).is_none())
    }

    /// Returns whether the string is an item of a list.
    pub(super) const fn is_list_item(&self) -> bool {
        matches!(self.step.token, Token::Index(_))
    }
}

/// Calls `visit` for each string of a configuration, in the order of the file. Keys are not visited.
pub(super) fn for_each(config: &Value, visit: &mut impl FnMut(&ConfigString<'_>)) {
    descend(config, config, Step { parent: None, token: Token::Root }, visit);
}

fn descend(config: &Value, part: &Value, step: Step<'_>, visit: &mut impl FnMut(&ConfigString<'_>)) {
    match part {
        Value::Object(map) => {
            for (key, value) in map {
                descend(config, value, Step { parent: Some(&step), token: Token::Key(key) }, visit);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                descend(config, item, Step { parent: Some(&step), token: Token::Index(index) }, visit);
            }
        }
        Value::String(string) => visit(&ConfigString { value: string, config, step }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
