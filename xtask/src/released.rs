//! The released versions of the event: frozen under schema/released/. What an event holds changes only with its version.

use std::fs;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::generate::{Generated, pretty, root};

/// The file that freezes the event's present version, where there is none yet.
///
/// Fails where a released version is missing, or where the present version is released and says something else: words may
/// be mended, what is collected may not.
pub(crate) fn freeze(event: &Value) -> Result<Option<Generated>> {
    let version = event["x-version"].as_u64().context("the event's schema has no x-version")?;
    for released in 1..=version {
        let path = path(released);
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            if released == version {
                return Ok(Some(Generated { path, content: pretty(event)? }));
            }
            bail!("{path} is missing: a released version of the event stays");
        };
        let frozen: Value = serde_json::from_str(&text).with_context(|| format!("{path} is no JSON"))?;
        if frozen["x-version"] != released {
            bail!("{path} says that it is version {}", frozen["x-version"]);
        }
        if released == version && substance(&frozen) != substance(event) {
            bail!(
                "the event differs from its released version {version} ({path}): \
                 raise EVENT_VERSION in src/event/declaration.rs, give what is new that `x-since`, \
                 and run `cargo xtask schema`"
            );
        }
    }
    Ok(None)
}

fn path(version: u64) -> String {
    format!("schema/released/tbot.start.v{version}.schema.json")
}

/// A schema without the words that explain it.
fn substance(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let words = ["description", "enumDescriptions", "examples", "title", "x-reason", "x-sensitivity"];
            let substantial = map.iter().filter(|(key, _)| !words.contains(&key.as_str()));
            Value::Object(substantial.map(|(key, value)| (key.clone(), substance(value))).collect())
        }
        Value::Array(items) => items.iter().map(substance).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_may_be_mended_and_nothing_else() {
        let schema = json!({ "properties": { "a": { "description": "x", "enum": ["b"], "x-since": 1 } } });
        let mut mended = schema.clone();
        mended["properties"]["a"]["description"] = json!("y");
        assert_eq!(substance(&schema), substance(&mended));
        let mut changed = schema.clone();
        changed["properties"]["a"]["enum"] = json!(["b", "c"]);
        assert_ne!(substance(&schema), substance(&changed));
    }
}
