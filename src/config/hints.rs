//! Hints for unknown keys and values: what people mean by the word, a similar name, a block or type in which the key is
//! valid, or the valid choices. Depends on `schema`, `words`, `vocabulary` and `diagnostic`.

use serde_json::Value;

use super::onboarding::JoinMethod;
use super::schema::{FormatVersion, accepts, locate, locate_branch, resolve, union_branches};
use super::vocabulary;
use super::words::{self, Meaning, WordPlace};
use crate::diagnostic::suggest;
use crate::pointer::Pointer;

/// A map of a configuration that has an unknown key.
pub(super) struct UnknownKeyContext<'a> {
    pub(super) schema: &'a Value,
    pub(super) config: &'a Value,
    pub(super) pointer: &'a Pointer,
    /// The schema of the map, or `None` if its `type` is unknown.
    pub(super) map_schema: Option<&'a Value>,
}

impl<'a> UnknownKeyContext<'a> {
    /// Returns the property that an unknown key means: a synonym, or a property with nearly the same name.
    pub(super) fn intended(&self, key: &str) -> Option<&'a str> {
        if let Some(meaning) = self.meaning(key) {
            return meaning.meant;
        }
        if let Some(list) = self.list_of(key) {
            return Some(list);
        }
        if let Some(same) = self.same_with_name(key) {
            return Some(same);
        }
        if is_known(key) {
            return None;
        }
        suggest(key, property_names(self.map_schema))
    }

    /// Returns the list of the map whose name is the plural of the key.
    pub(super) fn list_of(&self, key: &str) -> Option<&'a str> {
        let properties = self.map_schema?["properties"].as_object()?;
        let is_plural = |name: &str| name.strip_suffix('s') == Some(key);
        let (name, _) =
            properties.iter().find(|(name, schema)| is_plural(name) && accepts(schema, "array"))?;
        Some(name)
    }

    /// Returns the property of the map whose name differs from the key only in a `_name` at the end.
    fn same_with_name(&self, key: &str) -> Option<&'a str> {
        let is_same =
            |name: &&str| name.strip_suffix("_name") == Some(key) || key.strip_suffix("_name") == Some(name);
        property_names(self.map_schema).into_iter().find(is_same)
    }

    /// Returns the names of the properties of a block of the map, of any type.
    pub(super) fn block_properties(&self, block: &str) -> Vec<&'a str> {
        let block = self.map_schema.and_then(|schema| schema["properties"].get(block));
        block.map_or_else(Vec::new, |block| block_properties(self.schema, block))
    }

    /// Returns a hint for an unknown key. `meant` is the property that it means.
    pub(super) fn hint(&self, key: &str, meant: Option<&str>) -> String {
        if let Some(meaning) = self.meaning(key) {
            return meaning.help();
        }
        if self.pointer.as_str() == "/onboarding"
            && JoinMethod::from_name(key).is_some_and(|method| method.settings_key() != Some(key))
        {
            return format!(
                "remove it; `join_method: {key}` needs no block, because its rules are in the token"
            );
        }
        if self.pointer.tokens().next().is_none() && key.starts_with("x-") {
            return "remove it; an anchor (`&name`) can be where its value is first used".to_owned();
        }
        if let Some(list) = self.list_of(key) {
            return format!("use `{list}`, which is a list");
        }
        if let Some(close) = meant {
            return format!("did you mean `{close}`?");
        }
        match (self.blocks_with(key).as_slice(), self.lists_with(key).as_slice()) {
            ([(block, name)], []) if *name == key => return format!("move it under `{block}`"),
            ([(block, name)], []) => return format!("did you mean `{name}` under `{block}`?"),
            ([], [list]) if self.is_present(list) => {
                return format!("move it into an entry of `{list}`");
            }
            ([], [list]) => return format!("write it in an entry of `{list}`: `{list}: [{{{key}: ...}}]`"),
            _ => {}
        }
        let known = property_names(self.map_schema);
        let types = types_with(self.schema, self.config, self.pointer, key);
        if (1..=3).contains(&types.len()) {
            let types: Vec<String> = types.iter().map(|name| format!("`type: {name}`")).collect();
            return format!(
                "this key belongs to {}; valid keys here: {}",
                types.join(", "),
                quoted_list(&known)
            );
        }
        if let Some(place) = self.place_outside(key) {
            return format!("move it {place}");
        }
        if known.is_empty() {
            return match self.pointer.tokens().last() {
                Some(name) if self.places().is_empty() && is_version_1(self.schema) => {
                    format!("remove it, and write only the name, without the colon: `{name}`")
                }
                _ => "remove it; no key is valid here".to_owned(),
            };
        }
        format!("valid keys here: {}", quoted_list(&known))
    }

    /// Returns where the configuration accepts a key that is written in a service, in a destination or in `onboarding`: at the top
    /// level, or in `onboarding`.
    fn place_outside(&self, key: &str) -> Option<&'static str> {
        let tokens: Vec<_> = self.pointer.tokens().collect();
        let tokens: Vec<&str> = tokens.iter().map(AsRef::as_ref).collect();
        let is_entry = match tokens.as_slice() {
            ["services" | "outputs" | "destinations", _] => true,
            ["onboarding"] | ["onboarding", _] => false,
            _ => return None,
        };
        let onboarding = || block_properties(self.schema, &self.schema["properties"]["onboarding"]);
        let is_at_top_level = self.config.get(key).is_some();
        let is_of_file = ["version", "services", "outputs", "destinations"].contains(&key);
        if is_at_top_level || is_of_file && is_entry {
            None
        } else if property_names(Some(self.schema)).contains(&key) {
            Some(if is_entry {
                "to the top level, where it applies to the whole agent"
            } else {
                "to the top level"
            })
        } else if !onboarding().contains(&key) {
            None
        } else {
            Some(if is_entry {
                "into `onboarding`, where it applies to the whole agent"
            } else {
                "into `onboarding`"
            })
        }
    }

    /// Returns the blocks of the map that accept a property with this name, or a similar one, and do not have it yet. The
    /// present `type` of a block decides what it accepts. Each has the name of the property.
    fn blocks_with(&self, key: &str) -> Vec<(&'a str, &'a str)> {
        let properties = self.map_schema.and_then(|schema| schema["properties"].as_object());
        let blocks = properties.into_iter().flatten();
        let with_names = blocks.filter_map(|(block, schema)| {
            let pointer = self.pointer.key(block);
            let present = self.config.pointer(pointer.as_str());
            let schema = match present {
                Some(Value::Object(_)) => locate_branch(self.schema, self.config, &pointer),
                _ => resolve(self.schema, schema),
            };
            let mut names = property_names(schema);
            names.retain(|name| *name != "type" && present.is_none_or(|block| block.get(name).is_none()));
            let exact = names.iter().find(|name| **name == key).copied();
            let name = exact.or_else(|| if is_known(key) { None } else { suggest(key, names) });
            name.map(|name| (block.as_str(), name))
        });
        with_names.collect()
    }

    /// Returns the lists of the map whose entries accept a property with this name. The entries of a list of services or
    /// destinations do not count, because their `type` decides what they accept.
    fn lists_with(&self, key: &str) -> Vec<&'a str> {
        let properties = self.map_schema.and_then(|schema| schema["properties"].as_object());
        let accepts_key = |schema: &Value| {
            let entry = resolve(self.schema, schema).and_then(|list| resolve(self.schema, &list["items"]));
            property_names(entry).contains(&key)
        };
        let lists = properties.into_iter().flatten().filter(|(_, schema)| accepts_key(schema));
        lists.map(|(name, _)| name.as_str()).collect()
    }

    /// Returns whether the map has entries in a list.
    fn is_present(&self, list: &str) -> bool {
        let value = self.config.pointer(self.pointer.key(list).as_str());
        value.and_then(Value::as_array).is_some_and(|entries| !entries.is_empty())
    }

    /// Returns the entry of the word list for this key, if it applies to this map.
    fn meaning(&self, key: &str) -> Option<&'static Meaning> {
        let has =
            |meant: &str| self.map_schema.is_some_and(|schema| schema["properties"].get(meant).is_some());
        words::find(&self.places(), key).filter(|meaning| meaning.meant.is_none_or(has))
    }

    /// Returns the places of the map's keys, the most specific first.
    fn places(&self) -> Vec<WordPlace> {
        let tokens: Vec<_> = self.pointer.tokens().collect();
        let tokens: Vec<&str> = tokens.iter().map(AsRef::as_ref).collect();
        match tokens.as_slice() {
            [] if is_version_1(self.schema) => vec![WordPlace::RootV1],
            [] => vec![WordPlace::Root],
            ["onboarding"] => vec![WordPlace::Onboarding],
            ["onboarding", "bound_keypair"] => vec![WordPlace::BoundKeypair],
            ["services" | "outputs", _] => {
                let type_name =
                    self.map_schema.and_then(|schema| schema["properties"]["type"]["const"].as_str());
                let of_type = type_name.and_then(words::place_of_service);
                of_type.into_iter().chain([WordPlace::Service]).collect()
            }
            ["services", _, "attestors", "sigstore"] => vec![WordPlace::SigstoreAttestor],
            ["destinations", _] => vec![WordPlace::DestinationV1],
            ["destinations", _, "configs", _] => vec![WordPlace::TemplateV1],
            ["storage"] if is_version_1(self.schema) => vec![WordPlace::StorageV1, WordPlace::Destination],
            [.., "storage" | "destination"] => vec![WordPlace::Destination],
            _ => Vec::new(),
        }
    }
}

fn is_version_1(schema: &Value) -> bool {
    schema["properties"]["destinations"].is_object()
}

/// Returns whether a word has a meaning somewhere, so that it is not a misspelling of a similar one.
fn is_known(word: &str) -> bool {
    vocabulary::is_property_name(word) || vocabulary::is_word(word)
}

/// Returns whether a key at the top level is a property of one of the format versions, or means one, there or in `onboarding`.
pub(super) fn means_key_of_root(key: &str) -> bool {
    let versions = [FormatVersion::V1, FormatVersion::V2].map(FormatVersion::schema);
    let root = versions.iter().flat_map(|schema| property_names(Some(schema)));
    let onboarding = versions
        .iter()
        .flat_map(|schema| property_names(resolve(schema, &schema["properties"]["onboarding"])));
    let known: Vec<&str> = root.chain(onboarding).collect();
    known.contains(&key)
        || words::find(&[WordPlace::Root, WordPlace::RootV1], &key.replace('-', "_")).is_some()
        || !vocabulary::is_property_name(key) && suggest(key, known).is_some()
}

/// Returns the names of the properties of a map's schema.
pub(super) fn property_names(map_schema: Option<&Value>) -> Vec<&str> {
    let properties = map_schema.and_then(|schema| schema["properties"].as_object());
    properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

/// Returns a hint for an unknown value of a property with a closed set of values.
pub(super) fn for_unknown_value(pointer: &Pointer, written: Option<&str>, options: &[&str]) -> String {
    let Some(written) = written else { return one_of(options) };
    if let Some(meaning) = words::find(value_places(pointer), written) {
        return meaning.help();
    }
    if !is_known(written)
        && let Some(close) = suggest(written, options.iter().copied())
    {
        return format!("did you mean `{close}`?");
    }
    let has_prefix = |option: &&&str| {
        !written.is_empty()
            && option.strip_prefix(written).is_some_and(|rest| rest.starts_with(['_', '-', '/']))
    };
    match options.iter().filter(has_prefix).collect::<Vec<_>>().as_slice() {
        [only] => format!("did you mean `{only}`?"),
        _ if value_places(pointer) == [WordPlace::ServiceType] => {
            format!("{}, or a newer version of tbot if this type is newer than this version", one_of(options))
        }
        _ => one_of(options),
    }
}

/// Returns the place of a value.
fn value_places(pointer: &Pointer) -> &'static [WordPlace] {
    let tokens: Vec<_> = pointer.tokens().collect();
    let tokens: Vec<&str> = tokens.iter().map(AsRef::as_ref).collect();
    match tokens.as_slice() {
        ["onboarding", "join_method"] => &[WordPlace::JoinMethod],
        ["services" | "outputs", _, "type"] => &[WordPlace::ServiceType],
        [.., "storage" | "destination", "type"] => &[WordPlace::DestinationType],
        ["destinations", _, "configs", _] => &[WordPlace::TemplateV1],
        _ => &[],
    }
}

/// Returns the words of a closed set. An empty string, which means that the property is not set, is not one of them.
pub(super) fn words(options: &[Value]) -> Vec<&str> {
    options.iter().filter_map(Value::as_str).filter(|word| !word.is_empty()).collect()
}

/// Returns a hint that lists the valid values.
pub(super) fn one_of(options: &[&str]) -> String {
    match options {
        [only] => format!("use `{only}`"),
        _ => format!("use one of {}", quoted_list(options)),
    }
}

/// Formats names for a message: `a`, `b`, `c`.
pub(super) fn quoted_list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Returns the names of the properties of a block, of any type.
pub(super) fn block_properties<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a str> {
    let Some(schema) = resolve(root, schema) else { return Vec::new() };
    let maps = union_branches(root, schema).map(|(_, branch)| branch).chain([schema]);
    maps.flat_map(|map| property_names(Some(map))).collect()
}

/// Returns the types in the union at a pointer that have a property with this name.
fn types_with<'a>(root: &'a Value, value: &Value, pointer: &Pointer, key: &str) -> Vec<&'a str> {
    let union = locate(root, value, pointer).and_then(|union| resolve(root, union));
    let branches = union.into_iter().flat_map(|union| union_branches(root, union));
    branches.filter(|(_, branch)| branch["properties"].get(key).is_some()).map(|(name, _)| name).collect()
}
