//! Separates a map from the rest of the map around it. Nothing is indented below the map's key, so the YAML reader puts
//! everything that follows into it. Depends on `schema`, `hints`, `provenance` and `diagnostic`.

use serde_json::{Map, Value};

use super::hints::{block_properties, property_names};
use super::provenance::Origins;
use super::schema::{locate, locate_branch};
use crate::diagnostic::suggest;
use crate::pointer::Pointer;

/// Moves the keys that do not belong to the map at a pointer to the map around it, and records where they come from. Returns
/// false if no key can belong to it, because the property is not a map.
pub(super) fn separate(schema: &Value, value: &mut Value, pointer: &Pointer, origins: &mut Origins) -> bool {
    let Some(outer) = pointer.parent() else { return false };
    let inner = locate_branch(schema, value, pointer).or_else(|| locate(schema, value, pointer));
    let inner_names = inner.map_or_else(Vec::new, |inner| block_properties(schema, inner));
    let outer_names = property_names(locate_branch(schema, value, &outer));
    let belongs_inside = |key: &str| {
        let is_misspelled =
            || !outer_names.contains(&key) && suggest(key, inner_names.iter().copied()).is_some();
        inner_names.contains(&key) || is_misspelled()
    };
    let Some(Value::Object(map)) = value.pointer_mut(pointer.as_str()) else { return false };
    let (inside, outside): (Map<_, _>, Map<_, _>) =
        std::mem::take(map).into_iter().partition(|(key, _)| belongs_inside(key));
    *map = inside;
    if let Some(Value::Object(around)) = value.pointer_mut(outer.as_str()) {
        for (key, value) in outside {
            if !around.contains_key(&key) {
                origins.moved.insert(outer.key(&key), pointer.key(&key));
                around.insert(key, value);
            }
        }
    }
    !inner_names.is_empty()
}
