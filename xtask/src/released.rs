//! The released versions of the event, frozen under `schema/released/`. The content of an event changes only with its
//! version, and the representation of a property on the wire never changes.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tbot::config::internal::schema::resolve;

use crate::generated::{GeneratedFile, pretty_json};
use xtask_launcher::root;

/// The SHA-256 digest of each released version, in the format of `sha256sum`.
const DIGESTS: &str = "schema/released/SHA256SUMS";

/// Keywords that only explain a schema, or say how a receiver reports what it received. They may change in a released version.
const EXPLANATORY: [&str; 8] = [
    "description",
    "enumDescriptions",
    "examples",
    "title",
    "x-implementations",
    "x-reason",
    "x-report",
    "x-sensitivity",
];

/// Returns the files that freeze the current version of the event: its schema, and the list of digests. Returns none if that
/// version is already frozen.
///
/// # Errors
///
/// Returns an error if the file of an earlier version is missing, if the current version is frozen with other content, or if
/// the event cannot be read by receivers of an earlier version. Explanations may change after a release; what is collected
/// may not.
pub(crate) fn freeze(event: &Value) -> Result<Vec<GeneratedFile>> {
    let root = root()?;
    let current = event["x-version"].as_u64().context("the event schema has no x-version")?;
    for version in 1..=current {
        let path = path(version);
        let Ok(text) = fs::read_to_string(root.join(&path)) else {
            if version == current {
                let content = pretty_json(event)?;
                let digests = fs::read_to_string(root.join(DIGESTS))
                    .with_context(|| format!("cannot read {DIGESTS}; restore it"))?;
                let digests = with_digest(&digests, &file_name(version), &content);
                return Ok(vec![
                    GeneratedFile { path, content },
                    GeneratedFile { path: DIGESTS.to_owned(), content: digests },
                ]);
            }
            bail!("{path} is missing; restore it: the schema of a released event version must be kept");
        };
        let frozen: Value =
            serde_json::from_str(&text).with_context(|| format!("{path} is not valid JSON"))?;
        if frozen["x-version"] != version {
            bail!("{path} has the x-version {}, expected {version}", frozen["x-version"]);
        }
        let conflicts = wire_conflicts(&frozen, event);
        if !conflicts.is_empty() {
            bail!(
                "the event is not compatible with its released version {version} ({path}): {}",
                conflicts.join("; ")
            );
        }
        if version == current && without_explanations(&frozen) != without_explanations(event) {
            bail!(
                "the event differs from its released version {version} ({path}): increment EVENT_VERSION in \
                 src/event/declaration.rs, set `x-since` of new properties to it, and run `cargo xtask schema`"
            );
        }
    }
    Ok(Vec::new())
}

/// Adds the digest of a new file to the list. A digest that is listed never changes: if its file is deleted and generated
/// again with other content, a test fails.
fn with_digest(digests: &str, file: &str, content: &str) -> String {
    if digests.lines().any(|line| line.ends_with(&format!("  {file}"))) {
        return digests.to_owned();
    }
    format!("{digests}{:x}  {file}\n", Sha256::digest(content))
}

/// Returns the schemas of all versions of the event, the first one first. The last one is `event`, the current version.
///
/// # Errors
///
/// Returns an error if the file of an earlier version cannot be read.
pub(crate) fn versions(event: &Value) -> Result<Vec<Value>> {
    let root = root()?;
    let current = event["x-version"].as_u64().context("the event schema has no x-version")?;
    let mut versions: Vec<Value> = (1..current)
        .map(|version| {
            let text = fs::read_to_string(root.join(path(version)))
                .with_context(|| format!("cannot read {}", path(version)))?;
            Ok(serde_json::from_str(&text)?)
        })
        .collect::<Result<_>>()?;
    versions.push(event.clone());
    Ok(versions)
}

fn path(version: u64) -> String {
    format!("schema/released/{}", file_name(version))
}

fn file_name(version: u64) -> String {
    format!("tbot.start.v{version}.schema.json")
}

/// Returns what receivers of a released version of the event would misread or reject: a property with another representation on
/// the wire, a field of a removed property that another property uses, an enum whose values have other numbers, or an event
/// without a property that they require.
fn wire_conflicts(released: &Value, event: &Value) -> Vec<String> {
    let properties = |schema: &Value| schema["properties"].as_object().cloned().unwrap_or_default();
    let current = properties(event);
    let fields: BTreeMap<u64, &String> = current
        .iter()
        .filter_map(|(name, property)| Some((property["x-wire"]["field"].as_u64()?, name)))
        .collect();
    let mut conflicts = Vec::new();
    // Receivers require only what the first version required, because agents of that version do not send anything else.
    for name in required(released).filter(|name| released["properties"][*name]["x-since"] == 1) {
        if !required(event).any(|now| now == name) {
            conflicts.push(format!(
                "receivers of that version reject an event without `{name}`: keep it, and do not make it an `Option`"
            ));
        }
    }
    for (name, before) in properties(released) {
        if let Some(now) = current.get(&name) {
            let (wire_before, wire_now) = (&before["x-wire"], &now["x-wire"]);
            let is_kept = ["field", "name", "minus"].into_iter().all(|key| wire_before[key] == wire_now[key]);
            let names = wire_before["values"].as_object();
            let are_names_kept =
                names.into_iter().flatten().all(|(value, name)| wire_now["values"][value] == *name);
            let (type_before, type_now) = (wire_type(released, &before), wire_type(event, now));
            if type_before != type_now {
                conflicts.push(format!(
                    "`{name}` changed from {type_before} to {type_now} on the wire: declare a new property instead"
                ));
            } else if !is_kept || !are_names_kept {
                conflicts.push(format!("the x-wire of `{name}` changed"));
            }
            if type_before == type_now
                && names.is_some()
                && !enum_values(event, now).starts_with(&enum_values(released, &before))
            {
                conflicts.push(format!(
                    "new values of `{name}` must come last, because their order gives their number"
                ));
            }
        } else if let Some(other) = before["x-wire"]["field"].as_u64().and_then(|field| fields.get(&field)) {
            conflicts.push(format!("`{other}` has the wire field of `{name}`, which was removed"));
        }
    }
    conflicts
}

/// Returns the names of the properties that every event has.
fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Returns the type of the property's field in the `.proto` file.
fn wire_type(schema: &Value, property: &Value) -> &'static str {
    if property["x-wire"]["values"].is_object() {
        "an enum"
    } else if resolve(schema, property).is_some_and(|property| property["type"] == "integer") {
        "int32"
    } else {
        "string"
    }
}

fn enum_values(schema: &Value, property: &Value) -> Vec<Value> {
    let values = resolve(schema, property).and_then(|property| property["enum"].as_array());
    values.cloned().unwrap_or_default()
}

fn without_explanations(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| !EXPLANATORY.contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (key.clone(), without_explanations(value))).collect())
        }
        Value::Array(items) => items.iter().map(without_explanations).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A frozen file must not change, not even together with the event and everything that is generated from it.
    #[test]
    fn the_files_of_released_versions_never_change() {
        let files =
            fs::read_dir(root().unwrap().join("schema/released")).unwrap().map(|file| file.unwrap().path());
        let mut lines: Vec<String> = files
            .filter(|file| !file.ends_with("SHA256SUMS"))
            .map(|file| {
                let digest = Sha256::digest(fs::read(&file).unwrap());
                format!("{digest:x}  {}", file.file_name().unwrap().to_str().unwrap())
            })
            .collect();
        let digests = fs::read_to_string(root().unwrap().join(DIGESTS)).unwrap();
        let mut listed: Vec<&str> = digests.lines().collect();
        lines.sort();
        listed.sort_unstable();
        assert_eq!(lines, listed);
    }

    #[test]
    fn the_digest_of_a_new_version_is_added_and_that_of_a_released_one_is_kept() {
        let first = with_digest("", "v1.json", "one");
        let second = with_digest(&first, "v2.json", "two");
        assert_eq!(second.lines().count(), 2);
        assert!(second.starts_with(&first));
        assert_eq!(with_digest(&second, "v1.json", "changed"), second);
    }

    #[test]
    fn only_explanations_of_a_released_event_may_change() {
        let released = json!({ "properties": { "a": { "description": "x", "enum": ["b"], "x-since": 1 } } });
        let mut reworded = released.clone();
        reworded["properties"]["a"]["description"] = json!("y");
        assert_eq!(without_explanations(&released), without_explanations(&reworded));
        let mut extended = released.clone();
        extended["properties"]["a"]["enum"] = json!(["b", "c"]);
        assert_ne!(without_explanations(&released), without_explanations(&extended));
    }

    #[test]
    fn the_wire_stays_compatible_with_released_versions() {
        let released = json!({ "properties": {
            "a": { "enum": ["x", "y"], "x-wire": { "field": 1, "name": "a", "values": { "x": "X", "y": "Y" } } },
            "b": { "type": "string", "x-wire": { "field": 2, "name": "b" } },
            "required": { "type": "string", "x-since": 1, "x-wire": { "field": 4, "name": "required" } },
            "later": { "type": "string", "x-since": 2, "x-wire": { "field": 5, "name": "later" } },
        }, "required": ["required", "later"] });
        let conflicts = |change: &dyn Fn(&mut Value)| {
            let mut event = released.clone();
            change(&mut event["properties"]);
            // A removed property is not required either.
            let properties = event["properties"].clone();
            let required = event["required"].as_array_mut().unwrap();
            required.retain(|name| properties.get(name.as_str().unwrap()).is_some());
            wire_conflicts(&released, &event).len()
        };
        let compatible: [&dyn Fn(&mut Value); 4] = [
            &|event| event["c"] = json!({ "x-wire": { "field": 3, "name": "c" } }),
            &|event| event["a"]["enum"] = json!(["x", "y", "z"]),
            &|event| drop(event.as_object_mut().unwrap().remove("b")),
            &|event| drop(event.as_object_mut().unwrap().remove("later")),
        ];
        let incompatible: [&dyn Fn(&mut Value); 9] = [
            &|event| event["b"]["x-wire"]["field"] = json!(3),
            &|event| event["b"]["x-wire"]["minus"] = json!(["a"]),
            &|event| event["a"]["x-wire"]["values"]["x"] = json!("Z"),
            &|event| event["a"]["enum"] = json!(["x", "z", "y"]),
            &|event| {
                event.as_object_mut().unwrap().remove("b");
                event["c"] = json!({ "x-wire": { "field": 2, "name": "c" } });
            },
            &|event| event["b"]["x-wire"]["values"] = json!({ "x": "X" }),
            &|event| drop(event["a"]["x-wire"].as_object_mut().unwrap().remove("values")),
            &|event| event["b"]["type"] = json!("integer"),
            &|event| drop(event.as_object_mut().unwrap().remove("required")),
        ];
        assert!(compatible.iter().all(|change| conflicts(change) == 0));
        assert!(incompatible.iter().all(|change| conflicts(change) == 1));
        let mut optional = released.clone();
        optional["required"] = json!(["later"]);
        assert_eq!(wire_conflicts(&released, &optional).len(), 1);
    }
}
