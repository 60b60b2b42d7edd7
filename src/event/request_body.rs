//! Writes an event as the body of the Connect JSON request, following the `x-wire` keywords. Pure.

use serde_json::{Map, Value};

use super::declaration::TbotStart;
use super::rules::Rules;

/// Returns the body of the request that submits an event. `distinct_id` is a UUID v4 in its hyphenated form.
///
/// Keys are in the order of the declarations, so that equal events always have equal bodies.
pub fn request_body(rules: &Rules, event: &TbotStart, distinct_id: &str) -> Value {
    let event = serde_json::to_value(event).unwrap_or_default();
    let mut start = Map::new();
    for rule in &rules.properties {
        let Some(value) = event.get(&rule.name) else { continue };
        let value = match (&rule.wire.values, value.as_str()) {
            (Some(mapping), Some(text)) => mapping.get(text).map_or(Value::Null, |name| name.as_str().into()),
            _ if !rule.wire.minus.is_empty() => subtract(&event, value, &rule.wire.minus),
            _ => value.clone(),
        };
        start.insert(rule.wire.name.clone(), value);
    }
    let mut body = Map::new();
    body.insert("distinctId".to_owned(), distinct_id.into());
    body.insert("start".to_owned(), Value::Object(start));
    Value::Object(body)
}

/// Subtracts the counts of the properties named `parts` from `total`.
fn subtract(event: &Value, total: &Value, parts: &[String]) -> Value {
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let parts: u64 = parts.iter().map(|part| count(&event[part.as_str()])).sum();
    Value::from(count(total).saturating_sub(parts))
}
