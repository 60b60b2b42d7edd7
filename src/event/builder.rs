//! Builds the event by executing its declarations: from the effective configuration's value and a few facts, to a
//! [`TbotStart`] and where each of its properties came from. Pure.

use serde_json::{Map, Value};

use super::declaration::TbotStart;
use super::rules::{Rule, Rules, Values};
use super::vocabulary::{BuildFact, ConfigSource, CountSource, EnvSource, Source};
use crate::config::Access;
use crate::pointer::Pointer;

/// What the builder knows beside the configuration.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The program's version.
    pub version: &'a str,
    /// The value of an environment variable; asked only for those that a declaration names.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

/// An event, and where its properties came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// The event.
    pub event: TbotStart,
    /// One entry for each declaration, in their order: also for those that set nothing.
    pub properties: Vec<Property>,
}

/// One property of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its value; none where it is left out.
    pub value: Option<Value>,
    /// Where the value came from.
    pub provenance: Provenance,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq)]
pub enum Provenance {
    /// From these places of the effective configuration; those that are not there are not listed.
    Config(Vec<Pointer>),
    /// From nothing: the configuration does not have any of these places.
    Absent(Vec<Pointer>),
    /// From an environment variable.
    Env {
        /// Its name.
        variable: String,
        /// What became of its value.
        verdict: Verdict,
    },
    /// From the build.
    Build,
}

/// What became of an environment variable's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is none.
    Unset,
    /// It is in the closed set and sent as it is.
    Listed,
    /// It is not in the closed set; what is sent in its place, if anything, says so and no more.
    Unlisted,
    /// The property beside which it would be sent is not a listed value.
    Alone,
}

/// The configuration does not give what an event must have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A required property has no value.
    #[error("the event needs `{property}`, which the configuration does not give")]
    Missing {
        /// Its name.
        property: String,
    },
    /// A value is outside its property's closed set.
    #[error("the event's `{property}` would leave its closed set")]
    Open {
        /// Its name.
        property: String,
    },
}

/// Builds the event of one start.
///
/// # Errors
///
/// Where a required property has no value, or a value is not in its property's closed set. Neither happens with a
/// configuration that is valid for starting.
pub fn build(rules: &Rules, config: &Value, facts: Facts<'_>) -> Result<Built, BuildError> {
    let mut event = Map::with_capacity(rules.properties.len());
    let mut properties = Vec::with_capacity(rules.properties.len());
    for rule in &rules.properties {
        let (value, provenance) = execute(rules, rule, config, facts, &event);
        if let Some(value) = &value {
            if !fits(&rule.values, value) {
                return Err(BuildError::Open { property: rule.name.clone() });
            }
            event.insert(rule.name.clone(), value.clone());
        } else if rule.required {
            return Err(BuildError::Missing { property: rule.name.clone() });
        }
        properties.push(Property { name: rule.name.clone(), value, provenance });
    }
    let event = serde_json::from_value(Value::Object(event))
        .map_err(|error| BuildError::Open { property: error.to_string() })?;
    Ok(Built { event, properties })
}

fn execute(
    rules: &Rules,
    rule: &Rule,
    config: &Value,
    facts: Facts<'_>,
    built: &Map<String, Value>,
) -> (Option<Value>, Provenance) {
    match &rule.source {
        Source::Config(source) => from_config(source, config),
        Source::Count(source) => count(source, config),
        Source::Env(source) => from_environment(rules, rule, source, facts, built),
        Source::Build(source) => match source.fact {
            BuildFact::Version => (Some(Value::from(facts.version)), Provenance::Build),
        },
    }
}

fn from_config(source: &ConfigSource, config: &Value) -> (Option<Value>, Provenance) {
    let found = config.pointer(source.pointer.as_str()).filter(|value| !value.is_null());
    let place = vec![source.pointer.clone()];
    let provenance = if found.is_some() { Provenance::Config(place) } else { Provenance::Absent(place) };
    let value = found.or(source.absent.as_ref()).map(|value| match (&source.values, value) {
        (None, value) => value.clone(),
        // A value that the table does not have stays null, which no closed set has.
        (Some(table), Value::String(text)) => {
            table.get(text).map_or(Value::Null, |mapped| mapped.as_str().into())
        }
        (Some(table), value) => {
            table.get(&value.to_string()).map_or(Value::Null, |mapped| mapped.as_str().into())
        }
    });
    (value, provenance)
}

fn count(source: &CountSource, config: &Value) -> (Option<Value>, Provenance) {
    let mut total = 0_usize;
    let mut places = Vec::new();
    for pointer in &source.pointers {
        let Some(entries) = config.pointer(pointer.as_str()).and_then(Value::as_array) else { continue };
        places.push(pointer.clone());
        total += match source.access {
            None => entries.len(),
            Some(access) => entries.iter().filter(|entry| access_of(entry) == Some(access)).count(),
        };
    }
    let provenance = if places.is_empty() {
        Provenance::Absent(source.pointers.clone())
    } else {
        Provenance::Config(places)
    };
    (Some(Value::from(total)), provenance)
}

fn access_of(entry: &Value) -> Option<Access> {
    entry.get("type").and_then(Value::as_str).and_then(Access::of)
}

fn from_environment(
    rules: &Rules,
    rule: &Rule,
    source: &EnvSource,
    facts: Facts<'_>,
    built: &Map<String, Value>,
) -> (Option<Value>, Provenance) {
    let provenance = |verdict| Provenance::Env { variable: source.variable.clone(), verdict };
    let Some(text) = (facts.environment)(&source.variable).filter(|text| !text.is_empty()) else {
        return (None, provenance(Verdict::Unset));
    };
    if source.beside.as_deref().is_some_and(|name| !is_listed(rules, name, built)) {
        return (None, provenance(Verdict::Alone));
    }
    // The value that stands for all others names none of them.
    if rule.values.contain(&text) && source.unlisted.as_ref() != Some(&text) {
        (Some(Value::from(text)), provenance(Verdict::Listed))
    } else {
        (source.unlisted.as_deref().map(Value::from), provenance(Verdict::Unlisted))
    }
}

/// Whether a property that was built before holds one of its listed values.
fn is_listed(rules: &Rules, name: &str, built: &Map<String, Value>) -> bool {
    let unlisted =
        rules.properties.iter().find(|rule| rule.name == name).and_then(|rule| match &rule.source {
            Source::Env(source) => source.unlisted.as_deref(),
            _ => None,
        });
    built.get(name).is_some_and(|value| value.as_str() != unlisted)
}

fn fits(values: &Values, value: &Value) -> bool {
    match values {
        Values::Count { minimum, maximum } => {
            value.as_u64().is_some_and(|number| (*minimum..=*maximum).contains(&number))
        }
        closed => value.as_str().is_some_and(|text| closed.contain(text)),
    }
}
