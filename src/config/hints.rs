//! Hints for unknown keys and values: a similar name, a block or type in which the key is valid, or the valid choices.
//! Depends on `schema` and `diagnostic`.

use serde_json::Value;

use super::schema::{locate, resolve, union_branches};
use crate::diagnostic::suggest;
use crate::pointer::Pointer;

/// Returns a hint for an unknown key in the map at `pointer`. `map_schema` is the schema of the map, and `type_name`
/// the map's `type`.
pub(super) fn for_unknown_key(
    root: &Value,
    value: &Value,
    pointer: &Pointer,
    map_schema: Option<&Value>,
    type_name: Option<&str>,
    key: &str,
) -> String {
    if let Some(hint) = known_mistake(key, type_name, pointer, root) {
        return hint;
    }
    let known = property_names(map_schema);
    if let Some(close) = suggest(key, known.iter().copied()) {
        return format!("did you mean `{close}`?");
    }
    let blocks = map_schema.map_or_else(Vec::new, |schema| blocks_with(root, schema, key));
    if let [(block, name)] = blocks.as_slice() {
        if *name == key {
            return format!("move it under `{block}`");
        }
        return format!("did you mean `{name}` under `{block}`?");
    }
    let types = types_with(root, value, pointer, key);
    if (1..=3).contains(&types.len()) {
        let types: Vec<String> = types.iter().map(|name| format!("`type: {name}`")).collect();
        return format!("this key belongs to {}; valid keys here: {}", types.join(", "), quoted_list(&known));
    }
    if known.is_empty() {
        return "remove it; no key is valid here".to_owned();
    }
    format!("valid keys here: {}", quoted_list(&known))
}

/// Returns the names of the properties of a map's schema.
pub(super) fn property_names(map_schema: Option<&Value>) -> Vec<&str> {
    let properties = map_schema.and_then(|schema| schema["properties"].as_object());
    properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

/// Returns a hint for an unknown value of a property with a closed set of values.
pub(super) fn for_unknown_value(key: &str, written: Option<&str>, options: &[&str]) -> String {
    let Some(written) = written else { return one_of(options) };
    if (key, written) == ("join_method", "ec2") {
        return "use `iam` to join from AWS".to_owned();
    }
    if let Some(close) = suggest(written, options.iter().copied()) {
        return format!("did you mean `{close}`?");
    }
    let has_prefix = |option: &&&str| {
        !written.is_empty()
            && option.strip_prefix(written).is_some_and(|rest| rest.starts_with(['_', '-', '/']))
    };
    match options.iter().filter(has_prefix).collect::<Vec<_>>().as_slice() {
        [only] => format!("did you mean `{only}`?"),
        _ => one_of(options),
    }
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
    let quote = |name: &&str| if name.is_empty() { r#"`""`"#.to_owned() } else { format!("`{name}`") };
    names.iter().map(quote).collect::<Vec<_>>().join(", ")
}

const NOT_IN_VERSION_1: &str = "version 1 does not have this key; to use version 2, write `version: v2`, and \
                                `services` instead of `destinations`";

/// Returns the hint for a common mistake that has its own hint.
fn known_mistake(key: &str, type_name: Option<&str>, pointer: &Pointer, root: &Value) -> Option<String> {
    let is_lifetime = matches!(key, "credential_ttl" | "certificate_ttl" | "renewal_interval");
    let is_version_1 = root["properties"]["destinations"].is_object();
    let in_destinations = is_version_1 && pointer.as_str().starts_with("/destinations/");
    let hint = match (type_name, key) {
        (Some("application-proxy"), _) if is_lifetime => "move it into `credential_lifetime`",
        (Some("workload-identity-aws-roles-anywhere"), _) if is_lifetime => {
            "use `session_duration` and `session_renewal_interval` instead"
        }
        (_, "type" | "destination") if in_destinations => NOT_IN_VERSION_1,
        (_, "destinations") if pointer.is_root() => {
            "use `services`, or remove `version: v2` if the file uses version 1, which has `destinations`"
        }
        (_, "proxy_server" | "insecure" | "join_uri" | "credential_ttl")
            if is_version_1 && pointer.is_root() =>
        {
            NOT_IN_VERSION_1
        }
        (_, "terraform_cloud") if pointer.as_str() == "/onboarding" => {
            "use `terraform` for the settings of `join_method: terraform_cloud`"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Returns the blocks of a map that have a property with this name or a similar one, each with the name of the
/// property.
fn blocks_with<'a>(root: &'a Value, map_schema: &'a Value, key: &str) -> Vec<(&'a str, &'a str)> {
    let blocks = map_schema["properties"].as_object().into_iter().flatten();
    blocks
        .filter_map(|(block, schema)| {
            let schema = resolve(root, schema)?;
            let maps = union_branches(root, schema).map(|(_, branch)| branch).chain([schema]);
            let known: Vec<&str> = maps.flat_map(|map| property_names(Some(map))).collect();
            let exact = known.iter().find(|name| **name == key && key != "type").copied();
            exact.or_else(|| suggest(key, known)).map(|name| (block.as_str(), name))
        })
        .collect()
}

/// Returns the types in the union at a pointer that have a property with this name.
fn types_with<'a>(root: &'a Value, value: &Value, pointer: &Pointer, key: &str) -> Vec<&'a str> {
    let union = locate(root, value, pointer).and_then(|union| resolve(root, union));
    let branches = union.into_iter().flat_map(|union| union_branches(root, union));
    branches.filter(|(_, branch)| branch["properties"].get(key).is_some()).map(|(name, _)| name).collect()
}
