//! The released versions of the event, frozen under `schema/released/`. A change of the event requires a new
//! version.

use std::fs;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::generated::{GeneratedFile, pretty_json};
use crate::workspace::root;

/// Keywords that only explain a schema. They may change in a released version.
const EXPLANATORY: [&str; 6] =
    ["description", "enumDescriptions", "examples", "title", "x-reason", "x-sensitivity"];

/// Returns the file that freezes the current version of the event, or `None` if that version is already frozen.
///
/// # Errors
///
/// Returns an error if the file of an earlier version is missing, or if the current version is frozen with other content.
/// Explanations may change after a release; what is collected may not.
pub(crate) fn freeze(event: &Value) -> Result<Option<GeneratedFile>> {
    let current = event["x-version"].as_u64().context("the event schema has no x-version")?;
    for version in 1..=current {
        let path = path(version);
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            if version == current {
                return Ok(Some(GeneratedFile { path, content: pretty_json(event)? }));
            }
            bail!("{path} is missing; restore it: the schema of a released event version must be kept");
        };
        let frozen: Value =
            serde_json::from_str(&text).with_context(|| format!("{path} is not valid JSON"))?;
        if frozen["x-version"] != version {
            bail!("{path} has the x-version {}, expected {version}", frozen["x-version"]);
        }
        if version == current && without_explanations(&frozen) != without_explanations(event) {
            bail!(
                "the event differs from its released version {version} ({path}): increment EVENT_VERSION in \
                 src/event/declaration.rs, set `x-since` of new properties to it, and run `cargo xtask schema`"
            );
        }
    }
    Ok(None)
}

fn path(version: u64) -> String {
    format!("schema/released/tbot.start.v{version}.schema.json")
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
}
