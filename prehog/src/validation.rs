//! Validates a message and converts it to a start that can be stored, or to an error that names the invalid field. Pure:
//! uses the event's own schema (`tbot::event::Rules`), does no I/O, and knows nothing about the sender.
//!
//! Events carry no version, only properties. An older agent may omit some: an absent optional property is `None`, an absent
//! count is 0, and any other absent property makes the event invalid. A newer agent may send more: unknown fields are dropped
//! unread; an unknown join method or helper becomes `other`; an unknown run mode or type of event makes the event invalid.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use buffa::Enumeration as _;
use tbot::event::{PropertySource, Rule, Rules, RulesError, ValueSet};

use crate::day::Day;
use crate::start::{OTHER, Start, Submission};
use crate::wire::{SubmitTbotEventRequestView, TbotStartEventView, start_event};

/// The maximum difference between the timestamp of an event and the receiver's clock.
pub const TIMESTAMP_TOLERANCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The reasons for which an event is invalid, in addition to its properties: the fields of the envelope, and a body that is
/// not a valid message.
pub const ENVELOPE_REASONS: [&str; 4] = ["distinct_id", "timestamp", "event", "malformed"];

/// An error that names the invalid field of an event. Contains no part of the event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {requirement}")]
pub struct InvalidEvent {
    /// The reason by which metrics count it: a property of the event, or one of [`ENVELOPE_REASONS`].
    pub reason: String,
    /// The name of the field in Connect JSON.
    pub field: String,
    /// What the field must be.
    pub requirement: String,
}

/// Validates events against the version of the schema that is built into this program.
#[derive(Clone, Debug)]
pub struct EventValidator {
    rules: Rules,
    run_modes: BTreeMap<i32, String>,
}

/// An error that occurs if this receiver does not support the event's schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The schema itself is invalid.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// [`Start`] has no field for a property.
    #[error("the property `{0}` of the event has no field in `Start`")]
    UnknownProperty(String),
}

impl EventValidator {
    /// Creates a validator from the embedded schema of the event.
    ///
    /// # Errors
    ///
    /// Returns an error if the schema has a property for which [`Start`] has no field.
    pub fn new() -> Result<Self, SchemaError> {
        let rules = Rules::embedded()?;
        let mut run_modes = BTreeMap::new();
        for rule in &rules.properties {
            if !(1..=9).contains(&rule.wire.field) {
                return Err(SchemaError::UnknownProperty(rule.name.clone()));
            }
            for (value, name) in rule.wire.values.iter().flatten() {
                let mode = crate::wire::RunMode::from_proto_name(name)
                    .ok_or_else(|| SchemaError::UnknownProperty(rule.name.clone()))?;
                run_modes.insert(mode.to_i32(), value.clone());
            }
        }
        Ok(Self { rules, run_modes })
    }

    /// Returns the rules of the schema.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns every reason for which an event can be invalid, for the metrics.
    pub fn reasons(&self) -> Vec<String> {
        let properties = self.rules.properties.iter().map(|rule| rule.name.clone());
        ENVELOPE_REASONS.iter().map(|name| (*name).to_owned()).chain(properties).collect()
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
        let id = uuid_v4(request.distinct_id)
            .ok_or_else(|| invalid_envelope("distinct_id", "distinctId", "must be a hyphenated UUID v4"))?;
        if let Some(timestamp) = request.timestamp.as_option()
            && !is_close(timestamp.seconds, timestamp.nanos, now)
        {
            let requirement = "must be absent, or within 24 hours of the current time";
            return Err(invalid_envelope("timestamp", "timestamp", requirement));
        }
        let Some(event) = start_event(request) else {
            return Err(invalid_envelope(
                "event",
                "start",
                "must be present; it is the only supported event",
            ));
        };
        Ok(Submission { id, day: Day::of(now), start: self.start(event)? })
    }

    fn start(&self, event: &TbotStartEventView<'_>) -> Result<Start, InvalidEvent> {
        let mut start = Start {
            run_mode: String::new(),
            version: String::new(),
            join_type: String::new(),
            helper: None,
            helper_version: None,
            destinations_configured: 0,
            destinations_configured_database_access: 0,
            destinations_configured_kubernetes_access: 0,
            destinations_configured_application_access: 0,
        };
        for rule in &self.rules.properties {
            match rule.wire.field {
                1 => start.run_mode = self.run_mode(rule, event.run_mode.to_i32())?,
                2 => start.version = string(rule, event.version)?.unwrap_or_default(),
                3 => start.join_type = string(rule, event.join_type)?.unwrap_or_default(),
                4 => start.helper = string(rule, event.helper)?,
                5 => {
                    let is_known = start.helper.as_deref().is_some_and(|helper| helper != OTHER);
                    if is_known || !needs_known_companion(rule) {
                        start.helper_version = string(rule, event.helper_version)?;
                    }
                }
                6 => start.destinations_configured = self.total(rule, event)?,
                7 => start.destinations_configured_database_access = count(rule, event, 7)?,
                8 => start.destinations_configured_kubernetes_access = count(rule, event, 8)?,
                9 => start.destinations_configured_application_access = count(rule, event, 9)?,
                _ => return Err(invalid(rule, "is not supported")),
            }
        }
        Ok(start)
    }

    fn run_mode(&self, rule: &Rule, number: i32) -> Result<String, InvalidEvent> {
        self.run_modes.get(&number).cloned().ok_or_else(|| {
            let names: Vec<&str> = rule.wire.values.iter().flatten().map(|(_, name)| name.as_str()).collect();
            invalid(rule, &format!("must be one of {}", names.join(", ")))
        })
    }

    /// Returns the sum of a count that is sent without its parts and of these parts. The sum must be within the bounds.
    fn total(&self, rule: &Rule, event: &TbotStartEventView<'_>) -> Result<u32, InvalidEvent> {
        let mut total = u64::from(count(rule, event, rule.wire.field)?);
        for part in self.rules.properties.iter().filter(|part| rule.wire.minus.contains(&part.name)) {
            total += u64::from(count(part, event, part.wire.field)?);
        }
        bounded(rule, total)
    }
}

/// Validates a string against its closed set of values. Returns `None` if it is absent.
fn string(rule: &Rule, value: &str) -> Result<Option<String>, InvalidEvent> {
    if value.is_empty() {
        return if rule.required { Err(invalid(rule, "must be present")) } else { Ok(None) };
    }
    match &rule.values {
        values if values.contains(value) => Ok(Some(value.to_owned())),
        ValueSet::Enum(_) => Ok(Some(OTHER.to_owned())),
        ValueSet::Pattern(pattern) => Err(invalid(rule, &format!("must match {}", pattern.as_str()))),
        ValueSet::Count { .. } => Err(invalid(rule, "must be a number")),
    }
}

fn count(rule: &Rule, event: &TbotStartEventView<'_>, field: u32) -> Result<u32, InvalidEvent> {
    let number = match field {
        6 => event.destinations_other,
        7 => event.destinations_database,
        8 => event.destinations_kubernetes,
        _ => event.destinations_application,
    };
    bounded(rule, u64::try_from(number).map_err(|_| out_of_bounds(rule))?)
}

fn bounded(rule: &Rule, number: u64) -> Result<u32, InvalidEvent> {
    match rule.values {
        ValueSet::Count { minimum, maximum } if (minimum..=maximum).contains(&number) => {
            u32::try_from(number).map_err(|_| out_of_bounds(rule))
        }
        _ => Err(out_of_bounds(rule)),
    }
}

fn out_of_bounds(rule: &Rule) -> InvalidEvent {
    match (&rule.values, rule.wire.minus.is_empty()) {
        (ValueSet::Count { minimum, maximum }, true) => {
            invalid(rule, &format!("must be from {minimum} to {maximum}"))
        }
        (ValueSet::Count { minimum, maximum }, false) => invalid(
            rule,
            &format!("must be from {minimum} to {maximum}, including the sum with the other counts"),
        ),
        _ => invalid(rule, "must be a number"),
    }
}

/// Returns true if a property is used only together with a known value of another one.
fn needs_known_companion(rule: &Rule) -> bool {
    matches!(&rule.source, PropertySource::Env(source) if source.requires.is_some())
}

fn invalid(rule: &Rule, requirement: &str) -> InvalidEvent {
    InvalidEvent {
        reason: rule.name.clone(),
        field: format!("start.{}", rule.wire.name),
        requirement: requirement.to_owned(),
    }
}

fn invalid_envelope(reason: &str, field: &str, requirement: &str) -> InvalidEvent {
    InvalidEvent { reason: reason.to_owned(), field: field.to_owned(), requirement: requirement.to_owned() }
}

/// Finds the field because of which a JSON body could not be parsed.
pub fn malformed_json(body: &[u8]) -> InvalidEvent {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else {
        return invalid_envelope("malformed", "body", "must be a JSON object");
    };
    let mismatch = crate::wire::FIELDS
        .iter()
        .find(|(pointer, json_type)| value.pointer(pointer).is_some_and(|value| !json_type.accepts(value)));
    match mismatch {
        Some((pointer, json_type)) => {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            invalid_envelope("malformed", &field, &format!("must be {}", json_type.description()))
        }
        None => invalid_envelope("malformed", "body", "must be a SubmitTbotEventRequest in Connect JSON"),
    }
}

fn is_close(seconds: i64, nanos: i32, now: SystemTime) -> bool {
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let distance = i64::try_from(now).unwrap_or(i64::MAX).abs_diff(seconds);
    (0..1_000_000_000).contains(&nanos) && distance <= TIMESTAMP_TOLERANCE.as_secs()
}

/// Parses a hyphenated UUID v4.
fn uuid_v4(string: &str) -> Option<[u8; 16]> {
    let bytes = string.as_bytes();
    let hyphens = [8, 13, 18, 23];
    if bytes.len() != 36 || !hyphens.iter().all(|at| bytes.get(*at) == Some(&b'-')) {
        return None;
    }
    let mut digits = bytes.iter().filter(|byte| **byte != b'-').map(|byte| char::from(*byte).to_digit(16));
    let mut id = [0; 16];
    for byte in &mut id {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    let is_v4 = id[6] >> 4 == 4 && id[8] >> 6 == 0b10;
    (is_v4 && digits.next().is_none()).then_some(id)
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
}
