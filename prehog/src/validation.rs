//! Validates a message and converts it to a start that can be stored, or to an error that names the invalid field. Pure:
//! follows the event's own schema, does no I/O, and knows nothing about the sender.
//!
//! Events carry no version, only properties. An older agent may omit some: an absent optional property and one that was added
//! after the first version of the event are stored as absent, an absent count is 0, and any other absent property makes the
//! event invalid. A newer agent may send more: unknown fields are dropped unread. The value of a string never makes the event
//! invalid: one outside the closed set is truncated, replaced or left out, as the declaration of the property says. An unknown
//! value of an enum on the wire makes the event invalid, like an unknown type of event.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tbot::event::internal::ValueSet;
use uuid::fmt::Hyphenated;
use uuid::{Variant, Version};

use crate::day::Day;
use crate::property::Property;
use crate::schema::{EventSchema, SchemaError};
use crate::start::{PropertyValue, Start, Submission};
use crate::wire::{SubmitTbotEventRequestView, TbotStartEventView, WireValue, start_event, start_fields};

/// The maximum difference between the timestamp of an event and the receiver's clock. The error about the timestamp names it.
pub const TIMESTAMP_TOLERANCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The reasons for which an event is invalid, in addition to its properties: the fields of the envelope, and a body that is
/// not a valid message.
pub const ENVELOPE_REASONS: [&str; 4] = ["distinct_id", "timestamp", "event", MALFORMED];

const MALFORMED: &str = "malformed";

/// An error that names the invalid field of an event. Contains no part of the event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {requirement}")]
pub struct InvalidEvent {
    /// The reason by which metrics count it: a property of the event, or one of [`ENVELOPE_REASONS`].
    pub reason: String,
    /// The name of the field in Connect JSON.
    pub field: String,
    /// The requirement on the field, such as `must be present`.
    pub requirement: String,
}

impl InvalidEvent {
    /// Returns the error of a body that is not a message of this protocol, if no field is known to be the cause.
    pub(crate) fn malformed(requirement: &str) -> Self {
        Self::envelope(MALFORMED, "body", requirement)
    }

    fn envelope(reason: &str, field: &str, requirement: &str) -> Self {
        Self { reason: reason.to_owned(), field: field.to_owned(), requirement: requirement.to_owned() }
    }

    fn property(property: &Property, requirement: &str) -> Self {
        Self {
            reason: property.name().to_owned(),
            field: format!("start.{}", property.rule.wire.name),
            requirement: requirement.to_owned(),
        }
    }

    fn out_of_bounds(property: &Property) -> Self {
        let ValueSet::Count { minimum, maximum } = property.rule.values else {
            return Self::property(property, "must not be a number");
        };
        let sum = if property.parts.is_empty() { "" } else { ", including the sum with the other counts" };
        Self::property(property, &format!("must be from {minimum} to {maximum}{sum}"))
    }
}

/// Validates events against the version of the schema that is built into this program.
#[derive(Clone, Copy, Debug)]
pub struct EventValidator {
    schema: &'static EventSchema,
}

impl EventValidator {
    /// Creates a validator from the embedded schema of the event.
    ///
    /// # Errors
    ///
    /// Returns an error if this receiver does not support the schema.
    pub fn new() -> Result<Self, SchemaError> {
        Ok(Self { schema: EventSchema::embedded()? })
    }

    /// Returns the schema that events are validated against.
    pub fn schema(&self) -> &'static EventSchema {
        self.schema
    }

    /// Returns every reason for which an event can be invalid, for the metrics.
    pub fn reasons(&self) -> Vec<String> {
        ENVELOPE_REASONS.into_iter().chain(self.schema.names()).map(str::to_owned).collect()
    }

    /// Validates a message that was received at `now`.
    ///
    /// # Errors
    ///
    /// Returns an error that names the first invalid field.
    pub fn validate(
        &self,
        request: &SubmitTbotEventRequestView<'_>,
        now: SystemTime,
    ) -> Result<Submission, InvalidEvent> {
        let id = uuid_v4(request.distinct_id).ok_or_else(|| {
            InvalidEvent::envelope("distinct_id", "distinctId", "must be a hyphenated UUID v4")
        })?;
        if let Some(timestamp) = request.timestamp.as_option()
            && !is_close(timestamp.seconds, timestamp.nanos, now)
        {
            let requirement = "must be absent, or within 24 hours of the current time";
            return Err(InvalidEvent::envelope("timestamp", "timestamp", requirement));
        }
        let event = start_event(request).ok_or_else(|| {
            InvalidEvent::envelope("event", "start", "must be present; it is the only supported event")
        })?;
        Ok(Submission { id, day: Day::of(now), start: self.start(event)? })
    }

    fn start(&self, event: &TbotStartEventView<'_>) -> Result<Start, InvalidEvent> {
        let fields = start_fields(event);
        let properties = &self.schema.properties;
        let mut values = Vec::with_capacity(properties.len());
        for (property, field) in properties.iter().zip(&fields) {
            values.push(match field {
                _ if !self.schema.permits(property, &values) => property.default_value(),
                WireValue::Enum(number) => enum_value(property, *number)?,
                WireValue::String(string) => string_value(property, string)?,
                WireValue::Count(number) => self.count_value(property, *number, &fields)?,
            });
        }
        Ok(Start(values.into()))
    }

    /// Validates a count. A count that is sent without its parts is stored as the sum with these parts, and must be within its
    /// bounds.
    fn count_value(
        &self,
        property: &Property,
        number: i32,
        fields: &[WireValue<'_>],
    ) -> Result<PropertyValue, InvalidEvent> {
        let mut total = bounded(property, i64::from(number))?;
        for part in &property.parts {
            if let (Some(part), Some(WireValue::Count(number))) =
                (self.schema.properties.get(*part), fields.get(*part))
            {
                total += bounded(part, i64::from(*number))?;
            }
        }
        let total = u32::try_from(bounded(property, total)?);
        total.map(PropertyValue::Count).map_err(|_| InvalidEvent::out_of_bounds(property))
    }
}

/// Validates the number of an enum on the wire: the position of the value in the set, from 1 on, or 0 if it is absent.
fn enum_value(property: &Property, number: i32) -> Result<PropertyValue, InvalidEvent> {
    if number == 0 && !property.is_always_sent() {
        return Ok(PropertyValue::Absent);
    }
    let position = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    let value = match &property.rule.values {
        ValueSet::Enum(values) => position.and_then(|position| values.get(position)),
        ValueSet::Pattern(_) | ValueSet::Count { .. } => None,
    };
    value.map(|value| PropertyValue::Text(value.clone())).ok_or_else(|| {
        let names = property.enum_names().unwrap_or_default();
        InvalidEvent::property(property, &format!("must be {}", names.join(" or ")))
    })
}

/// Validates a string. What is stored is in the property's closed set of values, or represents all values outside it.
fn string_value(property: &Property, string: &str) -> Result<PropertyValue, InvalidEvent> {
    if property.is_count() {
        return Err(InvalidEvent::property(property, "must be a number"));
    }
    if string.is_empty() {
        return if property.is_always_sent() {
            Err(InvalidEvent::property(property, "must be present"))
        } else {
            Ok(PropertyValue::Absent)
        };
    }
    let listed = property.rule.listed_value(string).map(|listed| PropertyValue::Text(listed.to_owned()));
    Ok(listed.unwrap_or_else(|| property.unlisted_value()))
}

fn bounded(property: &Property, number: i64) -> Result<i64, InvalidEvent> {
    match property.rule.values {
        ValueSet::Count { minimum, maximum }
            if u64::try_from(number).is_ok_and(|number| (minimum..=maximum).contains(&number)) =>
        {
            Ok(number)
        }
        _ => Err(InvalidEvent::out_of_bounds(property)),
    }
}

fn is_close(seconds: i64, nanos: i32, now: SystemTime) -> bool {
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let distance = i64::try_from(now).unwrap_or(i64::MAX).abs_diff(seconds);
    (0..1_000_000_000).contains(&nanos) && distance <= TIMESTAMP_TOLERANCE.as_secs()
}

/// Parses a hyphenated UUID v4.
fn uuid_v4(string: &str) -> Option<[u8; 16]> {
    let id = string.parse::<Hyphenated>().ok()?.into_uuid();
    let is_v4 = id.get_variant() == Variant::RFC4122 && id.get_version() == Some(Version::Random);
    is_v4.then(|| id.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_hyphenated_uuid_v4_is_a_distinct_id() {
        assert!(uuid_v4("6f1c8e0a-6f0e-4b53-9d0c-3f2a5f3e7b11").is_some());
        assert!(uuid_v4("6F1C8E0A-6F0E-4B53-9D0C-3F2A5F3E7B11").is_some());
        for string in [
            "",
            "6f1c8e0a6f0e4b539d0c3f2a5f3e7b11",
            "{6f1c8e0a-6f0e-4b53-9d0c-3f2a5f3e7b11}",
            "urn:uuid:6f1c8e0a-6f0e-4b53-9d0c-3f2a5f3e7b11",
            "6f1c8e0a-6f0e-1b53-9d0c-3f2a5f3e7b11",
            "6f1c8e0a-6f0e-4b53-cd0c-3f2a5f3e7b11",
            "6f1c8e0a-6f0e-4b53-9d0c-3f2a5f3e7b1g",
            "6f1c8e0a-6f0e-4b53-9d0c-3f2a5f3e7b111",
            "6f1c8e0a-6f0e-4b53-9d0c-3f2a5f3e-b11",
        ] {
            assert_eq!(uuid_v4(string), None, "{string}");
        }
    }

    #[test]
    fn a_timestamp_must_be_within_a_day() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert!(is_close(1_000_000 - 86_400, 0, now));
        assert!(is_close(1_000_000 + 86_400, 999_999_999, now));
        assert!(!is_close(1_000_000 - 86_401, 0, now));
        assert!(!is_close(1_000_000 + 86_401, 0, now));
        assert!(!is_close(1_000_000, -1, now));
        assert!(!is_close(i64::MIN, 0, now));
    }

    #[test]
    fn only_a_property_that_is_not_always_sent_may_be_absent() {
        let mut run_mode = EventSchema::embedded().unwrap().properties[0].clone();
        assert_eq!(enum_value(&run_mode, 0).unwrap_err().reason, "run_mode");
        run_mode.rule.required = false;
        assert_eq!(enum_value(&run_mode, 0), Ok(PropertyValue::Absent));
        assert_eq!(enum_value(&run_mode, 1), Ok(PropertyValue::Text("one-shot".to_owned())));
    }
}
