//! The closed vocabulary of the keywords `x-source`, `x-wire`, `x-report` and `x-implementations`. Depends on serde, and on
//! `config` for access classes.
//!
//! A declaration cannot express anything else. In particular, no source copies free-form text.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::config::AccessClass;
use crate::pointer::Pointer;

/// The source of a property: its `x-source`. The variants are distinguished by a key that only they have.
#[derive(Clone, Debug, PartialEq)]
pub enum PropertySource {
    /// A value of the effective configuration.
    Config(ConfigSource),
    /// The number of entries in lists of the effective configuration.
    Count(CountSource),
    /// An environment variable, if its value is in the property's closed set.
    Env(EnvSource),
    /// A fact about the build.
    Build(BuildSource),
}

impl PropertySource {
    /// Returns the pointers to what is read of the configuration.
    pub fn pointers(&self) -> &[Pointer] {
        match self {
            Self::Config(source) => std::slice::from_ref(&source.pointer),
            Self::Count(source) => &source.pointers,
            Self::Env(_) | Self::Build(_) => &[],
        }
    }

    /// Returns the name of the other property that this one requires.
    pub fn requires(&self) -> Option<&str> {
        match self {
            Self::Env(source) => source.requires.as_deref(),
            Self::Config(_) | Self::Count(_) | Self::Build(_) => None,
        }
    }
}

/// A value of the effective configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigSource {
    /// The pointer to the value.
    #[serde(rename = "config", deserialize_with = "pointer")]
    pub pointer: Pointer,
    /// The default for a missing value. Without a default, the property is omitted.
    pub absent: Option<Value>,
    /// Maps the value to one in the property's closed set. Without a mapping, the value itself must be in the set.
    pub values: Option<BTreeMap<String, String>>,
}

/// The number of entries in lists of the effective configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountSource {
    /// The pointers to the lists.
    #[serde(rename = "count", deserialize_with = "pointers")]
    pub pointers: Vec<Pointer>,
    /// Counts only entries whose type has this `x-access`.
    #[serde(default, deserialize_with = "access")]
    pub access: Option<AccessClass>,
}

/// An environment variable, if its value is in the property's closed set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvSource {
    /// The name of the variable.
    #[serde(rename = "env")]
    pub variable: String,
    /// Replaces a value outside the set. Without a replacement, the property is omitted.
    pub unlisted: Option<String>,
    /// Whether a value outside the set is truncated to its longest prefix in the set.
    #[serde(default)]
    pub truncate: bool,
    /// Another property that this one requires: this one is sent only if that one has a listed value.
    pub requires: Option<String>,
}

/// A fact about the build.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildSource {
    /// The fact.
    #[serde(rename = "build")]
    pub fact: BuildFact,
}

/// The facts about the build that an event may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildFact {
    /// The version of the program.
    Version,
}

/// How a property is represented on the wire: its `x-wire`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireMapping {
    /// The number of the protobuf field.
    pub field: u32,
    /// The name in Connect JSON.
    pub name: String,
    /// Maps each value to its name on the wire. Without a mapping, the value itself is sent.
    pub values: Option<BTreeMap<String, String>>,
    /// The properties whose counts are subtracted.
    #[serde(default)]
    pub minus: Vec<String>,
}

/// A part of a report that answers the reason of a property: an element of its `x-report`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportPart {
    /// The starts with each value, per week.
    Weekly,
    /// The starts with each value, by use case.
    ByUseCase,
    /// The starts with each value, separately for each implementation of `tbot`.
    ByImplementation,
}

/// An implementation of `tbot`, which is recognised by its versions: an element of `x-implementations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Implementation {
    /// The name.
    pub name: String,
    /// The first number of its first version. Its versions end where those of the next implementation begin.
    pub first_major: u32,
}

/// Reads the implementations, from their names and first versions, such as `10.0.0`.
pub(super) fn implementations<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Implementation>, D::Error> {
    let first_versions = BTreeMap::<String, String>::deserialize(deserializer)?;
    let read = |(name, version): (String, String)| {
        let major = version.strip_suffix(".0.0").and_then(|major| major.parse().ok());
        let first_major = major.ok_or_else(|| D::Error::custom("a first version must end with .0.0"))?;
        Ok(Implementation { name, first_major })
    };
    let mut implementations: Vec<Implementation> =
        first_versions.into_iter().map(read).collect::<Result<_, _>>()?;
    implementations.sort_by_key(|implementation| implementation.first_major);
    Ok(implementations)
}

impl<'de> Deserialize<'de> for PropertySource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = Value::deserialize(deserializer)?;
        let has = |key| source.get(key).is_some();
        let read = match (has("config"), has("count"), has("env"), has("build")) {
            (true, false, false, false) => serde_json::from_value(source).map(Self::Config),
            (false, true, false, false) => serde_json::from_value(source).map(Self::Count),
            (false, false, true, false) => serde_json::from_value(source).map(Self::Env),
            (false, false, false, true) => serde_json::from_value(source).map(Self::Build),
            _ => {
                return Err(D::Error::custom(
                    "x-source must have exactly one of config, count, env and build",
                ));
            }
        };
        read.map_err(D::Error::custom)
    }
}

fn pointer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pointer, D::Error> {
    String::deserialize(deserializer).map(Pointer::from)
}

fn pointers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Pointer>, D::Error> {
    Ok(Vec::<String>::deserialize(deserializer)?.into_iter().map(Pointer::from).collect())
}

fn access<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AccessClass>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let access = AccessClass::from_name(&name);
    access.map(Some).ok_or_else(|| D::Error::custom(format_args!("`{name}` is not a valid x-access")))
}
