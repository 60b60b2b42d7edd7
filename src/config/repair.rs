//! Makes a configuration with an invalid structure fit its types, so that all of it can be checked for its meaning: renames
//! misspelled keys, removes unknown ones, and puts stand-ins in the place of what is missing or invalid. Depends on `schema`,
//! `provenance` and `yaml`.
//!
//! The result is only for the checks. Findings about a stand-in are not reported, because the user did not write it.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::disclosure::closed_set;
use super::nested_map;
use super::provenance::{Origin, Origins};
use super::schema::{locate, resolve, union_branches};
use crate::pointer::Pointer;
use crate::yaml::internal::Unreadable;

/// A change that makes one part of a configuration match the schema.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Repair {
    /// An unknown key is removed, or renamed to the property that it probably means.
    Key { map: Pointer, key: String, intended: Option<IntendedProperty> },
    /// A missing property is added.
    Add { map: Pointer, key: String },
    /// An invalid value is replaced.
    Replace(Pointer),
    /// An entry in the place of a list is put into a list.
    Wrap(Pointer),
}

/// The property that an unknown key means.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct IntendedProperty {
    pub(super) name: String,
    pub(super) form: Form,
}

/// How the value of an unknown key becomes that of the property that it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// It is the value.
    Same,
    /// It is an entry of the list that the property contains.
    Entry,
    /// It is a list with the value as its only entry.
    ListOfOne,
}

/// The parts of a file that were repaired. Pointers refer to the file.
#[derive(Clone, Debug, Default)]
pub(super) struct RepairedParts {
    stand_ins: HashSet<Pointer>,
    /// Maps with a key that cannot be read.
    reduced: HashSet<Pointer>,
    /// Unknown keys that were removed.
    removed: HashSet<Pointer>,
    /// Maps that contain the rest of the map around them.
    nested: Vec<Pointer>,
    /// Maps in which something was removed or replaced.
    incomplete: HashSet<Pointer>,
}

/// Marks what cannot be read as repaired. Its values are null, which is a stand-in only for an optional property: elsewhere,
/// they get another one when the structure is checked.
impl From<Unreadable> for RepairedParts {
    fn from(Unreadable { values, maps, nested, repetitive: _ }: Unreadable) -> Self {
        Self {
            incomplete: values.iter().filter_map(Pointer::parent).chain(maps.iter().cloned()).collect(),
            stand_ins: values.into_iter().collect(),
            reduced: maps.into_iter().collect(),
            removed: HashSet::new(),
            nested,
        }
    }
}

impl RepairedParts {
    /// Returns whether the value at a pointer is a stand-in or part of one.
    pub(super) fn is_stand_in(&self, pointer: &Pointer) -> bool {
        let mut current = Some(pointer.clone());
        while let Some(pointer) = current {
            if self.stand_ins.contains(&pointer) {
                return true;
            }
            current = pointer.parent();
        }
        false
    }

    /// Returns whether something was removed from the map at a pointer, or replaced in it.
    pub(super) fn is_incomplete(&self, pointer: &Pointer) -> bool {
        self.incomplete.contains(pointer)
    }

    /// Returns the pointers of what was replaced, and of the maps with a key that cannot be read.
    pub(super) fn changes(&self) -> impl Iterator<Item = &Pointer> {
        self.stand_ins.iter().chain(&self.reduced)
    }

    /// Returns the pointers of the unknown keys that were removed.
    pub(super) fn removed(&self) -> impl Iterator<Item = &Pointer> {
        self.removed.iter()
    }

    /// Returns whether maps contain the rest of the map around them.
    pub(super) fn has_nested_maps(&self) -> bool {
        !self.nested.is_empty()
    }

    /// Moves the keys that belong to the map around them out of the maps below whose keys nothing is indented. Pointers that
    /// change are recorded in `origins`.
    pub(super) fn separate_maps(&mut self, schema: &Value, value: &mut Value, origins: &mut Origins) {
        for pointer in &self.nested {
            if !nested_map::separate(schema, value, pointer, origins)
                && let Some(map) = value.pointer_mut(pointer.as_str())
            {
                *map = Value::Null;
                self.stand_ins.insert(pointer.clone());
                self.incomplete.extend(pointer.parent());
            }
        }
    }

    /// Applies the repairs to a value. Pointers that change are recorded in `origins`.
    pub(super) fn apply(
        &mut self,
        schema: &Value,
        value: &mut Value,
        repairs: Vec<Repair>,
        origins: &mut Origins,
    ) {
        let mut keys: HashMap<Pointer, HashMap<String, Option<IntendedProperty>>> = HashMap::new();
        let mut stand_ins = Vec::new();
        for repair in repairs {
            match repair {
                Repair::Key { map, key, intended } => {
                    drop(keys.entry(map).or_default().insert(key, intended));
                }
                Repair::Add { map, key } => stand_ins.push(map.key(&key)),
                Repair::Replace(pointer) => stand_ins.push(pointer),
                Repair::Wrap(pointer) => wrap(value, &pointer, origins),
            }
        }
        for (pointer, unknown) in keys {
            let Some(Value::Object(map)) = value.pointer_mut(pointer.as_str()) else { continue };
            if unknown.values().any(Option::is_none) {
                let original = original(origins, &pointer);
                let removed = unknown.iter().filter(|(_, intended)| intended.is_none());
                self.removed.extend(removed.map(|(key, _)| original.key(key)));
                self.incomplete.insert(original);
            }
            rename_keys(map, &pointer, &unknown, origins);
        }
        for pointer in stand_ins {
            let original = original(origins, &pointer);
            self.incomplete.extend(original.parent());
            self.stand_ins.insert(original);
            put_stand_in(schema, value, &pointer);
        }
    }
}

/// Returns the pointer in the file of a value whose pointer may have changed.
pub(super) fn original(origins: &Origins, pointer: &Pointer) -> Pointer {
    match origins.of(pointer) {
        Origin::File(original) => original,
        Origin::Override(_) => pointer.clone(),
    }
}

fn wrap(value: &mut Value, pointer: &Pointer, origins: &mut Origins) {
    if let Some(entry) = value.pointer_mut(pointer.as_str()) {
        *entry = json!([entry.take()]);
        let original = original(origins, pointer);
        origins.moved.insert(pointer.index(0), original);
    }
}

/// Renames or removes unknown keys. Keeps the order of the others.
fn rename_keys(
    map: &mut Map<String, Value>,
    pointer: &Pointer,
    unknown: &HashMap<String, Option<IntendedProperty>>,
    origins: &mut Origins,
) {
    let mut renamed = Vec::new();
    for (key, value) in std::mem::take(map) {
        match unknown.get(&key) {
            None => drop(map.insert(key, value)),
            Some(None) => {}
            Some(Some(intended)) => renamed.push((key, intended, value)),
        }
    }
    for (key, intended, value) in renamed {
        let original = original(origins, pointer).key(&key);
        let renamed = pointer.key(&intended.name);
        match map.get_mut(&intended.name) {
            // The file contains both keys, or a flag or a variable has set a part of the value.
            Some(present) if !present.is_null() => fill(present, value, &renamed, &original, origins),
            _ => {
                let (from, value) = match (intended.form, value) {
                    (Form::Entry, value) => {
                        origins.moved.insert(renamed.index(0), original.clone());
                        (original, json!([value]))
                    }
                    (Form::ListOfOne, Value::Array(mut entries)) if entries.len() == 1 => {
                        (original.index(0), entries.swap_remove(0))
                    }
                    (_, value) => (original, value),
                };
                origins.moved.insert(renamed, from);
                map.insert(intended.name.clone(), value);
            }
        }
    }
}

/// Adds the keys that a map lacks, or the entries of another list, to the value at a pointer. They come from `original`.
fn fill(present: &mut Value, other: Value, pointer: &Pointer, original: &Pointer, origins: &mut Origins) {
    match (present, other) {
        (Value::Object(present), Value::Object(other)) => {
            for (key, value) in other {
                if !present.contains_key(&key) {
                    origins.moved.insert(pointer.key(&key), original.key(&key));
                    present.insert(key, value);
                }
            }
        }
        (Value::Array(present), Value::Array(other)) => {
            for (index, value) in other.into_iter().enumerate() {
                origins.moved.insert(pointer.index(present.len()), original.index(index));
                present.push(value);
            }
        }
        _ => {}
    }
}

fn put_stand_in(schema: &Value, value: &mut Value, pointer: &Pointer) {
    let (Some(parent), Some(last)) = (pointer.parent(), pointer.last()) else { return };
    match value.pointer_mut(parent.as_str()) {
        // The schema is found by the value, so a missing value must exist first.
        Some(Value::Object(map)) => drop(map.entry(last.into_owned()).or_insert(Value::Null)),
        Some(Value::Array(_)) => {}
        _ => return,
    }
    let found = locate(schema, value, pointer);
    let stand_in = found.map_or(Value::Null, |found| stand_in(schema, found));
    if let Some(place) = value.pointer_mut(pointer.as_str()) {
        *place = stand_in;
    }
}

/// Returns a small value that a schema accepts: null if it is optional.
fn stand_in(root: &Value, schema: &Value) -> Value {
    let Some(resolved) = resolve(root, schema) else { return Value::Null };
    let types = resolved["type"].as_array();
    if types.is_some_and(|names| names.iter().any(|name| name == "null")) {
        return Value::Null;
    }
    if let Some(option) = closed_set(resolved).and_then(|options| options.first().copied()) {
        return json!(option);
    }
    let required = |schema: &Value| schema["required"].as_array().map_or(0, Vec::len);
    let map = union_branches(root, resolved).map(|(_, branch)| branch).min_by_key(|branch| required(branch));
    let map = map.unwrap_or(resolved);
    match map["type"].as_str() {
        Some("string") if map["pattern"].is_string() => json!("1h"),
        Some("boolean") => json!(false),
        Some("integer") => map["minimum"].clone(),
        Some("array") => json!([]),
        Some("object") => {
            let keys = map["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            keys.map(|key| (key.to_owned(), stand_in(root, &map["properties"][key]))).collect()
        }
        _ => json!("stand-in"),
    }
}
