//! A property of the event, as the receiver uses it: its declaration, resolved against the other declarations. Pure.

use tbot::event::internal::{PropertySource, Rule, ValueSet};

use crate::start::{OTHER, PropertyValue};

/// The first version of the event. Every agent sends the required properties of this version.
const FIRST_VERSION: u32 = 1;

/// A property of the event.
#[derive(Clone, Debug)]
pub struct Property {
    /// The declaration.
    pub rule: Rule,
    /// The indices of the properties that the wire subtracts from this count.
    pub(crate) parts: Vec<usize>,
    /// The index of the property that this one requires: this one has a value only if that one has a listed value.
    pub(crate) requires: Option<usize>,
}

impl Property {
    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.rule.name
    }

    /// Returns the name of the protobuf field, whose name in JSON is the wire name.
    pub fn proto_name(&self) -> String {
        let mut name = String::new();
        for letter in self.rule.wire.name.chars() {
            if letter.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// Returns the name of the value 0 of an enum on the wire, which means that the property is absent.
    pub fn unspecified_name(&self) -> String {
        format!("{}_UNSPECIFIED", self.proto_name().to_ascii_uppercase())
    }

    /// Returns the names of the values of an enum on the wire, in the order of their numbers from 1 on. `None` if the property is
    /// not an enum on the wire.
    pub(crate) fn enum_names(&self) -> Option<Vec<&str>> {
        match (&self.rule.values, &self.rule.wire.values) {
            (ValueSet::Enum(values), Some(names)) => {
                Some(values.iter().filter_map(|value| names.get(value).map(String::as_str)).collect())
            }
            _ => None,
        }
    }

    /// Returns true if the values are numbers.
    pub fn is_count(&self) -> bool {
        matches!(self.rule.values, ValueSet::Count { .. })
    }

    /// Returns true if the property is a string on the wire, so that a sender can send values that are not in the set.
    pub fn is_string_on_wire(&self) -> bool {
        !self.is_count() && self.rule.wire.values.is_none()
    }

    /// Returns true if the number of different values per week is limited, because the values are not a list but a pattern.
    pub(crate) fn is_limited(&self) -> bool {
        matches!(self.rule.values, ValueSet::Pattern(_))
    }

    /// Returns what is stored instead of a string that is not in the set, or that is one too many in its week. A value from the
    /// environment is treated as the agent treats it: it is replaced or left out, as its declaration says. Any other value is
    /// stored as [`OTHER`].
    pub fn unlisted_value(&self) -> PropertyValue {
        let replacement = match &self.rule.source {
            PropertySource::Env(source) => source.unlisted.clone(),
            _ => Some(OTHER.to_owned()),
        };
        replacement.map_or(PropertyValue::Absent, PropertyValue::Text)
    }

    /// Returns true if every agent sends the property. Agents of earlier versions do not send properties that were added
    /// later.
    pub fn is_always_sent(&self) -> bool {
        self.rule.required && self.rule.since <= FIRST_VERSION
    }

    /// Returns the value that is stored if the event does not have the property.
    pub fn default_value(&self) -> PropertyValue {
        if self.is_count() { PropertyValue::Count(0) } else { PropertyValue::Absent }
    }

    /// Returns true if a stored value says more than that it is not in the set.
    pub(crate) fn is_listed(&self, value: &PropertyValue) -> bool {
        *value != PropertyValue::Absent && *value != self.unlisted_value()
    }
}
