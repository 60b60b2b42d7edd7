//! Reads the rules for building an event from its schema. Depends on the vocabulary, regex and serde.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::pattern::count_accepted;
use super::vocabulary::{
    EnvSource, Implementation, PropertySource, ReportPart, WireMapping, implementations,
};

/// The JSON Schema (2020-12) of the event, embedded in this program.
pub const SCHEMA: &str = include_str!("../../schema/tbot.start.schema.json");

/// The contents of the event's schema, in the form that the builder executes.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The version of the event.
    pub version: u32,
    /// How the event is sent.
    pub transport: Transport,
    /// One rule per property, in the order of the schema.
    pub properties: Vec<Rule>,
}

/// The rule for one property.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The name of the property.
    pub name: String,
    /// What the property means.
    pub description: String,
    /// The values that the property accepts.
    pub values: ValueSet,
    /// Whether every event has the property.
    pub required: bool,
    /// Where the value comes from.
    pub source: PropertySource,
    /// Why the property is collected.
    pub reason: String,
    /// The parts of a report that answer the reason. Empty only in versions of the event that were released before this keyword
    /// existed.
    pub report: Vec<ReportPart>,
    /// The implementations of `tbot` that the values distinguish, in the order of their versions. Empty if the values are not
    /// versions of `tbot`.
    pub implementations: Vec<Implementation>,
    /// The first version of the event with this property.
    pub since: u32,
    /// How the property is represented on the wire.
    pub wire: WireMapping,
    /// An example value.
    pub example: Option<Value>,
}

/// The closed set of values of a property.
#[derive(Clone, Debug)]
pub enum ValueSet {
    /// One of these strings.
    Enum(Vec<String>),
    /// A string that matches the pattern.
    Pattern(Regex),
    /// An integer within these bounds.
    Count {
        /// The minimum, inclusive.
        minimum: u64,
        /// The maximum, inclusive.
        maximum: u64,
    },
}

impl ValueSet {
    /// Returns an upper bound of how many values are in the set. `None` if there is no bound.
    pub fn size(&self) -> Option<u128> {
        match self {
            Self::Enum(values) => u128::try_from(values.len()).ok(),
            Self::Pattern(pattern) => count_accepted(pattern.as_str()),
            Self::Count { minimum, maximum } => Some(u128::from(*maximum) - u128::from(*minimum) + 1),
        }
    }

    /// Returns whether a string is in the set.
    pub fn contains(&self, text: &str) -> bool {
        match self {
            Self::Enum(values) => values.iter().any(|value| value == text),
            Self::Pattern(pattern) => pattern.is_match(text),
            Self::Count { .. } => false,
        }
    }
}

/// How the event is sent: the `x-transport` of its schema.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transport {
    /// The HTTP method.
    pub method: String,
    /// The default endpoint: scheme and host.
    pub endpoint: String,
    /// The environment variable that overrides the endpoint.
    pub endpoint_variable: String,
    /// The path of the request.
    pub path: String,
    /// All headers, except those that HTTP itself requires (`Host`, `Content-Length`).
    pub headers: BTreeMap<String, String>,
    /// The members of the body, including the event, and their descriptions.
    pub envelope: BTreeMap<String, String>,
}

/// The schema of the event lacks something that the builder needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid event schema at {pointer}: {problem}")]
pub struct RulesError {
    pointer: String,
    problem: String,
}

impl Rules {
    /// Returns the rules of the schema that is embedded in this program. They are read once.
    ///
    /// # Errors
    ///
    /// Returns an error only if the embedded schema was not generated from the declarations.
    pub fn embedded() -> Result<&'static Self, RulesError> {
        static EMBEDDED: OnceLock<Rules> = OnceLock::new();
        if let Some(rules) = EMBEDDED.get() {
            return Ok(rules);
        }
        let schema = serde_json::from_str(SCHEMA)
            .map_err(|error| RulesError { pointer: "/".to_owned(), problem: error.to_string() })?;
        let rules = Self::read(&schema)?;
        Ok(EMBEDDED.get_or_init(|| rules))
    }

    /// Reads the rules of an event's schema.
    ///
    /// # Errors
    ///
    /// Returns an error if the schema is not closed, or a property lacks a closed set of values or one of its `x-`
    /// keywords.
    pub fn read(schema: &Value) -> Result<Self, RulesError> {
        if schema["additionalProperties"] != Value::Bool(false) {
            return Err(RulesError {
                pointer: "/".to_owned(),
                problem: "the schema is not closed".to_owned(),
            });
        }
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = schema["properties"].as_object().into_iter().flatten();
        Ok(Self {
            version: keyword(schema, "/", "x-version")?,
            transport: keyword(schema, "/", "x-transport")?,
            properties: properties
                .map(|(name, property)| Rule::read(schema, name, property, required.contains(&name.as_str())))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Rule {
    /// Returns the value in the closed set for a string: the string itself or, if the source is truncated, its longest
    /// prefix in the set that ends neither within a number nor within a word. `None` if there is no such value.
    pub fn listed_value<'a>(&self, text: &'a str) -> Option<&'a str> {
        if self.values.contains(text) {
            return Some(text);
        }
        let PropertySource::Env(EnvSource { truncate: true, .. }) = self.source else { return None };
        let splits = |end: &usize| {
            let (before, after) = text.split_at(*end);
            before.chars().next_back().zip(after.chars().next()).is_some_and(|(last, first)| {
                (last.is_numeric() && first.is_numeric()) || (last.is_alphabetic() && first.is_alphabetic())
            })
        };
        let ends = text.char_indices().rev().map(|(end, _)| end).filter(|end| !splits(end));
        ends.map(|end| &text[..end]).find(|prefix| self.values.contains(prefix))
    }

    fn read(root: &Value, name: &str, property: &Value, required: bool) -> Result<Self, RulesError> {
        let pointer = format!("/properties/{name}");
        Ok(Self {
            values: value_set(root, &pointer, property)?,
            description: keyword(property, &pointer, "description")?,
            source: keyword(property, &pointer, "x-source")?,
            reason: keyword(property, &pointer, "x-reason")?,
            report: optional_keyword(property, &pointer, "x-report", Vec::deserialize)?,
            implementations: optional_keyword(property, &pointer, "x-implementations", |value| {
                implementations(value)
            })?,
            since: keyword(property, &pointer, "x-since")?,
            wire: keyword(property, &pointer, "x-wire")?,
            example: property["examples"].get(0).cloned(),
            name: name.to_owned(),
            required,
        })
    }
}

/// Reads a keyword, or returns the default if it is missing.
fn optional_keyword<'de, T: Default>(
    schema: &'de Value,
    pointer: &str,
    name: &str,
    read: impl FnOnce(&'de Value) -> Result<T, serde_json::Error>,
) -> Result<T, RulesError> {
    let fail = |error: serde_json::Error| RulesError {
        pointer: format!("{pointer}/{name}"),
        problem: error.to_string(),
    };
    schema.get(name).map_or_else(|| Ok(T::default()), |value| read(value).map_err(fail))
}

fn keyword<'de, T: Deserialize<'de>>(schema: &'de Value, pointer: &str, name: &str) -> Result<T, RulesError> {
    let fail = |problem: String| RulesError { pointer: format!("{pointer}/{name}"), problem };
    T::deserialize(schema.get(name).ok_or_else(|| fail("missing keyword".to_owned()))?)
        .map_err(|error| fail(error.to_string()))
}

fn value_set(root: &Value, pointer: &str, property: &Value) -> Result<ValueSet, RulesError> {
    let target = property["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    let schema = target.and_then(|target| root.pointer(target)).unwrap_or(property);
    if let Some(values) = schema["enum"].as_array() {
        return Ok(ValueSet::Enum(values.iter().filter_map(Value::as_str).map(str::to_owned).collect()));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        let regex = Regex::new(pattern);
        return regex
            .map(ValueSet::Pattern)
            .map_err(|error| RulesError { pointer: pointer.to_owned(), problem: error.to_string() });
    }
    match (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
        (Some(minimum), Some(maximum)) => Ok(ValueSet::Count { minimum, maximum }),
        _ => Err(RulesError {
            pointer: pointer.to_owned(),
            problem: "the set of values is not closed: neither an enum, nor a pattern, nor a bounded number"
                .to_owned(),
        }),
    }
}
