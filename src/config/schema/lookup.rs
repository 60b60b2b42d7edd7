//! Finds the schema of a property, by pointer alone or together with an instance. Depends only on serde_json and the
//! sensitivity classes.

use serde_json::Value;

use crate::config::scalar::Sensitivity;
use crate::pointer::Pointer;

/// Returns the sensitivity class of the property at a pointer such as `/onboarding/join_method`, or `None` if there is
/// no such property. Needs no instance, so a pointer cannot lead into a list.
pub fn property_class(schema: &Value, pointer: &Pointer) -> Option<Sensitivity> {
    let mut current = schema;
    for token in pointer.tokens() {
        current = resolve(schema, current)?.get("properties")?.get(token.as_ref())?;
    }
    class_of(schema, current)
}

/// Returns the sensitivity class of a property's schema: its own, or that of the schema to which it refers.
pub fn class_of(root: &Value, schema: &Value) -> Option<Sensitivity> {
    let own = schema.get("x-sensitivity");
    let class = own.or_else(|| resolve(root, schema)?.get("x-sensitivity"))?;
    Sensitivity::from_name(class.as_str()?)
}

/// Follows references, and selects the `else` branch of each condition. Returns the schema itself if it is neither.
pub fn resolve<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let mut current = schema;
    loop {
        if let Some(otherwise) = current.get("else") {
            current = otherwise;
        } else if let Some(reference) = current.get("$ref").and_then(Value::as_str) {
            current = root.pointer(reference.strip_prefix('#')?)?;
        } else {
            return Some(current);
        }
    }
}

/// Returns the schema of the value at a pointer of an instance, without following its own reference. The instance
/// selects the branches of the unions above it. Returns `None` if the schema does not define the value.
pub fn locate<'a>(root: &'a Value, instance: &Value, pointer: &Pointer) -> Option<&'a Value> {
    let (mut schema, mut value) = (root, instance);
    for token in pointer.tokens() {
        // Without a valid `type`, the union itself describes that entry.
        let branch = select_branch(root, schema, value)
            .or_else(|| resolve(root, schema).filter(|_| token == "type"))?;
        (schema, value) = match value {
            Value::Object(map) => {
                let property = branch.get("properties").and_then(|properties| properties.get(token.as_ref()));
                let additional = branch.get("additionalProperties").filter(|schema| schema.is_object());
                (property.or(additional)?, map.get(token.as_ref())?)
            }
            Value::Array(items) => (branch.get("items")?, items.get(token.parse::<usize>().ok()?)?),
            _ => return None,
        };
    }
    Some(schema)
}

/// Like [`locate`], but follows references and selects the branch of the last union, too.
pub(in crate::config) fn locate_branch<'a>(
    root: &'a Value,
    instance: &Value,
    pointer: &Pointer,
) -> Option<&'a Value> {
    select_branch(root, locate(root, instance, pointer)?, instance.pointer(pointer.as_str())?)
}

/// Follows references, and selects the branch of each union and each condition that the instance belongs to.
fn select_branch<'a>(root: &'a Value, schema: &'a Value, instance: &Value) -> Option<&'a Value> {
    let mut current = schema;
    loop {
        if is_union(current) {
            let type_name = instance.get("type")?.as_str()?;
            current = union_branches(root, current).find(|(name, _)| *name == type_name)?.1;
        } else if let Some(condition) = current.get("if") {
            current = current.get(if has_type(instance, &condition["type"]) { "then" } else { "else" })?;
        } else if let Some(reference) = current.get("$ref").and_then(Value::as_str) {
            current = root.pointer(reference.strip_prefix('#')?)?;
        } else {
            return Some(current);
        }
    }
}

/// Returns true for the schema of a union of maps, which are selected by their `type`.
pub fn is_union(schema: &Value) -> bool {
    schema.get("allOf").is_some()
}

/// Returns the branches of a union of maps: each `type` with the schema of its maps. Empty for any other schema.
pub fn union_branches<'a>(root: &'a Value, schema: &'a Value) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let conditions = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    conditions.filter_map(|condition| {
        let type_name = condition["if"]["properties"]["type"]["const"].as_str()?;
        Some((type_name, resolve(root, &condition["then"])?))
    })
}

/// Returns whether a schema accepts values of a JSON type.
pub(in crate::config) fn accepts(schema: &Value, name: &str) -> bool {
    schema["type"] == name
        || schema["type"].as_array().is_some_and(|types| types.iter().any(|own| own == name))
}

/// Returns whether a value has the type, or one of the types, that the keyword `type` names.
pub(super) fn has_type(value: &Value, types: &Value) -> bool {
    let has = |name: &Value| match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        // A number without a fractional part is an integer, even if it is written as `1.0`.
        Value::Number(number) => {
            name == "number"
                || name == "integer" && number.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
    };
    types.as_array().map_or_else(|| has(types), |names| names.iter().any(has))
}
