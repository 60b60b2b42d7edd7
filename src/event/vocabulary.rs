//! The closed vocabulary of the declarations' keywords `x-source` and `x-wire`. Depends on serde only.
//!
//! What is not in here cannot be said by a declaration: in particular there is no source that copies a free text.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::config::Access;
use crate::pointer::Pointer;

/// Where a property comes from: its `x-source`. Told apart by the one key that only it has.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// One value of the effective configuration.
    Config(ConfigSource),
    /// How many entries lists of the effective configuration have.
    Count(CountSource),
    /// An environment variable, as far as it holds a value of the property's closed set.
    Env(EnvSource),
    /// A fact of the build.
    Build(BuildSource),
}

/// One value of the effective configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigSource {
    /// Where the value stands.
    #[serde(rename = "config", deserialize_with = "pointer")]
    pub pointer: Pointer,
    /// What stands for a value that is not there; without it, the property is left out.
    pub absent: Option<Value>,
    /// What each value becomes; without it, the value itself, which must be in the property's closed set.
    pub values: Option<BTreeMap<String, String>>,
}

/// How many entries lists of the effective configuration have.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountSource {
    /// The lists.
    #[serde(rename = "count", deserialize_with = "pointers")]
    pub pointers: Vec<Pointer>,
    /// Only entries whose type has this `x-access`.
    #[serde(default, deserialize_with = "access")]
    pub access: Option<Access>,
}

/// An environment variable, as far as it holds a value of the property's closed set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvSource {
    /// Its name.
    #[serde(rename = "env")]
    pub variable: String,
    /// What stands for a value outside the set; without it, the property is left out.
    pub unlisted: Option<String>,
    /// The property beside which alone this one is sent, and only where that one is a listed value.
    pub beside: Option<String>,
}

/// A fact of the build.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildSource {
    /// Which fact.
    #[serde(rename = "build")]
    pub fact: BuildFact,
}

/// A fact of the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildFact {
    /// The program's version.
    Version,
}

/// A property's place on the wire: its `x-wire`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wire {
    /// Number of the protobuf field.
    pub field: u32,
    /// Name in Connect JSON.
    pub name: String,
    /// What each value becomes; without it, the value itself.
    pub values: Option<BTreeMap<String, String>>,
    /// Properties whose counts are subtracted.
    #[serde(default)]
    pub minus: Vec<String>,
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = Value::deserialize(deserializer)?;
        let has = |key| source.get(key).is_some();
        let read = match (has("config"), has("count"), has("env"), has("build")) {
            (true, false, false, false) => serde_json::from_value(source).map(Self::Config),
            (false, true, false, false) => serde_json::from_value(source).map(Self::Count),
            (false, false, true, false) => serde_json::from_value(source).map(Self::Env),
            (false, false, false, true) => serde_json::from_value(source).map(Self::Build),
            _ => return Err(D::Error::custom("x-source has exactly one of config, count, env and build")),
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

fn access<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Access>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let access = Access::from_name(&name);
    access.map(Some).ok_or_else(|| D::Error::custom(format_args!("`{name}` is no x-access")))
}
