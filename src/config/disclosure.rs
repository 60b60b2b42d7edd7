//! What of a file an excerpt may show: scalars of properties that are known and neither secret nor identifier.
//! Depends on `schema` and `diagnostic`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::scalar::Sensitivity;
use super::schema::{class_of, locate, resolve};
use crate::diagnostic::{Disclosure, Visibility};
use crate::pointer::Pointer;

/// A file's value beside the schema that it is judged by.
#[derive(Clone, Debug)]
pub struct FileDisclosure {
    schema: &'static Value,
    value: Value,
    names: BTreeSet<String>,
}

impl FileDisclosure {
    pub(super) fn new(schema: &'static Value, value: Value) -> Self {
        let mut names = BTreeSet::new();
        collect_names(schema, &mut names);
        Self { schema, value, names }
    }
}

fn collect_names(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                names.extend(properties.keys().cloned());
            }
            map.values().for_each(|value| collect_names(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_names(item, names)),
        _ => {}
    }
}

fn takes_scalar(schema: &Value) -> bool {
    let is_scalar = |name: &Value| matches!(name.as_str(), Some("string" | "boolean" | "integer" | "number"));
    let kind = &schema["type"];
    schema.get("const").is_some()
        || is_scalar(kind)
        || kind.as_array().is_some_and(|names| names.iter().any(is_scalar))
}

impl Disclosure for FileDisclosure {
    fn visibility(&self, pointer: &str) -> Option<Visibility> {
        let schema = locate(self.schema, &self.value, &Pointer::from(pointer))?;
        // The class of a list or a map is that of its length: a scalar in its place may be one of its identifiers.
        if !takes_scalar(resolve(self.schema, schema)?) {
            return Some(Visibility::Hidden);
        }
        match class_of(self.schema, schema)? {
            Sensitivity::Secret | Sensitivity::Identifier => Some(Visibility::Hidden),
            Sensitivity::Location | Sensitivity::Tuning | Sensitivity::Category => Some(Visibility::Visible),
        }
    }

    fn shows_keys(&self, pointer: &str) -> bool {
        let property = locate(self.schema, &self.value, &Pointer::from(pointer));
        property.is_none_or(|schema| {
            let is_scalar = resolve(self.schema, schema).is_some_and(takes_scalar);
            let class = class_of(self.schema, schema);
            !is_scalar || !matches!(class, Some(Sensitivity::Secret | Sensitivity::Identifier))
        })
    }

    fn is_property_name(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}
