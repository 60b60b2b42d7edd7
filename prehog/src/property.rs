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

    /// Returns true if the values are numbers.
    pub fn is_count(&self) -> bool {
        matches!(self.rule.values, ValueSet::Count { .. })
    }

    /// Returns true if a string that is not in the set of values is stored as [`OTHER`].
    pub fn accepts_unknown(&self) -> bool {
        matches!(self.rule.values, ValueSet::Enum(_)) && self.rule.wire.values.is_none()
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

    /// Returns the name of the property that this one requires.
    pub(crate) fn required_name(rule: &Rule) -> Option<&str> {
        match &rule.source {
            PropertySource::Env(source) => source.requires.as_deref(),
            _ => None,
        }
    }

    /// Returns true if a value says more than that it is not in the closed set.
    pub(crate) fn is_listed(&self, value: &PropertyValue) -> bool {
        let unlisted = match &self.rule.source {
            PropertySource::Env(source) => source.unlisted.as_deref(),
            _ => None,
        };
        let text = value.as_str();
        self.rule.values.contains(text) && text != OTHER && Some(text) != unlisted
    }
}
