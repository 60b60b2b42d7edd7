//! From a message on the wire to a start that may be stored, or to a refusal that names the field. Pure: it reads the
//! event's own schema (`tbot::event::Rules`), does no I/O, and knows nothing of the sender.
//!
//! Which versions of the event are taken: an event carries no version, only properties. An older agent lacks some: an
//! optional property that is absent is none, an absent count is 0, any other absent property is refused. A newer agent
//! has more: fields that are not known here are dropped before anything looks at them; a join method or a helper that
//! is not listed here becomes `other`; a run mode or a kind of event that is not known here is refused.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use buffa::Enumeration as _;
use tbot::event::{Rule, Rules, RulesError, Source, Values};

use crate::day::Day;
use crate::start::{OTHER, Start, Submission};
use crate::wire::{StartEventView, SubmitTbotEventRequestView, start_of};

/// How far a sender's clock may be from ours.
pub const TIMESTAMP_TOLERANCE: Duration = Duration::from_secs(24 * 60 * 60);

/// Fields that an event is refused for beside its own properties: the envelope's, and what is no message at all.
pub const ENVELOPE: [&str; 4] = ["distinct_id", "timestamp", "event", "malformed"];

/// An event does not fit. Holds nothing of what was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Refusal {
    /// What it is counted by: a property of the event, or one of [`ENVELOPE`].
    pub reason: String,
    /// The field, by its name in Connect JSON.
    pub field: String,
    /// What the field must be.
    pub why: String,
}

/// The checks of this program's version of the event.
#[derive(Clone, Debug)]
pub struct Checks {
    rules: Rules,
    modes: BTreeMap<i32, String>,
}

/// The event's schema and this receiver do not belong together.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The schema itself is not usable.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// A property has no place in what is stored.
    #[error("the event has `{0}`, which this receiver does not store: give it a place in `Start`")]
    Unstored(String),
}

impl Checks {
    /// The checks that the embedded schema of the event asks for.
    ///
    /// # Errors
    ///
    /// Where the schema has a property that [`Start`] has no field for.
    pub fn new() -> Result<Self, SchemaError> {
        let rules = Rules::embedded()?;
        let mut modes = BTreeMap::new();
        for rule in &rules.properties {
            if !(1..=9).contains(&rule.wire.field) {
                return Err(SchemaError::Unstored(rule.name.clone()));
            }
            for (value, name) in rule.wire.values.iter().flatten() {
                let mode = crate::wire::RunMode::from_proto_name(name)
                    .ok_or_else(|| SchemaError::Unstored(rule.name.clone()))?;
                modes.insert(mode.to_i32(), value.clone());
            }
        }
        Ok(Self { rules, modes })
    }

    /// The rules that are checked.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What events may be refused for, in words that metrics can use.
    pub fn reasons(&self) -> Vec<String> {
        let properties = self.rules.properties.iter().map(|rule| rule.name.clone());
        ENVELOPE.iter().map(|name| (*name).to_owned()).chain(properties).collect()
    }

    /// Checks one message against the receiver's time.
    ///
    /// # Errors
    ///
    /// With the first field that does not fit.
    pub fn check(
        &self,
        request: &SubmitTbotEventRequestView<'_>,
        now: SystemTime,
    ) -> Result<Submission, Refusal> {
        let id = uuid_v4(request.distinct_id).ok_or_else(|| {
            envelope("distinct_id", "distinctId", "must be a UUID v4 in its hyphenated form")
        })?;
        if let Some(timestamp) = request.timestamp.as_option()
            && !is_near(timestamp.seconds, timestamp.nanos, now)
        {
            return Err(envelope("timestamp", "timestamp", "must be within a day of now, or left out"));
        }
        let Some(event) = start_of(request) else {
            return Err(envelope("event", "start", "must be there: it is the one event that is known here"));
        };
        Ok(Submission { id, day: Day::of(now), start: self.start(event)? })
    }

    fn start(&self, event: &StartEventView<'_>) -> Result<Start, Refusal> {
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
                1 => start.run_mode = self.mode(rule, event.run_mode.to_i32())?,
                2 => start.version = text(rule, event.version)?.unwrap_or_default(),
                3 => start.join_type = text(rule, event.join_type)?.unwrap_or_default(),
                4 => start.helper = text(rule, event.helper)?,
                5 => {
                    let listed = start.helper.as_deref().is_some_and(|helper| helper != OTHER);
                    if listed || !is_beside(rule) {
                        start.helper_version = text(rule, event.helper_version)?;
                    }
                }
                6 => start.destinations_configured = self.total(rule, event)?,
                7 => start.destinations_configured_database_access = count(rule, event, 7)?,
                8 => start.destinations_configured_kubernetes_access = count(rule, event, 8)?,
                9 => start.destinations_configured_application_access = count(rule, event, 9)?,
                _ => return Err(refuse(rule, "has no place here")),
            }
        }
        Ok(start)
    }

    fn mode(&self, rule: &Rule, number: i32) -> Result<String, Refusal> {
        self.modes.get(&number).cloned().ok_or_else(|| {
            let names: Vec<&str> = rule.wire.values.iter().flatten().map(|(_, name)| name.as_str()).collect();
            refuse(rule, &format!("must be one of {}", names.join(", ")))
        })
    }

    /// A count that travels without those of its parts: all of them together must be in its bounds.
    fn total(&self, rule: &Rule, event: &StartEventView<'_>) -> Result<u32, Refusal> {
        let mut total = u64::from(count(rule, event, rule.wire.field)?);
        for part in self.rules.properties.iter().filter(|part| rule.wire.minus.contains(&part.name)) {
            total += u64::from(count(part, event, part.wire.field)?);
        }
        bounded(rule, total)
    }
}

/// A text in its closed set; none where it is absent.
fn text(rule: &Rule, text: &str) -> Result<Option<String>, Refusal> {
    if text.is_empty() {
        return if rule.required { Err(refuse(rule, "must be there")) } else { Ok(None) };
    }
    match &rule.values {
        values if values.contain(text) => Ok(Some(text.to_owned())),
        Values::Enum(_) => Ok(Some(OTHER.to_owned())),
        Values::Pattern(pattern) => Err(refuse(rule, &format!("must match {}", pattern.as_str()))),
        Values::Count { .. } => Err(refuse(rule, "must be a number")),
    }
}

fn count(rule: &Rule, event: &StartEventView<'_>, field: u32) -> Result<u32, Refusal> {
    let number = match field {
        6 => event.destinations_other,
        7 => event.destinations_database,
        8 => event.destinations_kubernetes,
        _ => event.destinations_application,
    };
    bounded(rule, u64::try_from(number).map_err(|_| out_of_bounds(rule))?)
}

fn bounded(rule: &Rule, number: u64) -> Result<u32, Refusal> {
    match rule.values {
        Values::Count { minimum, maximum } if (minimum..=maximum).contains(&number) => {
            u32::try_from(number).map_err(|_| out_of_bounds(rule))
        }
        _ => Err(out_of_bounds(rule)),
    }
}

fn out_of_bounds(rule: &Rule) -> Refusal {
    match (&rule.values, rule.wire.minus.is_empty()) {
        (Values::Count { minimum, maximum }, true) => {
            refuse(rule, &format!("must be from {minimum} to {maximum}"))
        }
        (Values::Count { minimum, maximum }, false) => {
            refuse(rule, &format!("must be from {minimum} to {maximum}, also together with the other counts"))
        }
        _ => refuse(rule, "must be a number"),
    }
}

/// Whether a property goes only beside another one that is listed.
fn is_beside(rule: &Rule) -> bool {
    matches!(&rule.source, Source::Env(source) if source.beside.is_some())
}

fn refuse(rule: &Rule, why: &str) -> Refusal {
    Refusal { reason: rule.name.clone(), field: format!("start.{}", rule.wire.name), why: why.to_owned() }
}

fn envelope(reason: &str, field: &str, why: &str) -> Refusal {
    Refusal { reason: reason.to_owned(), field: field.to_owned(), why: why.to_owned() }
}

/// Says which field of a JSON body is why it could not be read at all.
pub fn malformed(body: &[u8]) -> Refusal {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else {
        return envelope("malformed", "body", "must be one JSON object, as Connect asks for");
    };
    let found = crate::wire::FIELDS.iter().find_map(|(pointer, kind)| {
        value.pointer(pointer).filter(|value| !kind.holds(value)).map(|_| (pointer, kind))
    });
    match found {
        Some((pointer, kind)) => {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            envelope("malformed", &field, &format!("must be {}", kind.name()))
        }
        None => envelope("malformed", "body", "must be the Connect JSON of a SubmitTbotEventRequest"),
    }
}

fn is_near(seconds: i64, nanos: i32, now: SystemTime) -> bool {
    let ours = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let distance = i64::try_from(ours).unwrap_or(i64::MAX).abs_diff(seconds);
    (0..1_000_000_000).contains(&nanos) && distance <= TIMESTAMP_TOLERANCE.as_secs()
}

/// The bytes of a UUID v4 in its hyphenated form.
fn uuid_v4(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
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
    fn a_distinct_id_is_a_uuid_v4() {
        assert!(uuid_v4("6f1c8e0a-6f0e-4b53-9d0c-3f2a5f3e7b11").is_some());
        assert!(uuid_v4("6F1C8E0A-6F0E-4B53-9D0C-3F2A5F3E7B11").is_some());
        for text in [
            "",
            "6f1c8e0a6f0e4b539d0c3f2a5f3e7b11",
            "6f1c8e0a-6f0e-1b53-9d0c-3f2a5f3e7b11",
            "6f1c8e0a-6f0e-4b53-cd0c-3f2a5f3e7b11",
            "6f1c8e0a-6f0e-4b53-9d0c-3f2a5f3e7b1g",
            "6f1c8e0a-6f0e-4b53-9d0c-3f2a5f3e7b111",
            "6f1c8e0a-6f0e-4b53-9d0c-3f2a5f3e-b11",
        ] {
            assert_eq!(uuid_v4(text), None, "{text}");
        }
    }

    #[test]
    fn a_timestamp_is_near() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert!(is_near(1_000_000 - 86_400, 0, now));
        assert!(is_near(1_000_000 + 86_400, 999_999_999, now));
        assert!(!is_near(1_000_000 - 86_401, 0, now));
        assert!(!is_near(1_000_000 + 86_401, 0, now));
        assert!(!is_near(1_000_000, -1, now));
        assert!(!is_near(i64::MIN, 0, now));
    }
}
