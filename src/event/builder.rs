//! Builds an event by executing its declarations: turns the value of the effective configuration, the version and the
//! environment into a [`TbotStart`] and the provenance of each property. Pure.

use serde_json::{Map, Value};

use super::declaration::TbotStart;
use super::request_body::request_body;
use super::rules::{Rule, Rules, RulesError, ValueSet};
use super::vocabulary::{BuildFact, ConfigSource, CountSource, EnvSource, PropertySource};
use crate::config::{AccessClass, EffectiveConfig};
use crate::pointer::Pointer;

/// The builder's inputs in addition to the configuration.
#[derive(Clone, Copy)]
pub struct BuildContext<'a> {
    /// The version of the agent, such as `0.1.0`. It must match the pattern of `version` in [`SCHEMA`](super::SCHEMA). Receivers
    /// take 10.0.0 and newer for the Go agent.
    pub version: &'a str,
    /// Returns the value of an environment variable. Called only for variables that a declaration names. A value that
    /// is not UTF-8 must be returned lossily, not as `None`: the variable is set, to a value that is not listed.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

/// An event and the provenance of its properties.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BuiltEvent {
    event: TbotStart,
    properties: Vec<EventProperty>,
}

/// A property of an event.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EventProperty {
    /// The name of the property.
    pub name: String,
    /// The value; `None` if the property was omitted.
    pub value: Option<Value>,
    /// Where the value came from.
    pub provenance: Provenance,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq)]
pub enum Provenance {
    /// From these values of the effective configuration. Missing ones are not listed.
    Config(Vec<Pointer>),
    /// From a default, if any, because the configuration has none of these values.
    Absent(Vec<Pointer>),
    /// From an environment variable.
    Env {
        /// The name of the variable.
        variable: String,
        /// What happened to its value.
        outcome: EnvOutcome,
    },
    /// From the build.
    Build,
}

/// What happened to the value of an environment variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvOutcome {
    /// The variable is not set, or empty.
    Unset,
    /// The value is in the closed set and sent unchanged.
    Listed,
    /// The value is not in the closed set. Only a prefix of it, which is in the set, is sent.
    Truncated,
    /// The value is not in the closed set. It is replaced by a value that says only that, or omitted.
    Unlisted,
    /// The value is omitted because the property that it requires does not have a listed value.
    MissingCompanion,
}

/// An event cannot be built from the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The event's schema, which is a part of this library, cannot be used.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// A required property has no value.
    #[error("the event requires `{property}`, which the configuration does not provide")]
    Missing {
        /// The name of the property.
        property: String,
    },
    /// The event's schema and its type do not agree.
    #[error("the event does not match its type")]
    OtherType,
    /// A value is outside its property's closed set.
    #[error("the value of `{property}` is outside its closed set")]
    OutsideClosedSet {
        /// The name of the property.
        property: String,
    },
    /// The `distinctId` of a request is not a UUID v4.
    #[error("the distinctId is not a UUID v4 in its hyphenated form")]
    InvalidDistinctId,
}

impl BuiltEvent {
    /// Builds the event for one start with this configuration. Sends nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if a required property has no value, or a value is outside its property's closed set. If the
    /// configuration is valid for `tbot start`, the only cause is a [`version`](BuildContext::version) that does not match its
    /// pattern.
    pub fn for_config(config: &EffectiveConfig, context: BuildContext<'_>) -> Result<Self, BuildError> {
        build(Rules::embedded()?, config.value(), context)
    }

    /// Returns the event.
    #[must_use]
    pub const fn event(&self) -> &TbotStart {
        &self.event
    }

    /// Returns one entry per declaration, in the same order, including properties that were omitted.
    #[must_use]
    pub fn properties(&self) -> &[EventProperty] {
        &self.properties
    }

    /// Returns the body of the request that submits this event, as JSON. `distinct_id` is a UUID v4 in its hyphenated form, fresh
    /// for each start.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidDistinctId`](BuildError::InvalidDistinctId) if `distinct_id` is not a UUID v4, so that no other identifier
    /// gets into a request.
    pub fn request_body(&self, distinct_id: &str) -> Result<Value, BuildError> {
        if !is_uuid_v4(distinct_id) {
            return Err(BuildError::InvalidDistinctId);
        }
        Ok(request_body(Rules::embedded()?, &self.event, distinct_id))
    }
}

/// Returns whether a string is a UUID v4 in its hyphenated form.
fn is_uuid_v4(id: &str) -> bool {
    let matches = |(index, byte): (usize, u8)| match index {
        8 | 13 | 18 | 23 => byte == b'-',
        14 => byte == b'4',
        19 => b"89abAB".contains(&byte),
        _ => byte.is_ascii_hexdigit(),
    };
    id.len() == 36 && id.bytes().enumerate().all(matches)
}

/// Builds the event for one start from the value of the effective configuration.
///
/// # Errors
///
/// Returns an error like [`BuiltEvent::for_config`].
pub fn build(rules: &Rules, config: &Value, context: BuildContext<'_>) -> Result<BuiltEvent, BuildError> {
    let mut event = Map::with_capacity(rules.properties.len());
    let mut properties = Vec::with_capacity(rules.properties.len());
    for rule in &rules.properties {
        let (value, provenance) = build_property(rules, rule, config, context, &event);
        if let Some(value) = &value {
            if !is_allowed(&rule.values, value) {
                return Err(BuildError::OutsideClosedSet { property: rule.name.clone() });
            }
            event.insert(rule.name.clone(), value.clone());
        } else if rule.required {
            return Err(BuildError::Missing { property: rule.name.clone() });
        }
        properties.push(EventProperty { name: rule.name.clone(), value, provenance });
    }
    let event = serde_json::from_value(Value::Object(event)).map_err(|_| BuildError::OtherType)?;
    Ok(BuiltEvent { event, properties })
}

fn build_property(
    rules: &Rules,
    rule: &Rule,
    config: &Value,
    context: BuildContext<'_>,
    built: &Map<String, Value>,
) -> (Option<Value>, Provenance) {
    match &rule.source {
        PropertySource::Config(source) => from_config(source, config),
        PropertySource::Count(source) => count_entries(source, config),
        PropertySource::Env(source) => from_environment(rules, rule, source, context, built),
        PropertySource::Build(source) => match source.fact {
            BuildFact::Version => (Some(Value::from(context.version)), Provenance::Build),
        },
    }
}

fn from_config(source: &ConfigSource, config: &Value) -> (Option<Value>, Provenance) {
    // An empty string means that the property is not set.
    let is_set = |value: &&Value| !value.is_null() && *value != "";
    let found = config.pointer(source.pointer.as_str()).filter(is_set);
    let pointers = vec![source.pointer.clone()];
    let provenance =
        if found.is_some() { Provenance::Config(pointers) } else { Provenance::Absent(pointers) };
    let value = found.or(source.absent.as_ref()).map(|value| match (&source.values, value) {
        (None, value) => value.clone(),
        // A value that is not in the mapping becomes null, which is in no closed set.
        (Some(mapping), Value::String(text)) => {
            mapping.get(text).map_or(Value::Null, |mapped| mapped.as_str().into())
        }
        (Some(mapping), value) => {
            mapping.get(&value.to_string()).map_or(Value::Null, |mapped| mapped.as_str().into())
        }
    });
    (value, provenance)
}

fn count_entries(source: &CountSource, config: &Value) -> (Option<Value>, Provenance) {
    let mut total = 0_usize;
    let mut found = Vec::new();
    for pointer in &source.pointers {
        let Some(entries) = config.pointer(pointer.as_str()).and_then(Value::as_array) else { continue };
        found.push(pointer.clone());
        total += match source.access {
            None => entries.len(),
            Some(access) => entries.iter().filter(|entry| access_of(entry) == Some(access)).count(),
        };
    }
    let provenance = if found.is_empty() {
        Provenance::Absent(source.pointers.clone())
    } else {
        Provenance::Config(found)
    };
    (Some(Value::from(total)), provenance)
}

fn access_of(entry: &Value) -> Option<AccessClass> {
    entry.get("type").and_then(Value::as_str).and_then(AccessClass::of_type)
}

fn from_environment(
    rules: &Rules,
    rule: &Rule,
    source: &EnvSource,
    context: BuildContext<'_>,
    built: &Map<String, Value>,
) -> (Option<Value>, Provenance) {
    let provenance = |outcome| Provenance::Env { variable: source.variable.clone(), outcome };
    let Some(text) = (context.environment)(&source.variable).filter(|text| !text.is_empty()) else {
        return (None, provenance(EnvOutcome::Unset));
    };
    if source.requires.as_deref().is_some_and(|name| !is_listed(rules, name, built)) {
        return (None, provenance(EnvOutcome::MissingCompanion));
    }
    // The replacement for unlisted values does not itself count as listed.
    match rule.listed_value(&text).filter(|listed| source.unlisted.as_deref() != Some(listed)) {
        Some(listed) if listed == text => (Some(Value::from(listed)), provenance(EnvOutcome::Listed)),
        Some(listed) => (Some(Value::from(listed)), provenance(EnvOutcome::Truncated)),
        None => (source.unlisted.as_deref().map(Value::from), provenance(EnvOutcome::Unlisted)),
    }
}

/// Returns whether an already built property has a listed value.
fn is_listed(rules: &Rules, name: &str, built: &Map<String, Value>) -> bool {
    let unlisted =
        rules.properties.iter().find(|rule| rule.name == name).and_then(|rule| match &rule.source {
            PropertySource::Env(source) => source.unlisted.as_deref(),
            _ => None,
        });
    built.get(name).is_some_and(|value| value.as_str() != unlisted)
}

fn is_allowed(values: &ValueSet, value: &Value) -> bool {
    match values {
        ValueSet::Count { minimum, maximum } => {
            value.as_u64().is_some_and(|number| (*minimum..=*maximum).contains(&number))
        }
        strings => value.as_str().is_some_and(|text| strings.contains(text)),
    }
}
