//! What is meant by a key or a value that is not known where it stands: right somewhere else, or right in another version.
//! Depends on `schema` and `diagnostic`.

use serde_json::Value;

use super::schema::{locate, resolve};
use crate::diagnostic::suggest;
use crate::pointer::Pointer;

/// What to do about an unknown key. `object` is the schema of the map that it stands in, `tag` the map's `type`.
pub(super) fn for_key(
    root: &Value,
    value: &Value,
    at: &Pointer,
    object: Option<&Value>,
    tag: Option<&str>,
    key: &str,
) -> String {
    if let Some(hint) = known_mistake(key, tag, at, root) {
        return hint;
    }
    let known = names(object);
    if let Some(close) = suggest(key, known.iter().copied()) {
        return format!("did you mean `{close}`?");
    }
    let under = object.map_or_else(Vec::new, |object| stands_under(root, object, key));
    if let [(block, name)] = under.as_slice() {
        if *name == key {
            return format!("it belongs under `{block}`");
        }
        return format!("did you mean `{name}` under `{block}`?");
    }
    let types = types_with(root, value, at, key);
    if (1..=3).contains(&types.len()) {
        return format!("it belongs to {}; known here: {}", types_of(&types), quoted(&known));
    }
    if known.is_empty() {
        return "nothing may stand here; remove it".to_owned();
    }
    format!("known here: {}", quoted(&known))
}

/// The names of an object's properties.
pub(super) fn names(object: Option<&Value>) -> Vec<&str> {
    let properties = object.and_then(|object| object["properties"].as_object());
    properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

/// What to do about an unknown value.
pub(super) fn for_value(key: &str, written: Option<&str>, options: &[&str]) -> String {
    let Some(written) = written else { return format!("one of {}", quoted(options)) };
    if (key, written) == ("join_method", "ec2") {
        return "on AWS a bot joins with `iam`".to_owned();
    }
    if let Some(close) = suggest(written, options.iter().copied()) {
        return format!("did you mean `{close}`?");
    }
    let longer = |option: &&&str| {
        !written.is_empty()
            && option.strip_prefix(written).is_some_and(|rest| rest.starts_with(['_', '-', '/']))
    };
    match options.iter().filter(longer).collect::<Vec<_>>().as_slice() {
        [only] => format!("did you mean `{only}`?"),
        _ => format!("one of {}", quoted(options)),
    }
}

/// Names for people: `a`, `b`, `c`.
pub(super) fn quoted(names: &[&str]) -> String {
    let quote = |name: &&str| if name.is_empty() { "an empty text".to_owned() } else { format!("`{name}`") };
    names.iter().map(quote).collect::<Vec<_>>().join(", ")
}

fn known_mistake(key: &str, tag: Option<&str>, at: &Pointer, root: &Value) -> Option<String> {
    let lifetime = matches!(key, "credential_ttl" | "certificate_ttl" | "renewal_interval");
    let is_version_1 = root["properties"]["destinations"].is_object();
    let in_destinations = is_version_1 && at.as_str().starts_with("/destinations/");
    let hint = match (tag, key) {
        (Some("application-proxy"), _) if lifetime => {
            "write it under `credential_lifetime`: this type nests it"
        }
        (Some("workload-identity-aws-roles-anywhere"), _) if lifetime => {
            "write `session_duration` and `session_renewal_interval`: this type has its own"
        }
        (_, "type" | "destination") if in_destinations => {
            "version 2 has it: write `version: v2`, and `services` for `destinations`"
        }
        (_, "destinations") if at.is_root() => {
            "version 2 has `services`; a file with `destinations` is of version 1 and has no `version`"
        }
        (_, "proxy_server" | "insecure" | "join_uri" | "credential_ttl") if is_version_1 && at.is_root() => {
            "version 1 does not have it: write `version: v2`, and `services` for `destinations`"
        }
        (_, "terraform_cloud") if at.as_str() == "/onboarding" => {
            "the block of `join_method: terraform_cloud` is named `terraform`"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// The blocks of an object that have a property of this name, or of a close one, and that name.
fn stands_under<'a>(root: &'a Value, object: &'a Value, key: &str) -> Vec<(&'a str, &'a str)> {
    let blocks = object["properties"].as_object().into_iter().flatten();
    blocks
        .filter_map(|(block, schema)| {
            let schema = resolve(root, schema)?;
            let branches = schema["oneOf"].as_array().into_iter().flatten();
            let objects = branches.filter_map(|branch| resolve(root, branch)).chain([schema]);
            let known: Vec<&str> = objects.flat_map(|object| names(Some(object))).collect();
            let exact = known.iter().find(|name| **name == key && key != "type").copied();
            exact.or_else(|| suggest(key, known)).map(|name| (block.as_str(), name))
        })
        .collect()
}

/// The other types of a union of maps that have a property of this name.
fn types_with<'a>(root: &'a Value, value: &Value, at: &Pointer, key: &str) -> Vec<&'a str> {
    let union = locate(root, value, at).and_then(|union| resolve(root, union));
    let branches = union.and_then(|union| union["oneOf"].as_array()).into_iter().flatten();
    branches
        .filter_map(|branch| resolve(root, branch))
        .filter(|branch| branch["properties"].get(key).is_some())
        .filter_map(|branch| branch["properties"]["type"]["const"].as_str())
        .collect()
}

fn types_of(types: &[&str]) -> String {
    types.iter().map(|name| format!("`type: {name}`")).collect::<Vec<_>>().join(", ")
}
