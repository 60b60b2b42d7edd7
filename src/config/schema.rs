//! The JSON Schemas of the configuration: generated from the types, embedded, and looked up by pointer.
//! Depends on schemars and serde_json only.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::scalar::Sensitivity;
use crate::pointer::Pointer;

/// The JSON Schema (2020-12) of version 2 of the configuration, as it is embedded in this program.
pub const CONFIG: &str = include_str!("../../schema/tbot.schema.json");

/// The JSON Schema (2020-12) of version 1 of the configuration, as it is embedded in this program.
pub const CONFIG_V1: &str = include_str!("../../schema/tbot-v1.schema.json");

/// A version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatVersion {
    /// The version that has `destinations`.
    V1,
    /// The version that has `services` and `outputs`.
    V2,
}

impl FormatVersion {
    /// The schema of the version, parsed once.
    pub fn schema(self) -> &'static Value {
        static V1: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(CONFIG_V1).unwrap_or_default());
        static V2: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(CONFIG).unwrap_or_default());
        match self {
            Self::V1 => &V1,
            Self::V2 => &V2,
        }
    }
}

/// Generates the schema of version 1 of the configuration from its types.
pub fn generate_v1() -> Value {
    generate_root::<super::v1::ConfigV1>("tbot-v1.schema.json", "tbot.yaml, version 1")
}

/// Generates the schema of version 2 of the configuration from its types.
pub fn generate() -> Value {
    generate_root::<super::Config>("tbot.schema.json", "tbot.yaml, version 2")
}

/// Generates the schema of a root type, with `$id` and `title`.
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
    unwrap_descriptions(&mut root);
    root
}

/// Descriptions come from doc comments, whose line breaks mean nothing.
fn unwrap_descriptions(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "description" => *text = text.replace('\n', " "),
                    other => unwrap_descriptions(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unwrap_descriptions),
        _ => {}
    }
}

/// One branch of a tagged union: the body's schema under `$defs`, with its `type`.
pub(super) fn branch<T: JsonSchema>(
    generator: &mut SchemaGenerator,
    type_name: &str,
    extra: &[(&str, &str)],
) -> Schema {
    let name = T::schema_name().into_owned();
    let mut body = T::json_schema(generator);
    let object = body.ensure_object();

    let mut properties = Map::new();
    properties.insert(
        "type".to_owned(),
        json!({ "const": type_name, "description": "Which type this is.", "x-sensitivity": "category" }),
    );
    if let Some(Value::Object(own)) = object.remove("properties") {
        properties.extend(own);
    }
    let mut required = vec![json!("type")];
    if let Some(Value::Array(own)) = object.remove("required") {
        required.extend(own);
    }
    for (key, value) in extra {
        object.insert((*key).to_owned(), json!(value));
    }
    object.insert("type".to_owned(), json!("object"));
    object.insert("properties".to_owned(), Value::Object(properties));
    object.insert("required".to_owned(), Value::Array(required));
    object.insert("additionalProperties".to_owned(), json!(false));
    object.insert("x-sensitivity".to_owned(), json!("category"));
    generator.definitions_mut().insert(name.clone(), body.into());
    Schema::new_ref(format!("#/$defs/{name}"))
}

/// The class of the property that a pointer names, by a configuration's schema alone: `/onboarding/join_method`. Items of
/// lists have no pointer here.
pub fn property_class(schema: &Value, pointer: &Pointer) -> Option<Sensitivity> {
    let mut at = schema;
    for token in pointer.tokens() {
        at = resolve(schema, at)?.get("properties")?.get(token.as_ref())?;
    }
    class_of(schema, at)
}

/// The class of a property's schema: its own, or the one behind its `$ref`.
pub fn class_of(root: &Value, schema: &Value) -> Option<Sensitivity> {
    let own = schema.get("x-sensitivity");
    let class = own.or_else(|| resolve(root, schema)?.get("x-sensitivity"))?;
    Sensitivity::from_name(class.as_str()?)
}

/// What a schema refers to, with `null` as an alternative left aside; itself where it refers to nothing.
pub fn resolve<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let mut at = schema;
    loop {
        if let Some(branches) = at.get("anyOf").and_then(Value::as_array) {
            at = branches.iter().find(|branch| branch.get("type") != Some(&json!("null")))?;
        } else if let Some(reference) = at.get("$ref").and_then(Value::as_str) {
            at = root.pointer(reference.strip_prefix('#')?)?;
        } else {
            return Some(at);
        }
    }
}

/// The schema of the value at a pointer of an instance, as its parent has it: the instance says which branch of a union
/// is meant. None for what the schema does not know.
pub fn locate<'a>(root: &'a Value, instance: &Value, pointer: &Pointer) -> Option<&'a Value> {
    let (mut schema, mut value) = (root, instance);
    for token in pointer.tokens() {
        let branch =
            choose(root, schema, value).or_else(|| any_branch(root, schema).filter(|_| token == "type"))?;
        (schema, value) = match value {
            Value::Object(map) => {
                let known = branch.get("properties").and_then(|properties| properties.get(token.as_ref()));
                let open = branch.get("additionalProperties").filter(|open| open.is_object());
                (known.or(open)?, map.get(token.as_ref())?)
            }
            Value::Array(items) => (branch.get("items")?, items.get(token.parse::<usize>().ok()?)?),
            _ => return None,
        };
    }
    Some(schema)
}

/// The schema of the value at a pointer of an instance, down to the branch that the instance means.
pub(super) fn branch_of<'a>(root: &'a Value, instance: &Value, pointer: &Pointer) -> Option<&'a Value> {
    choose(root, locate(root, instance, pointer)?, instance.pointer(pointer.as_str())?)
}

/// Follows references and unions, by what an instance is.
fn choose<'a>(root: &'a Value, schema: &'a Value, instance: &Value) -> Option<&'a Value> {
    let mut at = schema;
    loop {
        if let Some(branches) = at.get("oneOf").and_then(Value::as_array) {
            let tag = instance.get("type")?;
            let of_branch = |branch: &&Value| {
                resolve(root, branch).is_some_and(|branch| branch["properties"]["type"]["const"] == *tag)
            };
            at = branches.iter().find(of_branch)?;
        } else if let Some(branches) = at.get("anyOf").and_then(Value::as_array) {
            let fits =
                |branch: &&Value| resolve(root, branch).is_some_and(|branch| is_of_type(branch, instance));
            let not_null = |branch: &&Value| branch["type"] != "null";
            at = branches.iter().find(fits).or_else(|| branches.iter().find(not_null))?;
        } else if let Some(reference) = at.get("$ref").and_then(Value::as_str) {
            at = root.pointer(reference.strip_prefix('#')?)?;
        } else {
            return Some(at);
        }
    }
}

/// Some branch of a union of maps. All of them have the `type` that tells them apart, even where an instance has none of
/// its values.
fn any_branch<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    resolve(root, resolve(root, schema)?.get("oneOf")?.get(0)?)
}

fn is_of_type(schema: &Value, instance: &Value) -> bool {
    let name = match instance {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kind = schema.get("type");
    // A union of maps has no type of its own.
    kind.map_or(name == "object", |kind| {
        kind == name || kind.as_array().is_some_and(|kinds| kinds.contains(&json!(name)))
    })
}
