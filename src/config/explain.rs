//! Explains why a value is not of its type: every violation at once, by the embedded JSON Schema.
//! Depends on `schema`, `hints`, `diagnostic` and the jsonschema crate; used only after the serde types have refused.

use std::sync::LazyLock;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::{Map, Value, json};

use super::hints::{self, quoted};
use super::schema::{FormatVersion, branch_of, locate, resolve};
use super::v1::ConfigV1;
use super::{Config, strict};
use crate::diagnostic::{Code, Diagnostic, Target, display_key, suggest};
use crate::pointer::Pointer;

/// Whether the types accept a value, and if not, every way in which it violates the schema of its version.
///
/// # Errors
///
/// Every violation; nothing only if types and schema ever disagreed, which a property test holds they do not.
pub fn structure(version: FormatVersion, value: &Value) -> Result<(), Vec<Diagnostic>> {
    let is_accepted = match version {
        FormatVersion::V1 => strict::from_value::<ConfigV1>(value).is_ok(),
        FormatVersion::V2 => strict::from_value::<Config>(value).is_ok(),
    };
    if is_accepted { Ok(()) } else { Err(explain(version, value)) }
}

/// Every way in which a value violates the schema of a version.
pub(super) fn explain(version: FormatVersion, value: &Value) -> Vec<Diagnostic> {
    static V1: LazyLock<Option<Validator>> = LazyLock::new(|| compile(FormatVersion::V1.schema()));
    static V2: LazyLock<Option<Validator>> = LazyLock::new(|| compile(FormatVersion::V2.schema()));
    let validator = match version {
        FormatVersion::V1 => &V1,
        FormatVersion::V2 => &V2,
    };
    let Some(validator) = validator.as_ref() else { return Vec::new() };
    let schema = version.schema();
    let mut diagnostics = Vec::new();
    for error in validator.iter_errors(value) {
        let at = Pointer::from(error.instance_path().as_str());
        let explained = Violation { schema, value, at, instance: error.instance() };
        explained.report(error.kind(), &mut diagnostics);
    }
    diagnostics
}

/// None only for what is no schema. The embedded ones are generated, and a test compiles them.
fn compile(schema: &Value) -> Option<Validator> {
    jsonschema::options().build(&discriminate(schema, schema)).ok()
}

/// The same schema with every union as a chain of conditions: first which branch is meant, then what is wrong in it.
///
/// Of a plain `oneOf` or `anyOf` a validator can only say that no branch fits, with all that is wrong in all of them.
fn discriminate(root: &Value, schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let mut plain: Map<String, Value> =
                map.iter().map(|(key, value)| (key.clone(), discriminate(root, value))).collect();
            if let Some(Value::Array(branches)) = plain.shift_remove("oneOf") {
                plain.insert("allOf".to_owned(), by_tag(root, branches));
            }
            if let Some(Value::Array(branches)) = plain.shift_remove("anyOf") {
                plain.insert("allOf".to_owned(), json!([by_type(root, &branches)]));
            }
            Value::Object(plain)
        }
        Value::Array(items) => items.iter().map(|item| discriminate(root, item)).collect(),
        other => other.clone(),
    }
}

fn by_tag(root: &Value, branches: Vec<Value>) -> Value {
    let tag =
        |branch: &Value| resolve(root, branch).map(|branch| branch["properties"]["type"]["const"].clone());
    let tags: Vec<Value> = branches.iter().filter_map(tag).collect();
    let mut conditions = vec![json!({
        "type": "object",
        "required": ["type"],
        "properties": { "type": { "enum": tags } },
    })];
    for (tag, branch) in tags.into_iter().zip(branches) {
        conditions.push(json!({
            "if": { "type": "object", "required": ["type"], "properties": { "type": { "const": tag } } },
            "then": branch,
        }));
    }
    Value::Array(conditions)
}

/// `null` first, so that what is not null is explained by the branch that says what it should be.
fn by_type(root: &Value, branches: &[Value]) -> Value {
    let mut branches: Vec<&Value> = branches.iter().collect();
    branches.sort_by_key(|branch| branch["type"] != "null");
    let mut chain = Value::Bool(false);
    for (index, branch) in branches.iter().rev().enumerate() {
        let kind = resolve(root, branch).map(|branch| branch["type"].clone());
        chain = match (index, kind) {
            (0, _) | (_, None) => (*branch).clone(),
            (_, Some(kind)) => json!({ "if": { "type": kind }, "then": branch, "else": chain }),
        };
    }
    chain
}

struct Violation<'a> {
    schema: &'a Value,
    value: &'a Value,
    at: Pointer,
    instance: &'a Value,
}

impl Violation<'_> {
    fn report(&self, kind: &Kind, diagnostics: &mut Vec<Diagnostic>) {
        match kind {
            Kind::AdditionalProperties { unexpected } => {
                diagnostics.extend(unexpected.iter().map(|key| self.unknown_key(key)));
            }
            // A map without any property has no other word for an unknown key.
            Kind::FalseSchema => {
                let object = self.value.pointer(self.at.as_str()).and_then(Value::as_object);
                let keys = object.into_iter().flat_map(Map::keys);
                diagnostics.extend(keys.map(|key| self.unknown_key(key)));
            }
            Kind::Required { property } => {
                diagnostics.extend(self.missing_key(property.as_str().unwrap_or_default()));
            }
            Kind::Type { .. } => diagnostics.push(self.wrong_type()),
            // That it is no text is said already.
            Kind::Enum { .. } if self.property()["type"] == "string" && !self.instance.is_string() => {}
            Kind::Enum { options } => {
                diagnostics.push(self.unknown_value(options.as_array().map_or(&[], Vec::as_slice)));
            }
            Kind::Constant { expected_value } => {
                diagnostics.push(self.unknown_value(std::slice::from_ref(expected_value.as_ref())));
            }
            Kind::Minimum { .. } | Kind::Maximum { .. } => {
                let schema = self.property();
                let range = format!("a whole number from {} to {}", schema["minimum"], schema["maximum"]);
                diagnostics.push(self.at_value(Code::InvalidFormat, format!("expected {range}")));
            }
            Kind::Pattern { .. } => {
                diagnostics.push(self.at_value(Code::InvalidFormat, "not a duration".to_owned()).with_help(
                    "write a number and a unit without blanks between, such as `90s`, `20m` or `1h30m`",
                ));
            }
            other => diagnostics.push(
                self.at_value(Code::WrongType, format!("does not fit the schema's `{}`", other.keyword())),
            ),
        }
    }

    fn at_value(&self, code: Code, message: String) -> Diagnostic {
        Diagnostic::new(code, Target::Value(self.at.clone()), message)
    }

    /// The schema of the value in question, behind its references.
    fn property(&self) -> Value {
        let found = locate(self.schema, self.value, &self.at).and_then(|found| resolve(self.schema, found));
        found.cloned().unwrap_or_default()
    }

    /// The schema of the map in question, where it is clear which one is meant.
    fn object(&self) -> Option<&Value> {
        branch_of(self.schema, self.value, &self.at)
    }

    fn key(&self) -> String {
        self.at.last().unwrap_or_default().into_owned()
    }

    fn is_item(&self) -> bool {
        self.at.parent().and_then(|parent| self.value.pointer(parent.as_str())).is_some_and(Value::is_array)
    }

    fn unknown_key(&self, key: &str) -> Diagnostic {
        let tag = self.value.pointer(self.at.as_str()).and_then(|map| map.get("type")?.as_str());
        let help = hints::for_key(self.schema, self.value, &self.at, self.object(), tag, key);
        let message = format!("unknown key `{}`", display_key(key));
        Diagnostic::new(Code::UnknownKey, Target::Key(self.at.key(key)), message).with_help(help)
    }

    /// Nothing where the key is there, but mistyped: that is said already.
    fn missing_key(&self, key: &str) -> Option<Diagnostic> {
        let object = self.object();
        let known = hints::names(object);
        let mut unknown = self.instance.as_object().into_iter().flat_map(Map::keys);
        if unknown.any(|there| {
            !known.contains(&there.as_str()) && suggest(there, known.iter().copied()) == Some(key)
        }) {
            return None;
        }
        let diagnostic = self.at_value(Code::MissingKey, format!("`{key}` is missing"));
        let types = self.tags();
        if key == "type" && !types.is_empty() {
            let is_version_1 = self.instance.get("directory").is_some_and(Value::is_string);
            return Some(diagnostic.with_help(if is_version_1 {
                "version 2 writes it as `type: directory` and `path: ...`".to_owned()
            } else {
                format!("write `type:` and one of {}", quoted(&types))
            }));
        }
        if key == "destination" {
            return Some(diagnostic.with_help("write `destination: {type: directory, path: ...}`"));
        }
        let description = object.and_then(|object| object["properties"][key]["description"].as_str());
        Some(match description {
            Some(description) => diagnostic.with_help(format!("`{key}`: {}", clause(description))),
            None => diagnostic,
        })
    }

    /// The values of `type` that a union of maps has.
    fn tags(&self) -> Vec<&str> {
        let union = locate(self.schema, self.value, &self.at).and_then(|union| resolve(self.schema, union));
        let branches = union.and_then(|union| union["oneOf"].as_array());
        let branches = branches.into_iter().flatten().filter_map(|branch| resolve(self.schema, branch));
        branches.filter_map(|branch| branch["properties"]["type"]["const"].as_str()).collect()
    }

    fn wrong_type(&self) -> Diagnostic {
        let schema = self.property();
        let message = format!("expected {}, found {}", wanted(&schema), found(self.instance));
        let diagnostic = self.at_value(Code::WrongType, message);
        match self.help_for_type(&schema) {
            Some(help) => diagnostic.with_help(help),
            None => diagnostic,
        }
    }

    fn help_for_type(&self, schema: &Value) -> Option<String> {
        let key = self.key();
        let is = |name: &str| {
            (name == "object" && schema["oneOf"].is_array())
                || schema["type"] == name
                || schema["type"].as_array().is_some_and(|types| types.contains(&json!(name)))
        };
        let options: Vec<&str> =
            schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let help = match self.instance {
            _ if !options.is_empty() => format!("one of {}", quoted(&options)),
            Value::String(text) if is("boolean") => match bool_word(text) {
                Some(meant) => format!("write `{meant}`: this word is a text in YAML 1.2"),
                None => "write `true` or `false`, without quotes".to_owned(),
            },
            Value::String(_) if is("integer") => "write the number without quotes".to_owned(),
            Value::Number(_) if schema["pattern"].is_string() => {
                "write a number and a unit, such as `90s`, `20m` or `1h30m`".to_owned()
            }
            Value::Number(_) | Value::Bool(_) if is("string") => "write it in quotes".to_owned(),
            Value::Array(_) if is("string") => "write one text, not a list".to_owned(),
            Value::String(_) | Value::Null
                if is("object") && matches!(key.as_str(), "destination" | "storage") =>
            {
                format!("write `{key}: {{type: directory, path: ...}}`")
            }
            Value::String(text) if is("object") => match self.tags().as_slice() {
                [] => format!("write a map, with {}", quoted(&hints::names(Some(schema)))),
                tags if tags.contains(&text.as_str()) => format!("write `type: {text}`"),
                _ => "write a map that begins with `type: ...`".to_owned(),
            },
            Value::Array(_) if is("object") => "write `key: value` lines, without `- `".to_owned(),
            Value::Object(_) if is("array") => "write a list: begin each entry with `- `".to_owned(),
            Value::String(_) | Value::Number(_) | Value::Bool(_) if is("array") => {
                "write a list: `[...]`, or one line with `- ` for each entry".to_owned()
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
            Value::String(text) => format!("`{}`", display_key(text)),
            other => found(other).to_owned(),
        };
        let message = match self.instance {
            Value::Null => format!("`{key}` has no value"),
            _ if self.is_item() => format!("{written} is not known here"),
            _ => format!("{written} is no value of `{key}`"),
        };
        let help = hints::for_value(&key, self.instance.as_str(), &options);
        self.at_value(Code::UnknownValue, message).with_help(help)
    }
}

/// What a word for yes or no stands for that is none in YAML 1.2.
fn bool_word(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "on" => Some(true),
        "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// What a schema wants, for people.
fn wanted(schema: &Value) -> String {
    let one = |name: &str| match name {
        "object" => "a map",
        "array" => "a list",
        "string" if schema["pattern"].is_string() => "a duration",
        "string" => "a text",
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        "number" => "a number",
        _ => "nothing",
    };
    match &schema["type"] {
        Value::String(name) => one(name).to_owned(),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.map(one).collect::<Vec<_>>().join(" or ")
        }
        _ => "a map".to_owned(),
    }
}

const fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// A description's first sentence, in a message's style.
fn clause(description: &str) -> String {
    let first = description.split_once(". ").map_or(description, |(first, _)| first);
    let first = first.trim_end_matches('.');
    // An abbreviation keeps its capitals.
    if first.chars().nth(1).is_some_and(char::is_uppercase) {
        return first.to_owned();
    }
    let mut letters = first.chars();
    letters
        .next()
        .map_or_else(String::new, |letter| letter.to_lowercase().collect::<String>() + letters.as_str())
}
