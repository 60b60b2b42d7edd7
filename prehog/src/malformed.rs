//! Finds the field because of which a JSON body could not be parsed. Pure.

use serde_json::Value;
use tbot::event::internal::ValueSet;

use crate::property::Property;
use crate::schema::EventSchema;
use crate::validation::InvalidEvent;

/// The fields of a request that are read.
#[derive(Clone, Debug)]
pub(crate) struct JsonFields {
    /// The fields. An object precedes its fields.
    fields: Vec<JsonField>,
}

#[derive(Clone, Debug)]
struct JsonField {
    /// The JSON pointer to it.
    pointer: String,
    json_type: JsonType,
    /// The reason by which metrics count an event with a wrong value of it.
    reason: String,
}

/// The type of a field in Connect JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
enum JsonType {
    String,
    /// A 32-bit integer, as a number or as a string of digits, and its bounds.
    Count {
        minimum: u64,
        maximum: u64,
    },
    /// One of these names, or its number. The name of the number 0 can be parsed, but is not a value.
    Enum {
        names: Vec<String>,
        unspecified: String,
    },
    /// A time in RFC 3339 format.
    Time,
    Object,
}

impl JsonFields {
    /// Derives the fields from the schema.
    pub(crate) fn new(schema: &EventSchema) -> Self {
        let field = |pointer: &str, json_type, reason: &str| JsonField {
            pointer: pointer.to_owned(),
            json_type,
            reason: reason.to_owned(),
        };
        let envelope = [
            field("/distinctId", JsonType::String, "distinct_id"),
            field("/timestamp", JsonType::Time, "timestamp"),
            field("/start", JsonType::Object, "event"),
        ];
        let properties = schema.properties.iter().map(|property| {
            let pointer = format!("/start/{}", property.rule.wire.name);
            field(&pointer, JsonType::of(property), property.name())
        });
        Self { fields: envelope.into_iter().chain(properties).collect() }
    }

    /// Returns an error that names the field because of which `body` could not be parsed.
    pub(crate) fn explain(&self, body: &[u8]) -> InvalidEvent {
        let Ok(value @ Value::Object(_)) = serde_json::from_slice(body) else {
            return InvalidEvent::malformed("must be a JSON object");
        };
        let mut fields = self.fields.iter();
        let mismatch = fields
            .find(|field| value.pointer(&field.pointer).is_some_and(|value| !field.json_type.accepts(value)));
        match mismatch {
            Some(JsonField { pointer, json_type, reason }) => InvalidEvent {
                reason: reason.clone(),
                field: pointer.trim_start_matches('/').replace('/', "."),
                requirement: format!("must be {}", json_type.description()),
            },
            None => InvalidEvent::malformed("must be a SubmitTbotEventRequest in Connect JSON"),
        }
    }
}

impl JsonType {
    fn of(property: &Property) -> Self {
        match (&property.rule.values, property.enum_names()) {
            (ValueSet::Count { minimum, maximum }, _) => Self::Count { minimum: *minimum, maximum: *maximum },
            (_, Some(names)) => Self::Enum {
                names: names.into_iter().map(str::to_owned).collect(),
                unspecified: property.unspecified_name(),
            },
            (_, None) => Self::String,
        }
    }

    /// Describes the type for an error message.
    fn description(&self) -> String {
        match self {
            Self::String => "a string".to_owned(),
            Self::Count { minimum, maximum } => format!("an integer from {minimum} to {maximum}"),
            Self::Enum { names, .. } => names.join(" or "),
            Self::Time => "a time such as 2026-11-22T00:00:00Z".to_owned(),
            Self::Object => "an object".to_owned(),
        }
    }

    /// Returns true if the type of a value can be parsed. Null is the same as an absent field.
    fn accepts(&self, value: &Value) -> bool {
        match (self, value) {
            (_, Value::Null) => true,
            (Self::String, value) => value.is_string(),
            (Self::Object, value) => value.is_object(),
            (Self::Time, value) => value.as_str().is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok()),
            (Self::Count { .. }, Value::String(digits)) => digits.parse::<i32>().is_ok(),
            (Self::Count { .. }, value) => value.as_f64().is_some_and(|number| {
                number.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number)
            }),
            (Self::Enum { names, unspecified }, Value::String(name)) => {
                names.contains(name) || name == unspecified
            }
            // Any number can be parsed; the validation rejects one that is not in the enum.
            (Self::Enum { .. }, value) => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_error_says_what_the_field_must_be() {
        let fields = JsonFields::new(EventSchema::embedded().unwrap());
        let bodies = [
            json!(7),
            json!({ "distinctId": 7 }),
            json!({ "timestamp": "yesterday" }),
            json!({ "start": [] }),
            json!({ "start": { "runMode": "RUN_MODE_SOMETIMES" } }),
            json!({ "start": { "destinationsOther": 1.5 } }),
            json!({ "start": {} }),
        ];
        let errors = bodies.map(|body| fields.explain(body.to_string().as_bytes()).to_string());
        insta::assert_snapshot!(errors.join("\n"), @r"
        body: must be a JSON object
        distinctId: must be a string
        timestamp: must be a time such as 2026-11-22T00:00:00Z
        start: must be an object
        start.runMode: must be RUN_MODE_ONE_SHOT or RUN_MODE_DAEMON
        start.destinationsOther: must be an integer from 0 to 2147483647
        body: must be a SubmitTbotEventRequest in Connect JSON
        ");
    }
}
