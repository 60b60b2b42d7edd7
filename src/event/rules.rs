//! The builder's rules, read from the event's schema. Depends on the vocabulary, regex and serde only.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::vocabulary::{Source, Wire};

/// What the event's schema says, in the form that the builder executes.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The version of the event.
    pub version: u32,
    /// How the event travels.
    pub transport: Transport,
    /// One rule a property, in the order of the schema.
    pub properties: Vec<Rule>,
}

/// What the schema says of one property.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it means.
    pub description: String,
    /// Which values it takes.
    pub values: Values,
    /// Whether an event without it is no event.
    pub required: bool,
    /// Where it comes from.
    pub source: Source,
    /// Why it is collected.
    pub reason: String,
    /// The first version of the event that has it.
    pub since: u32,
    /// Its place on the wire.
    pub wire: Wire,
    /// An example value.
    pub example: Option<Value>,
}

/// The values of a property; a closed set each.
#[derive(Clone, Debug)]
pub enum Values {
    /// One of these.
    Enum(Vec<String>),
    /// A text that matches.
    Pattern(Regex),
    /// A whole number between these, both included.
    Count {
        /// The smallest.
        minimum: u64,
        /// The largest.
        maximum: u64,
    },
}

impl Values {
    /// Whether a text is one of the values.
    pub fn contain(&self, text: &str) -> bool {
        match self {
            Self::Enum(values) => values.iter().any(|value| value == text),
            Self::Pattern(pattern) => pattern.is_match(text),
            Self::Count { .. } => false,
        }
    }
}

/// How the event travels: the `x-transport` of its schema.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transport {
    /// HTTP method.
    pub method: String,
    /// Where it goes unless the variable says otherwise: scheme and host.
    pub endpoint: String,
    /// The environment variable that replaces the endpoint.
    pub endpoint_variable: String,
    /// Path of the request.
    pub path: String,
    /// Every header that is set, beside the ones that HTTP itself needs (`Host`, `Content-Length`).
    pub headers: BTreeMap<String, String>,
    /// What surrounds the event in the body, and why.
    pub envelope: BTreeMap<String, String>,
}

/// The schema of the event does not say what the builder needs.
#[derive(Debug, thiserror::Error)]
#[error("the event's schema is not usable at {place}: {why}")]
pub struct RulesError {
    place: String,
    why: String,
}

impl Rules {
    /// Reads the rules of the schema that is embedded in this program.
    ///
    /// # Errors
    ///
    /// Only where the embedded schema was not generated from the declarations.
    pub fn embedded() -> Result<Self, RulesError> {
        let schema = serde_json::from_str(super::SCHEMA)
            .map_err(|error| RulesError { place: "/".to_owned(), why: error.to_string() })?;
        Self::read(&schema)
    }

    /// Reads the rules of an event's schema.
    ///
    /// # Errors
    ///
    /// Where the schema is open, or a property lacks a closed set of values or one of its `x-` keywords.
    pub fn read(schema: &Value) -> Result<Self, RulesError> {
        if schema["additionalProperties"] != Value::Bool(false) {
            return Err(RulesError { place: "/".to_owned(), why: "it is not closed".to_owned() });
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
    fn read(root: &Value, name: &str, property: &Value, required: bool) -> Result<Self, RulesError> {
        let place = format!("/properties/{name}");
        Ok(Self {
            values: values(root, &place, property)?,
            description: keyword(property, &place, "description")?,
            source: keyword(property, &place, "x-source")?,
            reason: keyword(property, &place, "x-reason")?,
            since: keyword(property, &place, "x-since")?,
            wire: keyword(property, &place, "x-wire")?,
            example: property["examples"].get(0).cloned(),
            name: name.to_owned(),
            required,
        })
    }
}

fn keyword<'de, T: Deserialize<'de>>(schema: &'de Value, place: &str, name: &str) -> Result<T, RulesError> {
    let fail = |why: String| RulesError { place: format!("{place}/{name}"), why };
    T::deserialize(schema.get(name).ok_or_else(|| fail("it is missing".to_owned()))?)
        .map_err(|error| fail(error.to_string()))
}

fn values(root: &Value, place: &str, property: &Value) -> Result<Values, RulesError> {
    let referred = property["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    let schema = referred.and_then(|pointer| root.pointer(pointer)).unwrap_or(property);
    if let Some(values) = schema["enum"].as_array() {
        return Ok(Values::Enum(values.iter().filter_map(Value::as_str).map(str::to_owned).collect()));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        let regex = Regex::new(pattern);
        return regex
            .map(Values::Pattern)
            .map_err(|error| RulesError { place: place.to_owned(), why: error.to_string() });
    }
    match (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
        (Some(minimum), Some(maximum)) => Ok(Values::Count { minimum, maximum }),
        _ => Err(RulesError {
            place: place.to_owned(),
            why: "its values are not closed: neither an enum, nor a pattern, nor a bounded number".to_owned(),
        }),
    }
}
