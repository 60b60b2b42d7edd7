//! Decides what an excerpt of a file may show: only scalars of known properties that are neither secrets nor
//! identifiers. Depends on `schema` and `diagnostic`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::scalar::Sensitivity;
use super::schema::{class_of, locate, resolve};
use crate::diagnostic::{Disclosure, Visibility};
use crate::pointer::Pointer;

/// The value of a file and the schema that applies to it, which together decide what an excerpt may show.
#[derive(Clone, Debug)]
pub struct FileDisclosure {
    schema: &'static Value,
    value: Value,
    property_names: BTreeSet<String>,
}

impl FileDisclosure {
    pub(super) fn new(schema: &'static Value, value: Value) -> Self {
        let mut property_names = BTreeSet::new();
        collect_property_names(schema, &mut property_names);
        Self { schema, value, property_names }
    }
}

fn collect_property_names(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                names.extend(properties.keys().cloned());
            }
            map.values().for_each(|value| collect_property_names(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_property_names(item, names)),
        _ => {}
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

impl Disclosure for FileDisclosure {
    fn visibility(&self, pointer: &str) -> Option<Visibility> {
        let schema = locate(self.schema, &self.value, &Pointer::from(pointer))?;
        // The class of a list or map applies only to its length: a scalar written in its place may be one of its
        // identifiers.
        if !accepts_scalar(resolve(self.schema, schema)?) {
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
            let is_scalar = resolve(self.schema, schema).is_some_and(accepts_scalar);
            let class = class_of(self.schema, schema);
            !is_scalar || !matches!(class, Some(Sensitivity::Secret | Sensitivity::Identifier))
        })
    }

    fn is_property_name(&self, name: &str) -> bool {
        self.property_names.contains(name)
    }
}
