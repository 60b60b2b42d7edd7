//! Explains why a value is not of its type: every violation at once, by the embedded JSON Schema.
//! Depends on `schema`, `diagnostic` and the jsonschema crate; used only after the serde types have refused.

use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::{Map, Value, json};

use super::schema::{locate, resolve};
use crate::diagnostic::{Code, Diagnostic, Place, display_key, suggest};
use crate::pointer::Pointer;

/// Every way in which a value violates a schema.
pub(super) fn explain(schema: &Value, value: &Value) -> Vec<Diagnostic> {
    let validator = match jsonschema::options().build(&discriminate(schema, schema)) {
        Ok(validator) => validator,
        // The embedded schema is generated, and a test compiles it.
        Err(_) => return Vec::new(),
    };
    let mut diagnostics = Vec::new();
    for error in validator.iter_errors(value) {
        let at = Pointer::from(error.instance_path().as_str());
        let explained = Violation { schema, value, at, instance: error.instance() };
        explained.report(error.kind(), &mut diagnostics);
    }
    diagnostics
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
            Kind::Required { property } => {
                diagnostics.push(self.missing_key(property.as_str().unwrap_or_default()));
            }
            Kind::Type { .. } => diagnostics.push(self.wrong_type()),
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
        Diagnostic::new(code, Place::Value(self.at.clone()), message)
    }

    /// The schema of the value in question, behind its references.
    fn property(&self) -> Value {
        let found = locate(self.schema, self.value, &self.at).and_then(|found| resolve(self.schema, found));
        found.cloned().unwrap_or_default()
    }

    /// The service type or other tag of the map in question.
    fn tag(&self) -> Option<&str> {
        self.value.pointer(self.at.as_str())?.get("type")?.as_str()
    }

    fn unknown_key(&self, key: &str) -> Diagnostic {
        let place = Place::Key(self.at.key(key));
        let diagnostic =
            Diagnostic::new(Code::UnknownKey, place, format!("unknown key `{}`", display_key(key)));
        if let Some(hint) = known_mistake(key, self.tag(), &self.at) {
            return diagnostic.with_help(hint);
        }
        let object = super::schema::branch_of(self.schema, self.value, &self.at);
        let known: Vec<&str> = object
            .and_then(|object| object["properties"].as_object())
            .into_iter()
            .flatten()
            .map(|(known, _)| known.as_str())
            .collect();
        match suggest(key, known.iter().copied()) {
            Some(close) => diagnostic.with_help(format!("did you mean `{close}`?")),
            None if known.is_empty() => diagnostic.with_help("nothing may stand here; remove it"),
            None => diagnostic.with_help(format!("known here: {}", quoted(&known))),
        }
    }

    fn missing_key(&self, key: &str) -> Diagnostic {
        let diagnostic = self.at_value(Code::MissingKey, format!("`{key}` is missing"));
        let types = self.tags();
        if key == "type" && !types.is_empty() {
            return diagnostic.with_help(format!("write `type:` and one of {}", quoted(&types)));
        }
        let schema = super::schema::branch_of(self.schema, self.value, &self.at);
        match schema.and_then(|schema| schema["properties"][key]["description"].as_str()) {
            Some(description) => diagnostic.with_help(format!("`{key}`: {}", clause(description))),
            None => diagnostic,
        }
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
        let wanted = wanted(&schema);
        let found = found(self.instance);
        let diagnostic = self.at_value(Code::WrongType, format!("expected {wanted}, found {found}"));
        let key = self.at.last().unwrap_or_default().into_owned();
        let is = |name: &str| {
            (name == "object" && schema["oneOf"].is_array())
                || schema["type"] == name
                || schema["type"].as_array().is_some_and(|types| types.contains(&json!(name)))
        };
        let help = match self.instance {
            Value::String(text) if is("boolean") && is_yes_or_no(text) => {
                "write `true` or `false`: other words for them are texts".to_owned()
            }
            Value::String(_) if is("boolean") => "write `true` or `false`, without quotes".to_owned(),
            Value::String(_) if is("integer") => "write the number without quotes".to_owned(),
            Value::Number(_) if schema["pattern"].is_string() => {
                "write a number and a unit, such as `90s`, `20m` or `1h30m`".to_owned()
            }
            Value::Number(_) | Value::Bool(_) if is("string") => "write it in quotes".to_owned(),
            Value::String(_) if is("object") && matches!(key.as_str(), "destination" | "storage") => {
                format!("write `{key}: {{type: directory, path: ...}}`")
            }
            Value::String(_) | Value::Number(_) | Value::Bool(_) if is("array") => {
                "write a list: `[...]`, or one line with `- ` for each entry".to_owned()
            }
            Value::Null => "write a value, or remove it".to_owned(),
            _ => return diagnostic,
        };
        diagnostic.with_help(help)
    }

    fn unknown_value(&self, options: &[Value]) -> Diagnostic {
        let options: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
        let key = self.at.last().unwrap_or_default().into_owned();
        let written = match self.instance {
            Value::String(text) => format!("`{}`", display_key(text)),
            other => found(other).to_owned(),
        };
        let what = if self.at.parent().is_some() && key.parse::<usize>().is_err() {
            format!("{written} is no value of `{key}`")
        } else {
            format!("{written} is not known here")
        };
        let diagnostic = self.at_value(Code::UnknownValue, what);
        match self.instance.as_str().and_then(|text| suggest(text, options.iter().copied())) {
            Some(close) => diagnostic.with_help(format!("did you mean `{close}`?")),
            None => diagnostic.with_help(format!("one of {}", quoted(&options))),
        }
    }
}

/// Keys that are right somewhere else.
fn known_mistake(key: &str, tag: Option<&str>, at: &Pointer) -> Option<String> {
    let lifetime = matches!(key, "credential_ttl" | "certificate_ttl" | "renewal_interval");
    match (tag, key) {
        (Some("application-proxy"), _) if lifetime => {
            Some("write it under `credential_lifetime`: this type nests it".to_owned())
        }
        (Some("workload-identity-aws-roles-anywhere"), _) if lifetime => {
            Some("write `session_duration` and `session_renewal_interval`: this type has its own".to_owned())
        }
        (_, "destinations") if at.is_root() => Some(
            "version 2 has `services`; a file with `destinations` is of version 1 and has no `version`"
                .to_owned(),
        ),
        (_, "proxy_server" | "insecure" | "join_uri" | "credential_ttl") if at.is_root() => Some(
            "version 1 does not have it: write `version: v2`, and `services` for `destinations`".to_owned(),
        ),
        _ => None,
    }
}

fn is_yes_or_no(text: &str) -> bool {
    ["y", "yes", "on", "n", "no", "off", "true", "false"].contains(&text.to_ascii_lowercase().as_str())
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

fn quoted(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| if name.is_empty() { "an empty text".to_owned() } else { format!("`{name}`") })
        .collect::<Vec<_>>()
        .join(", ")
}

/// A description's first sentence, in a message's style.
fn clause(description: &str) -> String {
    let first = description.split_once(". ").map_or(description, |(first, _)| first);
    let first = first.trim_end_matches('.');
    let mut letters = first.chars();
    letters
        .next()
        .map_or_else(String::new, |letter| letter.to_lowercase().collect::<String>() + letters.as_str())
}
