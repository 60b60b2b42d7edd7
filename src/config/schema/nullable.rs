//! Rewrites the optional properties of a generated schema, so that validators name the mistake in a value. Depends only on
//! serde_json.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Replaces each `anyOf` of a schema and `null`, which schemars generates for an optional property, with a schema that accepts
/// `null` as well. If a value matches no branch of an `anyOf`, validators report only that.
///
/// A definition accepts `null` itself if all properties that refer to it do. Otherwise, the property gets a copy of it.
pub(super) fn flatten_nullable(root: &mut Value) {
    let always_nullable = always_nullable(root);
    let definitions = root["$defs"].clone();
    visit_schemas(root, &mut |schema| {
        let Some(branch) = nullable_branch(schema) else { return };
        let nullable = match definition_name(branch.get("$ref")) {
            Some(name) if always_nullable.contains(name) => branch.clone(),
            Some(name) => accepting_null(&definitions[name]),
            None => accepting_null(branch),
        };
        schema.shift_remove("anyOf");
        // The keywords of the property come last, because its description takes precedence.
        let mut own = std::mem::take(schema);
        // schemars writes the default of an optional property that is read by a function.
        own.retain(|key, value| key != "default" || !value.is_null());
        *schema = nullable.as_object().cloned().unwrap_or_default();
        schema.extend(own);
    });
    for name in always_nullable {
        root["$defs"][&name] = accepting_null(&root["$defs"][&name]);
    }
}

/// Returns the names of the definitions to which only optional properties refer.
fn always_nullable(root: &mut Value) -> BTreeSet<String> {
    let (mut references, mut nullable_references) = (Vec::new(), Vec::new());
    visit_schemas(root, &mut |schema| {
        references.extend(definition_name(schema.get("$ref")).map(str::to_owned));
        let branch = nullable_branch(schema);
        let name = branch.and_then(|branch| definition_name(branch.get("$ref")));
        nullable_references.extend(name.map(str::to_owned));
    });
    let count = |names: &[String], name: &String| names.iter().filter(|other| *other == name).count();
    let is_always_nullable = |name: &&String| count(&nullable_references, name) == count(&references, name);
    nullable_references.iter().filter(is_always_nullable).cloned().collect()
}

/// Returns the first branch if a schema is an `anyOf` of a branch and `null`.
fn nullable_branch(schema: &Map<String, Value>) -> Option<&Value> {
    match schema.get("anyOf")?.as_array()?.as_slice() {
        [branch, null] if null["type"] == "null" => Some(branch),
        _ => None,
    }
}

/// Returns the name of the definition that a `$ref` refers to.
pub(super) fn definition_name(reference: Option<&Value>) -> Option<&str> {
    reference?.as_str()?.strip_prefix("#/$defs/")
}

/// Returns a schema that also accepts `null`. A closed set of strings also accepts the empty one, which the Go agent reads as
/// if the property were missing.
fn accepting_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if schema.get("else").is_some() {
        schema["else"] = accepting_null(&schema["else"]);
        return schema;
    }
    match &mut schema["type"] {
        Value::Array(names) => names.push(json!("null")),
        name => *name = json!([name.take(), "null"]),
    }
    let values = schema.get("enum").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let unset: Vec<Value> =
        [json!(""), Value::Null].into_iter().filter(|unset| !values.contains(unset)).collect();
    if let Some(descriptions) = schema.get_mut("enumDescriptions").and_then(Value::as_array_mut) {
        descriptions.extend(unset.iter().map(|_| json!("Not set.")));
    }
    if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        values.extend(unset);
    }
    schema
}

/// Calls `visit` with every object in a schema, the outer ones first: with every schema in it, but also with maps of schemas,
/// such as `properties`.
pub(super) fn visit_schemas(schema: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    match schema {
        Value::Object(map) => {
            visit(map);
            map.values_mut().for_each(|inner| visit_schemas(inner, visit));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| visit_schemas(item, visit)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_optional_property_accepts_null_without_any_of() {
        let mut root = json!({
            "properties": {
                "optional": { "anyOf": [{ "$ref": "#/$defs/Optional" }, { "type": "null" }], "description": "own" },
                "both": { "anyOf": [{ "$ref": "#/$defs/Both" }, { "type": "null" }], "description": "own" },
                "required": { "$ref": "#/$defs/Both" },
                "inline": { "anyOf": [{ "if": {}, "then": {}, "else": { "type": "string" } }, { "type": "null" }] },
            },
            "$defs": {
                "Optional": { "type": "string", "enum": ["a"], "enumDescriptions": ["A."] },
                "Both": { "type": "object", "description": "general" },
            },
        });
        flatten_nullable(&mut root);
        let expected = json!({
            "properties": {
                "optional": { "$ref": "#/$defs/Optional", "description": "own" },
                "both": { "type": ["object", "null"], "description": "own" },
                "required": { "$ref": "#/$defs/Both" },
                "inline": { "if": {}, "then": {}, "else": { "type": ["string", "null"] } },
            },
            "$defs": {
                "Optional": { "type": ["string", "null"], "enum": ["a", "", null], "enumDescriptions": ["A.", "Not set.", "Not set."] },
                "Both": { "type": "object", "description": "general" },
            },
        });
        assert_eq!(root, expected);
    }
}
