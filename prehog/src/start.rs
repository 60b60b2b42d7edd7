//! One start of an agent as it is stored. Depends on `day` and serde.
//!
//! The types have no field for the sender or for a time finer than a day, so neither can be stored.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::day::Day;

/// Replaces a value that this version does not know, such as a new join method.
pub const OTHER: &str = "other";

/// The value of a property.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PropertyValue {
    /// The start does not have the property.
    Absent,
    /// A string from the property's closed set of values, in this or an earlier version of the event, or [`OTHER`].
    Text(String),
    /// A number.
    Count(u32),
}

/// The values of the event's properties, in the order of [`EventSchema::properties`](crate::schema::EventSchema::properties).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Start(pub Box<[PropertyValue]>);

/// A start that was submitted, with the id that identifies repeated submissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The `distinct_id`: kept for a day, separately from the starts.
    pub id: [u8; 16],
    /// The day of arrival, by the receiver's clock.
    pub day: Day,
    /// The start to store.
    pub start: Start,
}

impl PropertyValue {
    /// Returns the string; empty if the value is absent or a number.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Absent | Self::Count(_) => "",
        }
    }

    /// Returns the number; 0 if the value is absent or a string.
    pub fn as_count(&self) -> u32 {
        match self {
            Self::Count(count) => *count,
            Self::Absent | Self::Text(_) => 0,
        }
    }
}

/// An absent value is serialised as null.
impl Serialize for PropertyValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Count(count) => serializer.serialize_u32(*count),
        }
    }
}

impl<'de> Deserialize<'de> for PropertyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PropertyValueVisitor)
    }
}

struct PropertyValueVisitor;

impl Visitor<'_> for PropertyValueVisitor {
    type Value = PropertyValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a 32-bit number or null")
    }

    fn visit_unit<E>(self) -> Result<PropertyValue, E> {
        Ok(PropertyValue::Absent)
    }

    fn visit_str<E>(self, text: &str) -> Result<PropertyValue, E> {
        Ok(PropertyValue::Text(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<PropertyValue, E> {
        u32::try_from(number).map(PropertyValue::Count).map_err(E::custom)
    }
}
