//! Scalar types of the configuration: strings, booleans and integers. The type of a property determines its
//! `x-sensitivity`. Depends only on serde and schemars.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// The sensitivity class of a configuration property: the `x-sensitivity` of its schema.
///
/// Only properties of class [`Category`](Sensitivity::Category) may be a source of the telemetry event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sensitivity {
    /// A value that grants access, such as a join token or a registration secret. Redacted everywhere.
    Secret,
    /// The name of a person, a machine or a resource. Redacted in excerpts.
    Identifier,
    /// A path or an address.
    Location,
    /// A value that adjusts behaviour, such as a duration or a boolean.
    Tuning,
    /// One of a closed set of values that this program defines, or a count of such values.
    Category,
}

impl Sensitivity {
    /// All classes, the most sensitive first.
    pub const ALL: [Self; 5] = [Self::Secret, Self::Identifier, Self::Location, Self::Tuning, Self::Category];

    /// Returns the name of the class in `x-sensitivity`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Identifier => "identifier",
            Self::Location => "location",
            Self::Tuning => "tuning",
            Self::Category => "category",
        }
    }

    /// Returns the class with the given name in `x-sensitivity`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

macro_rules! string {
    ($(#[$doc:meta])* $name:ident, $class:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
        pub struct $name(String);

        impl $name {
            /// Returns the string as it is written in the configuration.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns whether the string is empty.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                Self(value.to_owned())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "x-sensitivity": Sensitivity::$class.name() })
            }
        }
    };
}

/// An optional string of the configuration. An empty one counts as not set, as for the Go agent.
pub trait OptionalString {
    /// Returns the string, unless it is missing or empty.
    fn nonempty(&self) -> Option<&str>;
}

impl<T: AsRef<str>> OptionalString for Option<T> {
    fn nonempty(&self) -> Option<&str> {
        self.as_ref().map(AsRef::as_ref).filter(|string| !string.is_empty())
    }
}

string!(
    /// A string that grants access. Its `Debug` output is `...`.
    Secret, Secret
);
string!(
    /// The name of a person or thing, such as a cluster, a resource or a principal. Its `Debug` output is `...`.
    Identifier, Identifier
);
string!(
    /// A path or an address.
    Location, Location
);
string!(
    /// A string that adjusts behaviour.
    Setting, Tuning
);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("...")
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("...")
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A boolean that adjusts behaviour. Only `true` and `false` are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("x-sensitivity" = "tuning"))]
pub struct Switch(pub bool);

/// Returns whether a switch is on. An unset switch is off.
pub fn is_on(switch: Option<Switch>) -> bool {
    switch.is_some_and(|switch| switch.0)
}

/// The name or numeric ID of a user or group. Its `Debug` output is `...`.
#[derive(Clone, PartialEq, Eq)]
pub struct Principal(String);

impl Principal {
    /// Returns the name, or the numeric ID in decimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("...")
    }
}

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PrincipalVisitor;

        impl Visitor<'_> for PrincipalVisitor {
            type Value = Principal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a numeric ID")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Principal, E> {
                Ok(Principal(name.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, id: u64) -> Result<Principal, E> {
                match u32::try_from(id) {
                    Ok(id) => Ok(Principal(id.to_string())),
                    Err(_) => Err(E::custom("a numeric ID must fit in 32 bits")),
                }
            }

            fn visit_f64<E: de::Error>(self, id: f64) -> Result<Principal, E> {
                match integral(id) {
                    Some(id) if (0..=i64::from(u32::MAX)).contains(&id) => Ok(Principal(id.to_string())),
                    _ => Err(E::custom("a numeric ID must be a whole number that fits in 32 bits")),
                }
            }
        }

        deserializer.deserialize_any(PrincipalVisitor)
    }
}

impl JsonSchema for Principal {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Principal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "if": { "type": "integer" },
            "then": { "type": "integer", "minimum": 0, "maximum": u32::MAX },
            "else": { "type": "string" },
            "x-sensitivity": "identifier",
        })
    }
}

macro_rules! integer {
    ($(#[$doc:meta])* $name:ident, $minimum:expr, $maximum:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(i64);

        impl $name {
            /// The accepted values.
            pub const RANGE: std::ops::RangeInclusive<i64> = $minimum..=$maximum;

            /// Returns the number.
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(IntegerVisitor { range: Self::RANGE }).map(Self)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "integer",
                    "minimum": Self::RANGE.start(),
                    "maximum": Self::RANGE.end(),
                    "x-sensitivity": "tuning",
                })
            }
        }
    };
}

integer!(
    /// A TCP port. Zero means unset.
    Port, 0, 65_535
);
integer!(
    /// An ID that the operating system assigns: a user, group or process ID.
    SystemId, 0, 4_294_967_295
);
integer!(
    /// A limit in bytes. -1 means unlimited. The upper bound is the largest integer that a JSON number holds exactly.
    ByteLimit, -1, 9_007_199_254_740_991
);

/// Returns a number without a fractional part as an integer. JSON Schema, like YAML, treats `1.0` as an integer.
fn integral(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
    (number.fract() == 0.0 && number.abs() < 9.2e18).then_some(number as i64)
}

struct IntegerVisitor {
    range: std::ops::RangeInclusive<i64>,
}

impl IntegerVisitor {
    fn in_range<E: de::Error>(&self, number: Option<i64>) -> Result<i64, E> {
        match number {
            Some(number) if self.range.contains(&number) => Ok(number),
            _ => Err(E::custom(format_args!(
                "expected a whole number from {} to {}",
                self.range.start(),
                self.range.end()
            ))),
        }
    }
}

impl Visitor<'_> for IntegerVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", self.range.start(), self.range.end())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<i64, E> {
        self.in_range(Some(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<i64, E> {
        self.in_range(i64::try_from(number).ok())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<i64, E> {
        self.in_range(integral(number))
    }
}
