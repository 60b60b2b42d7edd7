//! Builds the validators that find every violation of the embedded JSON Schemas. Depends on `schema` and the jsonschema
//! crate.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::schema::{FormatVersion, resolve};

/// Returns the validator of a format version, built on first use. `None` only if the embedded schema is not a valid
/// schema, which a test rules out.
pub(super) fn validator(version: FormatVersion) -> Option<&'static Validator> {
    static V1: LazyLock<Option<Validator>> = LazyLock::new(|| build(FormatVersion::V1.schema()));
    static V2: LazyLock<Option<Validator>> = LazyLock::new(|| build(FormatVersion::V2.schema()));
    match version {
        FormatVersion::V1 => V1.as_ref(),
        FormatVersion::V2 => V2.as_ref(),
    }
}

fn build(schema: &Value) -> Option<Validator> {
    jsonschema::options().build(&discriminate(schema, schema)).ok()
}

/// Replaces every `anyOf` in a schema with conditions that first select one branch and then apply only that branch.
///
/// For a plain `anyOf`, a validator can only report that no branch matches, with the violations of all branches.
fn discriminate(root: &Value, schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let mut result: Map<String, Value> =
                map.iter().map(|(key, value)| (key.clone(), discriminate(root, value))).collect();
            if let Some(Value::Array(branches)) = result.shift_remove("anyOf") {
                result.insert("allOf".to_owned(), json!([select_by_json_type(root, &branches)]));
            }
            Value::Object(result)
        }
        Value::Array(items) => items.iter().map(|item| discriminate(root, item)).collect(),
        other => other.clone(),
    }
}

/// Selects a branch of a union by JSON type. `null` is checked first, so that any other value is validated against the
/// branch that describes the property.
fn select_by_json_type(root: &Value, branches: &[Value]) -> Value {
    let mut branches: Vec<&Value> = branches.iter().collect();
    branches.sort_by_key(|branch| branch["type"] != "null");
    let mut chain = Value::Bool(false);
    for (index, branch) in branches.iter().rev().enumerate() {
        let json_type = resolve(root, branch).map(|branch| branch["type"].clone());
        chain = match (index, json_type) {
            (0, _) | (_, None) => (*branch).clone(),
            (_, Some(json_type)) => json!({ "if": { "type": json_type }, "then": branch, "else": chain }),
        };
    }
    chain
}
