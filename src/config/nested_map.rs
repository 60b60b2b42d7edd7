//! Moves what is not indented to where it belongs. If nothing is indented below a map's key, the YAML reader puts everything that follows
//! into the map; a `destination` that is not indented at all is at the top level. Depends on `schema`, `hints`, `provenance` and
//! `diagnostic`.

use serde_json::{Map, Value};

use super::hints::{block_properties, property_names};
use super::provenance::Origins;
use super::schema::{locate, locate_branch};
use super::service::{DestinationUse, ServiceType};
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

/// Moves a `destination` at the top level, which is not indented, to the only service without one, and records where it comes from.
/// Returns whether there is such a service. Without one, or with several, nobody knows which one it belongs to.
pub(super) fn indent_destination(value: &mut Value, origins: &mut Origins) -> bool {
    const KEY: &str = "destination";
    if !value.get(KEY).is_some_and(Value::is_object) {
        return false;
    }
    let writes = |service: &Value| {
        let service_type = ServiceType::ALL.iter().find(|known| service["type"] == known.name);
        service_type.is_some_and(|known| !matches!(known.destination, DestinationUse::None))
    };
    let mut without = Vec::new();
    for list in ["services", "outputs"] {
        for (index, service) in value[list].as_array().into_iter().flatten().enumerate() {
            if writes(service) && service.get(KEY).is_none() {
                without.push(Pointer::root().key(list).index(index));
            }
        }
    }
    let [service] = without.as_slice() else { return false };
    let Some(destination) = value.as_object_mut().and_then(|root| root.shift_remove(KEY)) else {
        return false;
    };
    if let Some(Value::Object(map)) = value.pointer_mut(service.as_str()) {
        map.insert(KEY.to_owned(), destination);
        origins.moved.insert(service.key(KEY), Pointer::root().key(KEY));
    }
    true
}
