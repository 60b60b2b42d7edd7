//! Describes a value of the wrong type: what is expected instead, and how to write it. Depends on `schema` and `hints`.

use serde_json::Value;

use super::{Violation, type_names};
use crate::config::hints::{self, quoted_list};
use crate::config::join_uri;
use crate::config::scalar::Sensitivity;
use crate::config::schema::{accepts, class_of, locate};
use crate::diagnostic::{Code, Diagnostic};

impl Violation<'_> {
    pub(super) fn wrong_type(&self) -> Diagnostic {
        let schema = self.instance_schema();
        let message =
            format!("expected {}, found {}", self.expected_type(schema), describe_value(self.instance));
        let mut diagnostic = self.at_value(Code::WrongType, message);
        diagnostic.help = self.is_shown.then(|| self.help_for_wrong_type(schema)).flatten();
        diagnostic
    }

    fn expected_type(&self, schema: &Value) -> String {
        let located = locate(self.schema, self.value, &self.pointer);
        match located.and_then(|located| Some((located.get("else")?, located.get("then")?))) {
            Some((otherwise, alternative)) => {
                format!("{} or {}", describe_type(otherwise), describe_type(alternative))
            }
            None => describe_type(schema),
        }
    }

    /// Returns an example of the property. For an address, it contains the number that the user has written, if that is a port. Quoting
    /// the number or the boolean itself would only lead to another error.
    fn example(&self) -> Option<String> {
        let property = locate(self.schema, self.value, &self.pointer)?;
        if class_of(self.schema, property) == Some(Sensitivity::Secret) {
            return None;
        }
        let own = property.get("examples").and_then(|examples| examples.get(0));
        // The example of a list contains one of its items.
        let list = self.pointer.parent().and_then(|parent| locate(self.schema, self.value, &parent));
        let item = || list.filter(|_| self.is_item())?.get("examples")?.get(0)?.get(0);
        let example = own.or_else(item)?.as_str()?;
        let port = self.instance.as_u64().filter(|port| (1..=65_535).contains(port));
        let Some((port, (host, old_port))) = port.zip(example.rsplit_once(':')) else {
            return Some(example.to_owned());
        };
        let has_port = old_port.bytes().all(|byte| byte.is_ascii_digit());
        Some(if has_port { format!("{host}:{port}") } else { example.to_owned() })
    }

    pub(super) fn help_for_duration(&self) -> &'static str {
        if self.instance.as_str().is_some_and(|written| written.ends_with(['d', 'w', 'y'])) {
            return "write hours, such as `24h`; there is no longer unit";
        }
        "write a number and a unit without a space, such as `90s`, `20m` or `1h30m`"
    }

    fn help_for_wrong_type(&self, schema: &Value) -> Option<String> {
        let key = self.key();
        let accepts = |name: &str| accepts(schema, name);
        let options = hints::words(schema["enum"].as_array().map_or(&[], Vec::as_slice));
        let help = match self.instance {
            _ if !options.is_empty() => hints::one_of(&options),
            Value::String(string) if accepts("boolean") => match yaml_1_1_bool(string) {
                Some(meant) => format!("write `{meant}`; in YAML 1.2 this word is a string"),
                None => "write `true` or `false`, without quotes".to_owned(),
            },
            Value::String(_) if accepts("integer") => "write the number without quotes".to_owned(),
            Value::Number(_) | Value::Bool(_) if schema["pattern"].is_string() => {
                "write a number and a unit, such as `90s`, `20m` or `1h30m`".to_owned()
            }
            Value::Number(_) | Value::Bool(_) if accepts("string") => match self.example() {
                None if self.pointer.as_str() == "/join_uri" => join_uri::EXPECTED_FORM.to_owned(),
                Some(example) => format!("write a value such as `{example}`"),
                None => "write it in quotes".to_owned(),
            },
            Value::Array(_) if accepts("string") => "write a single string, not a list".to_owned(),
            written @ (Value::String(_) | Value::Null)
                if accepts("object") && matches!(key.as_str(), "destination" | "storage") =>
            {
                let is_version_1 = schema["properties"]["directory"].is_object();
                let form = match (written.as_str() == Some("memory"), is_version_1) {
                    (false, false) => "type: directory, path: ...",
                    (false, true) => "directory: ...",
                    (true, false) => "type: memory",
                    (true, true) => "memory: true",
                };
                format!("write `{key}: {{{form}}}`")
            }
            Value::String(string) if accepts("object") => match self.type_names().as_slice() {
                [] if schema["additionalProperties"]["type"] == "array" => {
                    "write `{key: [value]}`".to_owned()
                }
                [] if hints::property_names(Some(schema)).is_empty() => "write `{key: value}`".to_owned(),
                [] => {
                    format!("write a map; valid keys: {}", quoted_list(&hints::property_names(Some(schema))))
                }
                types if types.contains(&string.as_str()) => format!("write `type: {string}`"),
                _ => "write a map that begins with `type: ...`".to_owned(),
            },
            Value::Array(_) if accepts("object") => "write `key: value` lines, without `- `".to_owned(),
            Value::Object(_) if accepts("array") && self.is_single_entry() => {
                "write `- ` before the first key and align the others with it, or write `[{...}]`".to_owned()
            }
            Value::Object(map) if accepts("array") => {
                let types = type_names(self.schema, &schema["items"]);
                match map.keys().find(|key| types.contains(&key.as_str())) {
                    Some(name) => format!("write `- type: {name}` instead of `{name}:`"),
                    None => "write a list, with `- ` before each entry".to_owned(),
                }
            }
            Value::String(_) | Value::Number(_) | Value::Bool(_) if accepts("array") => {
                "write a list: `[...]`, or one line with `- ` per entry".to_owned()
            }
            Value::Null if self.is_item() => "write a value, or remove the entry".to_owned(),
            Value::Null => "write a value".to_owned(),
            _ => return None,
        };
        Some(help)
    }
}

/// Returns the meaning of a word that is a boolean in YAML 1.1 but a string in YAML 1.2.
fn yaml_1_1_bool(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "y" | "yes" | "on" => Some(true),
        "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Describes the type that a schema accepts, for a message.
pub(super) fn describe_type(schema: &Value) -> String {
    let describe = |name: &str| match name {
        "object" => "a map",
        "array" => "a list",
        "string" if schema["pattern"].is_string() => "a duration",
        "string" => "a string",
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        "number" => "a number",
        _ => "nothing",
    };
    match &schema["type"] {
        Value::String(name) => describe(name).to_owned(),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.map(describe).collect::<Vec<_>>().join(" or ")
        }
        _ => "a map".to_owned(),
    }
}

/// Describes the type of a value, for a message.
pub(super) const fn describe_value(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
