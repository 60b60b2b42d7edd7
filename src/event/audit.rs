//! Checks the declarations against the configuration's schema: what a reviewer would have to check by hand otherwise.
//! Depends on the rules and on schemas as values only.

use std::collections::BTreeSet;

use serde_json::Value;

use super::rules::{Rules, Values};
use super::vocabulary::Source;
use crate::config::Sensitivity;
use crate::config::schema::property_class;
use crate::pointer::Pointer;

/// Every way in which an event's schema breaks the rules of telemetry; empty where it keeps them all.
///
/// - Each property has a closed set of values, a source, a reason, a version and a place on the wire.
/// - A source in the configuration is a property of class `category`; anything else may not leave the machine.
/// - What a source can give, the wire can carry.
pub fn audit(event_schema: &Value, config_schema: &Value) -> Vec<String> {
    let rules = match Rules::read(event_schema) {
        Ok(rules) => rules,
        Err(error) => return vec![error.to_string()],
    };
    let mut findings = Vec::new();
    let mut fields = BTreeSet::new();
    let names: BTreeSet<&str> = rules.properties.iter().map(|rule| rule.name.as_str()).collect();

    for rule in &rules.properties {
        let name = &rule.name;
        let mut find = |finding: String| findings.push(format!("`{name}` {finding}"));
        let mut category = |pointer: &Pointer| match property_class(config_schema, pointer) {
            Some(Sensitivity::Category) => {}
            Some(class) => find(format!("reads {pointer}, which is of class {}, not category", class.name())),
            None => find(format!("reads {pointer}, which is no property of the configuration")),
        };
        match &rule.source {
            Source::Config(source) => category(&source.pointer),
            Source::Count(source) => source.pointers.iter().for_each(category),
            Source::Env(source) => {
                if let Some(beside) = &source.beside
                    && !names.contains(beside.as_str())
                {
                    find(format!("stands beside `{beside}`, which is no property of the event"));
                }
            }
            Source::Build(_) => {}
        }
        if !fields.insert((rule.wire.field, &rule.wire.name)) {
            find(format!("shares field {} of the wire", rule.wire.field));
        }
        if rule.reason.is_empty() || rule.description.is_empty() {
            find("does not say what it is or why it is collected".to_owned());
        }
        if rule.since == 0 || rule.since > rules.version {
            find(format!(
                "is there since version {}, but the event's version is {}",
                rule.since, rules.version
            ));
        }
        if let (Values::Enum(values), Some(table)) = (&rule.values, &rule.wire.values)
            && let Some(value) = values.iter().find(|value| !table.contains_key(*value))
        {
            find(format!("may be `{value}`, which has no value on the wire"));
        }
        for part in &rule.wire.minus {
            if !names.contains(part.as_str()) {
                find(format!("subtracts `{part}`, which is no property of the event"));
            }
        }
    }
    findings
}
