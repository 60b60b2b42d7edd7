//! The scalars of a configuration: strings, switches and numbers whose Rust type carries their `x-sensitivity`.
//! Depends on serde and schemars only.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// What a configuration property may reveal; the `x-sensitivity` of its schema.
///
/// Only a [`Category`](Sensitivity::Category) may become part of the telemetry event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sensitivity {
    /// Gives access: a token, a registration secret. Masked everywhere.
    Secret,
    /// Names a person, a machine or a resource of theirs. Masked in excerpts.
    Identifier,
    /// Says where something is: a path, an address.
    Location,
    /// Adjusts how something is done: a duration, a switch.
    Tuning,
    /// One of a closed set that this program defines, or how many of them.
    Category,
}

impl Sensitivity {
    /// Every class, most sensitive first.
    pub const ALL: [Self; 5] = [Self::Secret, Self::Identifier, Self::Location, Self::Tuning, Self::Category];

    /// The value of `x-sensitivity`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Identifier => "identifier",
            Self::Location => "location",
            Self::Tuning => "tuning",
            Self::Category => "category",
        }
    }

    /// The class that a schema's `x-sensitivity` names.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $class:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
        pub struct $name(String);

        impl $name {
            /// The text as it stands in the configuration.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether nothing was written.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
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

text!(
    /// A text that gives access. Prints as `...`.
    Secret, Secret
);
text!(
    /// A text that names somebody or something: a cluster, a resource, a principal. Prints as `...`.
    Identifier, Identifier
);
text!(
    /// A path or an address.
    Location, Location
);
text!(
    /// A text that adjusts how something is done.
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

/// A boolean that adjusts how something is done; `true` or `false`, nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("x-sensitivity" = "tuning"))]
pub struct Switch(pub bool);

/// Whether an optional switch is on; unset is off.
pub fn is_on(switch: Option<Switch>) -> bool {
    switch.is_some_and(|switch| switch.0)
}

/// The user or group name, or the numeric UID or GID, of a reader. Prints as `...`.
#[derive(Clone, PartialEq, Eq)]
pub struct Principal(String);

impl Principal {
    /// The name, or the number in decimal.
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
                f.write_str("a name or a numeric id")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Principal, E> {
                Ok(Principal(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, id: u64) -> Result<Principal, E> {
                match u32::try_from(id) {
                    Ok(id) => Ok(Principal(id.to_string())),
                    Err(_) => Err(E::custom("a numeric id has 32 bits")),
                }
            }

            fn visit_f64<E: de::Error>(self, id: f64) -> Result<Principal, E> {
                match integral(id) {
                    Some(id) if (0..=i64::from(u32::MAX)).contains(&id) => Ok(Principal(id.to_string())),
                    _ => Err(E::custom("a numeric id is a whole number of 32 bits")),
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
            "type": ["string", "integer"],
            "minimum": 0,
            "maximum": u32::MAX,
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
            /// The smallest and the largest value.
            pub const RANGE: std::ops::RangeInclusive<i64> = $minimum..=$maximum;

            /// The number.
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
    /// A TCP port; 0 means unset.
    Port, 0, 65_535
);
integer!(
    /// A number that the operating system gives: a user, group or process id.
    Number, 0, 4_294_967_295
);
integer!(
    /// A size in bytes; -1 means unlimited. The upper bound is what a JSON number holds exactly.
    ByteLimit, -1, 9_007_199_254_740_991
);

/// A number without a fractional part, as an integer. JSON Schema, like YAML, holds `1.0` for an integer.
fn integral(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
    (number.fract() == 0.0 && number.abs() < 9.2e18).then_some(number as i64)
}

struct IntegerVisitor {
    range: std::ops::RangeInclusive<i64>,
}

impl IntegerVisitor {
    fn check<E: de::Error>(&self, number: Option<i64>) -> Result<i64, E> {
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
        self.check(Some(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<i64, E> {
        self.check(i64::try_from(number).ok())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<i64, E> {
        self.check(integral(number))
    }
}
