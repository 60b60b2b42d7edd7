//! Generates the JSON Schemas from the configuration types. Depends on schemars and the types.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::config::v1::ConfigV1;
use crate::config::v2::Config;

/// Generates the JSON Schema of version 1 of the configuration format.
pub fn generate_v1() -> Value {
    generate_root::<ConfigV1>("tbot-v1.schema.json", "tbot.yaml, version 1")
}

/// Generates the JSON Schema of version 2 of the configuration format.
pub fn generate() -> Value {
    generate_root::<Config>("tbot.schema.json", "tbot.yaml, version 2")
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
    join_description_lines(&mut root);
    root
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
