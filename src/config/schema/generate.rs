//! Generates the JSON Schemas from the configuration types. Depends on schemars and the types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::nullable::{definition_name, flatten_nullable, visit_schemas};
use crate::config::v1::ConfigV1;
use crate::config::v2::Config;

/// Generates the JSON Schema of version 1 of the configuration format.
pub fn generate_v1() -> Value {
    generate_config::<ConfigV1>("urn:tbot:config:1", "tbot.yaml, version 1")
}

/// Generates the JSON Schema of version 2 of the configuration format.
pub fn generate() -> Value {
    generate_config::<Config>("urn:tbot:config:2", "tbot.yaml, version 2")
}

/// Generates the JSON Schema of a root type, with the given `$id` and `title`.
pub(crate) fn generate_root<T: JsonSchema>(id: &str, title: &str) -> Value {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let mut root = Map::new();
    root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("$id".to_owned(), json!(id));
    root.insert("title".to_owned(), json!(title));
    if let Value::Object(generated) = Value::from(schema) {
        root.extend(generated.into_iter().filter(|(key, _)| key != "$schema" && key != "title"));
    }
    let mut root = Value::Object(root);
    remove_formats(&mut root);
    join_description_lines(&mut root);
    root
}

fn generate_config<T: JsonSchema>(id: &str, title: &str) -> Value {
    let mut root = generate_root::<T>(id, title);
    flatten_nullable(&mut root);
    prefer_property_descriptions(&mut root);
    root
}

/// Removes formats, such as `uint32`: JSON Schema does not define those of schemars, so strict validators reject them.
fn remove_formats(root: &mut Value) {
    visit_schemas(root, &mut |schema| {
        // A property may also be called `format`.
        if schema.get("format").is_some_and(Value::is_string) {
            schema.shift_remove("format");
        }
    });
}

/// Turns the description of a definition into a comment if every property that refers to the definition has its own
/// description: editors would show the one of the definition instead.
fn prefer_property_descriptions(root: &mut Value) {
    let mut described = BTreeMap::new();
    visit_schemas(root, &mut |schema| {
        if let Some(name) = definition_name(schema.get("$ref")) {
            let is_described = schema.get("description").is_some_and(Value::is_string);
            *described.entry(name.to_owned()).or_insert(true) &= is_described;
        }
    });
    let Some(Value::Object(definitions)) = root.get_mut("$defs") else { return };
    for (name, definition) in definitions {
        if described.get(name) == Some(&true)
            && let Some(definition) = definition.as_object_mut()
            && let Some(description) = definition.shift_remove("description")
        {
            definition.insert("$comment".to_owned(), description);
        }
    }
}

/// Replaces line breaks in descriptions with spaces: they come from doc comments, where they have no meaning.
fn join_description_lines(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(description) if key == "description" => {
                        *description = join_lines(description);
                    }
                    Value::Array(descriptions) if key == "enumDescriptions" => {
                        for description in descriptions {
                            *description = json!(join_lines(description.as_str().unwrap_or_default()));
                        }
                    }
                    other => join_description_lines(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(join_description_lines),
        _ => {}
    }
}

fn join_lines(description: &str) -> String {
    description.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
