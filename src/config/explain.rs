//! Explains why a value does not have the structure of its type: a diagnostic for each violation of the JSON Schema.
//! Depends on `validator`, `schema`, `hints` and `diagnostic`. Used only after the serde types have rejected a value.

use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value, json};

use super::hints::{self, quoted_list};
use super::schema::{FormatVersion, locate, locate_branch, resolve, union_branches};
use super::strict;
use super::v1::ConfigV1;
use super::v2::Config;
use super::validator::validator;
use crate::diagnostic::{Code, Diagnostic, Target, display_key, suggest};
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
    if is_accepted { Ok(()) } else { Err(explain(version, value)) }
}

/// Returns a diagnostic for each violation of the schema of a format version.
pub(super) fn explain(version: FormatVersion, value: &Value) -> Vec<Diagnostic> {
    let Some(validator) = validator(version) else { return Vec::new() };
    let schema = version.schema();
    let mut diagnostics = Vec::new();
    for error in validator.iter_errors(value) {
        let pointer = Pointer::from(error.instance_path().as_str());
        let violation = Violation { schema, value, pointer, instance: error.instance() };
        violation.report(error.kind(), &mut diagnostics);
    }
    diagnostics
}

/// A violation of the schema. `instance` is the part of `value` that violates it, and `pointer` points to that part.
struct Violation<'a> {
    schema: &'a Value,
    value: &'a Value,
    pointer: Pointer,
    instance: &'a Value,
}

impl Violation<'_> {
    fn report(&self, kind: &ValidationErrorKind, diagnostics: &mut Vec<Diagnostic>) {
        match kind {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                diagnostics.extend(unexpected.iter().map(|key| self.unknown_key(key)));
            }
            // The validator reports an unknown key in this way if the map has no properties at all.
            ValidationErrorKind::FalseSchema => {
                let object = self.value.pointer(self.pointer.as_str()).and_then(Value::as_object);
                let keys = object.into_iter().flat_map(Map::keys);
                diagnostics.extend(keys.map(|key| self.unknown_key(key)));
            }
            ValidationErrorKind::Required { property } => {
                diagnostics.extend(self.missing_key(property.as_str().unwrap_or_default()));
            }
            ValidationErrorKind::Type { .. } => diagnostics.push(self.wrong_type()),
            // A value that is not a string is already reported as a wrong type.
            ValidationErrorKind::Enum { .. }
                if accepts(&self.instance_schema(), "string") && !self.instance.is_string() => {}
            ValidationErrorKind::Enum { options } => {
                diagnostics.push(self.unknown_value(options.as_array().map_or(&[], Vec::as_slice)));
            }
            ValidationErrorKind::Constant { expected_value } => {
                diagnostics.push(self.unknown_value(std::slice::from_ref(expected_value.as_ref())));
            }
            ValidationErrorKind::Minimum { .. } | ValidationErrorKind::Maximum { .. } => {
                let schema = self.instance_schema();
                let range = format!("a whole number from {} to {}", schema["minimum"], schema["maximum"]);
                diagnostics.push(self.at_value(Code::InvalidFormat, format!("expected {range}")));
            }
            ValidationErrorKind::Pattern { .. } => {
                diagnostics.push(
                    self.at_value(Code::InvalidFormat, "not a valid duration".to_owned()).with_help(
                        "write a number and a unit without a space, such as `90s`, `20m` or `1h30m`",
                    ),
                );
            }
            other => diagnostics.push(self.at_value(
                Code::WrongType,
                format!("violates the keyword `{}` of the JSON Schema", other.keyword()),
            )),
        }
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

    fn unknown_key(&self, key: &str) -> Diagnostic {
        let type_name = self.value.pointer(self.pointer.as_str()).and_then(|map| map.get("type")?.as_str());
        let help =
            hints::for_unknown_key(self.schema, self.value, &self.pointer, self.map_schema(), type_name, key);
        let message = format!("unknown key `{}`", display_key(key));
        Diagnostic::new(Code::UnknownKey, Target::Key(self.pointer.key(key)), message).with_help(help)
    }

    /// Returns `None` if the map has a misspelling of the key, which is already reported as an unknown key.
    fn missing_key(&self, key: &str) -> Option<Diagnostic> {
        let map_schema = self.map_schema();
        let known = hints::property_names(map_schema);
        let mut keys = self.instance.as_object().into_iter().flat_map(Map::keys);
        if keys.any(|present| {
            !known.contains(&present.as_str()) && suggest(present, known.iter().copied()) == Some(key)
        }) {
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
            Value::Number(_) if schema["pattern"].is_string() => {
                "write a number and a unit, such as `90s`, `20m` or `1h30m`".to_owned()
            }
            Value::Number(_) | Value::Bool(_) if accepts("string") => "write it in quotes".to_owned(),
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
            Value::String(string) => format!("`{}`", display_key(string)),
            other => describe_value(other).to_owned(),
        };
        let message = match self.instance {
            Value::Null => format!("`{key}` has no value"),
            _ if self.is_item() => format!("{written} is not a valid entry"),
            _ => format!("{written} is not a valid `{key}`"),
        };
        let help = hints::for_unknown_value(&key, self.instance.as_str(), &options);
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
