//! Explains the unknown and missing keys of a map. Depends on `schema` and `hints`.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{ExplainedViolation, Violation};
use crate::config::hints::{self, UnknownKeyContext, quoted_list};
use crate::config::repair::{Form, IntendedProperty, Repair};
use crate::config::schema::{accepts, resolve};
use crate::config::stray_character::StrayCharacter;
use crate::diagnostic::{Code, Diagnostic, MAX_SHOWN, Target, display_key, suggest};

impl Violation<'_> {
    fn key_context(&self) -> UnknownKeyContext<'_> {
        UnknownKeyContext {
            schema: self.schema,
            config: self.value,
            pointer: &self.pointer,
            map_schema: self.map_schema(),
        }
    }

    /// Explains the unknown keys of the map, in one pass over it.
    pub(super) fn unknown_keys(&self, unknown: &[&str], explained: &mut Vec<ExplainedViolation>) {
        let cx = self.key_context();
        let unknown: HashSet<&str> = unknown.iter().copied().collect();
        let map = self.instance.as_object();
        // The latest key without a value, and the keys that are valid below it.
        let mut empty: Option<(&str, Vec<&str>)> = None;
        for (key, value) in map.into_iter().flatten() {
            if !unknown.contains(key.as_str()) {
                let names = if value.is_null() { cx.block_properties(key) } else { Vec::new() };
                empty = (!names.is_empty()).then_some((key.as_str(), names));
                continue;
            }
            let below = empty.as_ref().filter(|(_, names)| names.contains(&key.as_str()));
            let intended = if below.is_none() { cx.intended(key) } else { None };
            // A flag may have set a part of a map or a list.
            let is_set = |intended: &str| {
                let value = map.and_then(|map| map.get(intended));
                matches!(value, Some(Value::Bool(_) | Value::Number(_) | Value::String(_)))
            };
            let present = intended.filter(|intended| is_set(intended));
            let help = (explained.len() < MAX_SHOWN).then(|| match (below, present) {
                (Some((block, _)), _) => format!("`{block}` is empty: indent what belongs to it"),
                (None, Some(present)) => format!("remove it; `{present}` is set already"),
                (None, None) => cx.hint(key, intended),
            });
            let mut message = format!("unknown key `{}`", display_key(key));
            if let Some(found) = StrayCharacter::find(key) {
                message = format!("{message}; it contains {found}");
            }
            let mut diagnostic =
                Diagnostic::new(Code::UnknownKey, Target::Key(self.pointer.key(key)), message);
            diagnostic.help = help;
            explained.push(ExplainedViolation {
                diagnostic: Some(diagnostic),
                repair: Repair::Key {
                    map: self.pointer.clone(),
                    key: key.clone(),
                    intended: intended.map(|name| IntendedProperty {
                        name: name.to_owned(),
                        form: form(&cx, key, name, value),
                    }),
                },
            });
        }
    }

    /// Returns `None` if the map has a misspelling of the key, which is already reported as an unknown key.
    pub(super) fn missing_key(&self, key: &str) -> Option<Diagnostic> {
        let cx = self.key_context();
        let known: HashSet<&str> = hints::property_names(cx.map_schema).into_iter().collect();
        let mut keys = self.instance.as_object().into_iter().flat_map(Map::keys);
        if keys.any(|present| !known.contains(present.as_str()) && cx.intended(present) == Some(key)) {
            return None;
        }
        let mut diagnostic = self.at_value(Code::MissingKey, format!("`{key}` is missing"));
        diagnostic.help = self.is_shown.then(|| self.help_for_missing_key(key, cx.map_schema)).flatten();
        Some(diagnostic)
    }

    /// Explains that the instance, which belongs to a union of maps, has no `type`.
    pub(super) fn missing_type(&self) -> ExplainedViolation {
        let mut keys = self.instance.as_object().into_iter().flat_map(Map::keys);
        let Some(key) = keys.find(|key| suggest(key, ["type"]).is_some()) else {
            let repair = Repair::Replace(self.pointer.clone());
            return ExplainedViolation { diagnostic: self.missing_key("type"), repair };
        };
        let message = format!("unknown key `{}`", display_key(key));
        let diagnostic = Diagnostic::new(Code::UnknownKey, Target::Key(self.pointer.key(key)), message)
            .with_help("did you mean `type`?");
        let intended = Some(IntendedProperty { name: "type".to_owned(), form: Form::Same });
        let repair = Repair::Key { map: self.pointer.clone(), key: key.clone(), intended };
        ExplainedViolation { diagnostic: Some(diagnostic), repair }
    }

    fn help_for_missing_key(&self, key: &str, map_schema: Option<&Value>) -> Option<String> {
        let types = self.type_names();
        if key == "type" && !types.is_empty() {
            let is_version_1 = self.instance.get("directory").is_some_and(Value::is_string);
            let is_destination = matches!(self.key().as_str(), "storage" | "destination");
            if is_version_1 {
                let form = if is_destination {
                    "`type: directory` and `path: ...`"
                } else {
                    "`type: identity`, or another type, and `destination: {type: directory, path: ...}`"
                };
                return Some(format!("write {form}; `directory: <path>` is the form of version 1"));
            }
            if is_destination && self.instance.get("destination").is_some_and(Value::is_object) {
                return Some(format!("write the keys of `destination` directly under `{}`", self.key()));
            }
            return Some(match types.iter().find(|name| self.instance.get(name).is_some()) {
                Some(name) => format!("write `type: {name}`, and align the other keys with it"),
                None => format!("write `type: ...` with one of {}", quoted_list(&types)),
            });
        }
        if key == "destination" {
            return Some("write `destination: {type: directory, path: ...}`".to_owned());
        }
        let description = map_schema?["properties"][key]["description"].as_str()?;
        Some(format!("`{key}`: {}", clause(description)))
    }
}

/// Returns how the value of an unknown key becomes that of the property `intended`.
fn form(cx: &UnknownKeyContext<'_>, key: &str, intended: &str, value: &Value) -> Form {
    let schema = cx.map_schema.and_then(|map| resolve(cx.schema, &map["properties"][intended]));
    let is_map = schema.is_some_and(|schema| accepts(schema, "object"));
    match value {
        Value::Array(entries) if entries.len() == 1 && is_map => Form::ListOfOne,
        Value::Array(_) | Value::Null => Form::Same,
        _ if cx.list_of(key) == Some(intended) => Form::Entry,
        _ => Form::Same,
    }
}

/// Returns the first sentence of a description in the style of a message: lower case, without a full stop.
fn clause(description: &str) -> String {
    let first = description.split_once(". ").map_or(description, |(first, _)| first);
    let first = first.trim_end_matches('.');
    // An abbreviation keeps its capital letters.
    if first.chars().nth(1).is_some_and(char::is_uppercase) {
        return first.to_owned();
    }
    let mut letters = first.chars();
    letters
        .next()
        .map_or_else(String::new, |letter| letter.to_lowercase().collect::<String>() + letters.as_str())
}
