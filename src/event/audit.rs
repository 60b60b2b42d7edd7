//! Checks the declarations against the configuration's schema, so that reviewers do not have to. Depends on the rules, and on
//! schemas only as values.

use std::collections::BTreeSet;

use serde_json::Value;

use super::rules::{Rules, ValueSet};
use super::vocabulary::{PropertySource, ReportPart};
use crate::config::Sensitivity;
use crate::config::schema::property_class;
use crate::pointer::Pointer;

/// The environment variables that a declaration may read. Each exists only for telemetry: a program that starts `tbot` sets it
/// to describe itself. Never list a variable that exists for another purpose, such as `HOSTNAME`.
const VARIABLES: [&str; 2] = ["_TBOT_TELEMETRY_HELPER", "_TBOT_TELEMETRY_HELPER_VERSION"];

/// The maximum number of strings that a pattern may accept, so that a value has at most 24 bits of information: less than a
/// name or an IPv4 address. Facts about the build have no maximum, because they are the same on every machine.
const MAX_ACCEPTED: u128 = 1 << 24;

/// Returns every violation of the telemetry rules in an event's schema. Empty if there are none.
///
/// - Every property has a closed set of values, a source, a reason that a report answers, a version and a representation on the
///   wire.
/// - A pattern accepts a limited number of strings.
/// - An environment variable that is read exists only for telemetry.
/// - A source in the configuration is a property of class `category`. Nothing else may leave the machine.
/// - Every value of a source can be represented on the wire.
pub fn audit(event_schema: &Value, config_schema: &Value) -> Vec<String> {
    let rules = match Rules::read(event_schema) {
        Ok(rules) => rules,
        Err(error) => return vec![error.to_string()],
    };
    let mut findings = Vec::new();
    let (mut wire_fields, mut wire_names) = (BTreeSet::new(), BTreeSet::new());
    let names: BTreeSet<&str> = rules.properties.iter().map(|rule| rule.name.as_str()).collect();

    for rule in &rules.properties {
        let name = &rule.name;
        let mut report = |finding: String| findings.push(format!("`{name}` {finding}"));
        let mut check_class = |pointer: &Pointer| match property_class(config_schema, pointer) {
            Some(Sensitivity::Category) => {}
            Some(class) => report(format!("reads {pointer}, which has class {}, not category", class.name())),
            None => report(format!("reads {pointer}, which is not a property of the configuration")),
        };
        match &rule.source {
            PropertySource::Config(source) => check_class(&source.pointer),
            PropertySource::Count(source) => source.pointers.iter().for_each(check_class),
            PropertySource::Env(source) => {
                if !VARIABLES.contains(&source.variable.as_str()) {
                    report(format!(
                        "reads the variable {}, which does not exist only for telemetry",
                        source.variable
                    ));
                }
                if let Some(required) = &source.requires
                    && !names.contains(required.as_str())
                {
                    report(format!("requires `{required}`, which is not a property of the event"));
                }
            }
            PropertySource::Build(_) => {}
        }
        if matches!(rule.values, ValueSet::Pattern(_)) {
            let is_same_everywhere = matches!(rule.source, PropertySource::Build(_));
            match rule.values.size() {
                None => report("has a pattern that accepts any number of strings".to_owned()),
                Some(accepted) if accepted > MAX_ACCEPTED && !is_same_everywhere => {
                    report(format!(
                        "has a pattern that accepts {accepted} strings, more than {MAX_ACCEPTED}"
                    ));
                }
                Some(_) => {}
            }
        }
        if !wire_fields.insert(rule.wire.field) {
            report(format!("shares wire field {} with another property", rule.wire.field));
        }
        if !wire_names.insert(&rule.wire.name) {
            report(format!("shares the wire name `{}` with another property", rule.wire.name));
        }
        if rule.reason.is_empty() || rule.description.is_empty() {
            report("lacks a description or a reason".to_owned());
        }
        if rule.report.is_empty() {
            report("lacks the parts of a report that answer its reason (x-report)".to_owned());
        }
        if rule.report.contains(&ReportPart::ByImplementation)
            && rules.properties.iter().all(|rule| rule.implementations.is_empty())
        {
            report("is reported by implementation, but no property has x-implementations".to_owned());
        }
        if rule.since == 0 || rule.since > rules.version {
            report(format!(
                "has x-since {}, which is not between 1 and the version of the event, {}",
                rule.since, rules.version
            ));
        }
        if let (ValueSet::Enum(values), Some(table)) = (&rule.values, &rule.wire.values)
            && let Some(value) = values.iter().find(|value| !table.contains_key(*value))
        {
            report(format!("may be `{value}`, which has no name on the wire"));
        }
        for part in &rule.wire.minus {
            if !names.contains(part.as_str()) {
                report(format!("subtracts `{part}`, which is not a property of the event"));
            }
        }
    }
    findings
}
