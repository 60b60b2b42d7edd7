//! Decides what an excerpt of a file may show: known properties, and their values if these are harmless. Depends on
//! `schema`, `vocabulary` and `diagnostic`.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::scalar::Sensitivity;
use super::schema::{class_of, locate, locate_branch, resolve};
use super::{document, vocabulary};
use crate::diagnostic::{Disclosure, Visibility, display_key};
use crate::pointer::Pointer;

/// The value of a file and the schema that applies to it, which together decide what an excerpt may show. Its `Debug` output shows
/// nothing of the file.
#[derive(Clone)]
pub struct FileDisclosure {
    schema: &'static Value,
    value: Arc<Value>,
    /// Whether the file is a manifest, whose `kind` is harmless.
    is_manifest: bool,
}

impl fmt::Debug for FileDisclosure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileDisclosure").finish_non_exhaustive()
    }
}

impl FileDisclosure {
    pub(super) const fn new(schema: &'static Value, value: Arc<Value>, is_manifest: bool) -> Self {
        Self { schema, value, is_manifest }
    }

    /// Returns the schema of a property, and its class.
    fn property(&self, pointer: &str) -> Option<(&Value, Sensitivity)> {
        let property = locate(self.schema, &self.value, &Pointer::from(pointer))?;
        Some((resolve(self.schema, property)?, class_of(self.schema, property)?))
    }
}

fn accepts_scalar(schema: &Value) -> bool {
    let is_scalar = |name: &Value| matches!(name.as_str(), Some("string" | "boolean" | "integer" | "number"));
    let declared = &schema["type"];
    schema.get("const").is_some()
        || schema.get("enum").is_some()
        || is_scalar(declared)
        || declared.as_array().is_some_and(|names| names.iter().any(is_scalar))
}

/// Returns the words that a schema accepts, or `None` if it accepts others, too.
pub(super) fn closed_set(schema: &Value) -> Option<Vec<&str>> {
    let options = schema.get("enum").and_then(Value::as_array).map(Vec::as_slice);
    let options = options.or_else(|| schema.get("const").map(std::slice::from_ref))?;
    Some(options.iter().filter_map(Value::as_str).collect())
}

impl Disclosure for FileDisclosure {
    fn visibility(&self, pointer: &str, string: Option<&str>) -> Option<Visibility> {
        if self.is_manifest && pointer == document::KIND && string.is_some_and(vocabulary::looks_like_word) {
            return Some(Visibility::Visible);
        }
        let (schema, class) = self.property(pointer)?;
        let is_harmless = match string {
            // The class of a list or map applies only to its length: a scalar written in its place may be one of its
            // identifiers. A word of the configuration format is neither that nor a secret.
            _ if !accepts_scalar(schema) => string.is_some_and(vocabulary::is_word),
            Some(string) => vocabulary::is_harmless(class, closed_set(schema).is_some(), string),
            None => !matches!(class, Sensitivity::Secret | Sensitivity::Identifier),
        };
        Some(if is_harmless { Visibility::Visible } else { Visibility::Hidden })
    }

    /// A property name is always shown. Any other key is shown only in a map with a closed set of properties, where it is
    /// probably a misspelling: it may otherwise be a label, or part of a value.
    fn shows_key(&self, map: &str, key: &str) -> bool {
        let is_closed = || {
            let schema = locate_branch(self.schema, &self.value, &Pointer::from(map));
            schema
                .is_some_and(|schema| !accepts_scalar(schema) && !schema["additionalProperties"].is_object())
        };
        // An index is not a key. A number that is one may be a label, too.
        let is_index = || self.value.pointer(map).is_some_and(Value::is_array);
        vocabulary::is_property_name(key) || is_index() || (display_key(key) == key && is_closed())
    }

    fn is_known_word(&self, string: &str) -> bool {
        vocabulary::is_word(string)
    }

    fn is_property_name(&self, name: &str) -> bool {
        vocabulary::is_property_name(name)
    }
}
