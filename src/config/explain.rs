//! Explains why a value does not have the structure of its type: a diagnostic for each violation of the JSON Schema.
//! Depends on `validator`, `schema`, `hints` and `diagnostic`. Used only after the serde types have rejected a value.

use std::collections::HashSet;

use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value, json};

use super::hints::{self, UnknownKeyContext, quoted_list};
use super::repair::Repair;
use super::scalar::Sensitivity;
use super::schema::{FormatVersion, class_of, is_union, locate, locate_branch, resolve, union_branches};
use super::v1::ConfigV1;
use super::v2::Config;
use super::validator::validator;
use super::{join_uri, strict, vocabulary};
use crate::diagnostic::{Code, Diagnostic, Target, display_key};
use crate::pointer::Pointer;

/// Checks that a value has the structure that the types of a format version require.
///
/// # Errors
///
/// Returns every violation of the JSON Schema if the types reject the value. The list would be empty only if the types
/// and the schema disagreed, which a property test rules out.
pub fn check_structure(version: FormatVersion, value: &Value) -> Result<(), Vec<Diagnostic>> {
    let is_accepted = match version {
        FormatVersion::V1 => strict::from_value::<ConfigV1>(value).is_ok(),
        FormatVersion::V2 => strict::from_value::<Config>(value).is_ok(),
    };
    if is_accepted {
        return Ok(());
    }
    Err(explain(version, value).into_iter().filter_map(|violation| violation.diagnostic).collect())
}

/// A violation of the schema, and what makes the value fit.
pub(super) struct ExplainedViolation {
    /// `None` if another diagnostic already explains it.
    pub(super) diagnostic: Option<Diagnostic>,
    pub(super) repair: Repair,
}

/// Explains each violation of the schema of a format version.
pub(super) fn explain(version: FormatVersion, value: &Value) -> Vec<ExplainedViolation> {
    let Some(validator) = validator(version) else { return Vec::new() };
    let schema = version.schema();
    let mut explained = Vec::new();
    for error in validator.iter_errors(value) {
        let pointer = Pointer::from(error.instance_path().as_str());
        let violation = Violation { schema, value, pointer, instance: error.instance() };
        violation.explain(error.kind(), &mut explained);
    }
    explained
}

/// A violation of the schema. `instance` is the part of `value` that violates it, and `pointer` points to that part.
struct Violation<'a> {
    schema: &'a Value,
    value: &'a Value,
    pointer: Pointer,
    instance: &'a Value,
}

impl Violation<'_> {
    fn explain(&self, kind: &ValidationErrorKind, explained: &mut Vec<ExplainedViolation>) {
        match kind {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let unexpected: HashSet<&str> = unexpected.iter().map(String::as_str).collect();
                self.unknown_keys(|key| unexpected.contains(key), explained);
            }
            // The validator reports an unknown key in this way if the map has no properties at all.
            ValidationErrorKind::FalseSchema => self.unknown_keys(|_| true, explained),
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                let is_type = key == "type" && !self.type_names().is_empty();
                let repair = match is_type {
                    true => Repair::Replace(self.pointer.clone()),
                    false => Repair::Add { map: self.pointer.clone(), key: key.to_owned() },
                };
                explained.push(ExplainedViolation { diagnostic: self.missing_key(key), repair });
            }
            kind => explained.push(ExplainedViolation {
                diagnostic: self.invalid_value(kind),
                repair: Repair::Replace(self.replaceable()),
            }),
        }
    }

    /// Returns the pointer of the smallest part that can be replaced. Without its `type`, nothing is known about a map of a
    /// union.
    fn replaceable(&self) -> Pointer {
        let parent = self.pointer.parent().filter(|_| self.pointer.last().as_deref() == Some("type"));
        let is_of_union = |parent: &Pointer| {
            let union = locate(self.schema, self.value, parent).and_then(|union| resolve(self.schema, union));
            union.is_some_and(is_union)
        };
        parent.filter(is_of_union).unwrap_or_else(|| self.pointer.clone())
    }

    /// Returns `None` if another violation of the same value already explains it.
    fn invalid_value(&self, kind: &ValidationErrorKind) -> Option<Diagnostic> {
        Some(match kind {
            ValidationErrorKind::Type { .. } => self.wrong_type(),
            // A value that is not a string is already reported as a wrong type.
            ValidationErrorKind::Enum { .. }
                if accepts(&self.instance_schema(), "string") && !self.instance.is_string() =>
            {
                return None;
            }
            ValidationErrorKind::Enum { options } => {
                self.unknown_value(options.as_array().map_or(&[], Vec::as_slice))
            }
            ValidationErrorKind::Constant { expected_value } => {
                self.unknown_value(std::slice::from_ref(expected_value.as_ref()))
            }
            ValidationErrorKind::Minimum { .. } | ValidationErrorKind::Maximum { .. } => {
                let schema = self.instance_schema();
                let range = format!("a whole number from {} to {}", schema["minimum"], schema["maximum"]);
                self.at_value(Code::InvalidFormat, format!("expected {range}"))
            }
            ValidationErrorKind::Pattern { .. } => self
                .at_value(Code::InvalidFormat, "not a valid duration".to_owned())
                .with_help("write a number and a unit without a space, such as `90s`, `20m` or `1h30m`"),
            other => self.at_value(
                Code::WrongType,
                format!("violates the keyword `{}` of the JSON Schema", other.keyword()),
            ),
        })
    }

    fn at_value(&self, code: Code, message: String) -> Diagnostic {
        Diagnostic::new(code, Target::Value(self.pointer.clone()), message)
    }

    /// Returns the schema of the instance, with references resolved.
    fn instance_schema(&self) -> Value {
        let schema = || resolve(self.schema, locate(self.schema, self.value, &self.pointer)?);
        locate_branch(self.schema, self.value, &self.pointer).or_else(schema).cloned().unwrap_or_default()
    }

    /// Returns the schema of the instance, which must be a map. In a union, this is the branch that the instance's `type`
    /// selects, or `None` if the `type` is unknown.
    fn map_schema(&self) -> Option<&Value> {
        locate_branch(self.schema, self.value, &self.pointer)
    }

    fn key(&self) -> String {
        self.pointer.last().unwrap_or_default().into_owned()
    }

    fn is_item(&self) -> bool {
        self.pointer
            .parent()
            .and_then(|parent| self.value.pointer(parent.as_str()))
            .is_some_and(Value::is_array)
    }

    fn key_context(&self) -> UnknownKeyContext<'_> {
        UnknownKeyContext {
            schema: self.schema,
            config: self.value,
            pointer: &self.pointer,
            map_schema: self.map_schema(),
        }
    }

    /// Explains the unknown keys of the map, in one pass over it.
    fn unknown_keys(&self, is_unknown: impl Fn(&str) -> bool, explained: &mut Vec<ExplainedViolation>) {
        let cx = self.key_context();
        let map = self.value.pointer(self.pointer.as_str()).and_then(Value::as_object);
        // The latest key without a value, and the keys that are valid below it.
        let mut empty: Option<(&str, Vec<&str>)> = None;
        for (key, value) in map.into_iter().flatten() {
            if !is_unknown(key) {
                let block = cx.map_schema.and_then(|schema| schema["properties"].get(key.as_str()));
                let block = block.map(|block| hints::block_properties(self.schema, block));
                empty = block
                    .filter(|names| value.is_null() && !names.is_empty())
                    .map(|names| (key.as_str(), names));
                continue;
            }
            let below = empty.as_ref().filter(|(_, names)| names.contains(&key.as_str()));
            let (help, meant) = match below {
                Some((block, _)) => (format!("`{block}` is empty: indent what belongs to it"), None),
                None => (cx.hint(key), cx.meant(key)),
            };
            let message = format!("unknown key `{}`", display_key(key));
            let target = Target::Key(self.pointer.key(key));
            explained.push(ExplainedViolation {
                diagnostic: Some(Diagnostic::new(Code::UnknownKey, target, message).with_help(help)),
                repair: Repair::Key {
                    map: self.pointer.clone(),
                    key: key.clone(),
                    meant: meant.map(str::to_owned),
                },
            });
        }
    }

    /// Returns `None` if the map has a misspelling of the key, which is already reported as an unknown key.
    fn missing_key(&self, key: &str) -> Option<Diagnostic> {
        let map_schema = self.map_schema();
        let known = hints::property_names(map_schema);
        let cx = self.key_context();
        let mut keys = self.instance.as_object().into_iter().flat_map(Map::keys);
        if keys.any(|present| !known.contains(&present.as_str()) && cx.meant(present) == Some(key)) {
            return None;
        }
        let diagnostic = self.at_value(Code::MissingKey, format!("`{key}` is missing"));
        let types = self.type_names();
        if key == "type" && !types.is_empty() {
            let is_version_1 = self.instance.get("directory").is_some_and(Value::is_string);
            return Some(diagnostic.with_help(if is_version_1 {
                "write `type: directory` and `path: ...`; `directory: <path>` is the form of version 1"
                    .to_owned()
            } else {
                format!("write `type: ...` with one of {}", quoted_list(&types))
            }));
        }
        if key == "destination" {
            return Some(diagnostic.with_help("write `destination: {type: directory, path: ...}`"));
        }
        let description = map_schema.and_then(|schema| schema["properties"][key]["description"].as_str());
        Some(match description {
            Some(description) => diagnostic.with_help(format!("`{key}`: {}", clause(description))),
            None => diagnostic,
        })
    }

    /// Returns the valid values of `type` if the instance belongs to a union of maps.
    fn type_names(&self) -> Vec<&str> {
        let union =
            locate(self.schema, self.value, &self.pointer).and_then(|union| resolve(self.schema, union));
        union.into_iter().flat_map(|union| union_branches(self.schema, union)).map(|(name, _)| name).collect()
    }

    fn wrong_type(&self) -> Diagnostic {
        let schema = self.instance_schema();
        let message =
            format!("expected {}, found {}", self.expected_type(&schema), describe_value(self.instance));
        let diagnostic = self.at_value(Code::WrongType, message);
        match self.help_for_wrong_type(&schema) {
            Some(help) => diagnostic.with_help(help),
            None => diagnostic,
        }
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

    /// Returns an example of the property, with the port that the user has written, if that is one. A number or a boolean in
    /// place of an address or a path is not what is meant, and would only be reported again if it were quoted.
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

    fn help_for_wrong_type(&self, schema: &Value) -> Option<String> {
        let key = self.key();
        let accepts = |name: &str| accepts(schema, name);
        let options: Vec<&str> =
            schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
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
            Value::String(_) | Value::Null
                if accepts("object") && matches!(key.as_str(), "destination" | "storage") =>
            {
                format!("write `{key}: {{type: directory, path: ...}}`")
            }
            Value::String(string) if accepts("object") => match self.type_names().as_slice() {
                [] => {
                    format!("write a map; valid keys: {}", quoted_list(&hints::property_names(Some(schema))))
                }
                types if types.contains(&string.as_str()) => format!("write `type: {string}`"),
                _ => "write a map that begins with `type: ...`".to_owned(),
            },
            Value::Array(_) if accepts("object") => "write `key: value` lines, without `- `".to_owned(),
            Value::Object(_) if accepts("array") => "write a list, with `- ` before each entry".to_owned(),
            Value::String(_) | Value::Number(_) | Value::Bool(_) if accepts("array") => {
                "write a list: `[...]`, or one line with `- ` per entry".to_owned()
            }
            Value::Null if self.is_item() => "write a value, or remove the entry".to_owned(),
            Value::Null => "write a value".to_owned(),
            _ => return None,
        };
        Some(help)
    }

    fn unknown_value(&self, options: &[Value]) -> Diagnostic {
        let options: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
        let key = self.key();
        let written = match self.instance {
            // The string may be a secret in the wrong place.
            Value::String(string)
                if vocabulary::is_harmless(Sensitivity::Category, Some(&options), string) =>
            {
                format!("`{}`", display_key(string))
            }
            Value::String(_) => String::new(),
            other => describe_value(other).to_owned(),
        };
        let message = match self.instance {
            Value::Null => format!("`{key}` has no value"),
            _ if written.is_empty() && self.is_item() => "not a valid entry".to_owned(),
            _ if written.is_empty() => format!("not a valid `{key}`"),
            _ if self.is_item() => format!("{written} is not a valid entry"),
            _ => format!("{written} is not a valid `{key}`"),
        };
        let help = hints::for_unknown_value(&self.pointer, self.instance.as_str(), &options);
        self.at_value(Code::UnknownValue, message).with_help(help)
    }
}

/// Returns true if a schema accepts values of a JSON type.
fn accepts(schema: &Value, name: &str) -> bool {
    schema["type"] == name || schema["type"].as_array().is_some_and(|types| types.contains(&json!(name)))
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
fn describe_type(schema: &Value) -> String {
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
const fn describe_value(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
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
