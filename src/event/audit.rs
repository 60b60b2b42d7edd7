//! Checks the declarations against the configuration's schema, so that reviewers do not have to. Depends on the rules, and on
//! schemas only as values.

use serde_json::Value;

use super::rules::{Rule, Rules, ValueSet};
use super::vocabulary::{PropertySource, ReportPart};
use crate::config::Sensitivity;
use crate::config::schema::property_class;
use crate::pointer::Pointer;

/// The environment variables that a declaration may read. Each exists only for telemetry: a program that starts `tbot` sets it
/// to describe itself. Never list a variable that exists for another purpose, such as `HOSTNAME`.
pub const VARIABLES: [&str; 2] = ["_TBOT_TELEMETRY_HELPER", "_TBOT_TELEMETRY_HELPER_VERSION"];

/// The maximum number of strings that a pattern may accept, so that a value has at most 24 bits of information: less than a
/// name or an IPv4 address. Facts about the build have no maximum, because they are the same on every machine.
const MAX_ACCEPTED: u128 = 1 << 24;

/// Returns every violation of the telemetry rules in an event's schema. Empty if there are none.
///
/// - Every property has a closed set of values, an example, a source, a reason that a report answers, a version and a
///   representation on the wire.
/// - A pattern accepts a limited number of strings.
/// - An environment variable that is read exists only for telemetry.
/// - A source in the configuration is a property of class `category`. Nothing else may leave the machine.
/// - If the values of a property have names on the wire, each of them has one. What a source may contain is not compared with them.
pub fn audit(event_schema: &Value, config_schema: &Value) -> Vec<String> {
    let rules = match Rules::read(event_schema) {
        Ok(rules) => rules,
        Err(error) => return vec![error.to_string()],
    };
    let audit = Audit { rules: &rules, config_schema };
    let checks = [Audit::source, Audit::values, Audit::documentation, Audit::wire];
    let findings = rules.properties.iter().flat_map(|rule| {
        let findings = checks.iter().flat_map(|check| check(&audit, rule));
        findings.map(|finding| format!("`{}` {finding}", rule.name)).collect::<Vec<_>>()
    });
    findings.collect()
}

/// Checks the rules of properties against each other and the configuration. Each check returns its findings without the name of the
/// property.
struct Audit<'a> {
    rules: &'a Rules,
    config_schema: &'a Value,
}

impl Audit<'_> {
    /// Checks that the source may be read for telemetry.
    fn source(&self, rule: &Rule) -> Vec<String> {
        let pointers = rule.source.pointers().iter();
        let mut findings: Vec<String> = pointers.filter_map(|pointer| self.class(pointer)).collect();
        if let PropertySource::Env(source) = &rule.source
            && !VARIABLES.contains(&source.variable.as_str())
        {
            findings.push(format!(
                "reads the variable {}, which does not exist only for telemetry: if a program sets it only to describe \
                 itself, add it to VARIABLES in src/event/audit.rs",
                source.variable
            ));
        }
        if let Some(required) = rule.source.requires().filter(|required| !self.is_property(required)) {
            findings.push(format!("requires `{required}`, which is not a property of the event"));
        }
        findings
    }

    /// Checks that a source in the configuration has the class `category`.
    fn class(&self, pointer: &Pointer) -> Option<String> {
        match property_class(self.config_schema, pointer) {
            Some(Sensitivity::Category) => None,
            Some(class) => Some(format!("reads {pointer}, which has class {}, not category", class.name())),
            None => Some(format!("reads {pointer}, which is not a property of the configuration")),
        }
    }

    /// Checks that a pattern accepts a limited number of strings.
    fn values(&self, rule: &Rule) -> Vec<String> {
        let is_same_everywhere = matches!(rule.source, PropertySource::Build(_));
        let finding = match rule.values.size() {
            _ if !matches!(rule.values, ValueSet::Pattern(_)) => None,
            None => Some("has a pattern that accepts any number of strings".to_owned()),
            Some(accepted) if accepted > MAX_ACCEPTED && !is_same_everywhere => {
                Some(format!("has a pattern that accepts {accepted} strings, more than {MAX_ACCEPTED}"))
            }
            Some(_) => None,
        };
        finding.into_iter().collect()
    }

    /// Checks that the property is described and has an example, that a report answers its reason, and that its first version is known.
    fn documentation(&self, rule: &Rule) -> Vec<String> {
        let mut findings = Vec::new();
        if rule.reason.is_empty() || rule.description.is_empty() {
            findings.push("lacks a description or a reason".to_owned());
        }
        if rule.example.is_none() {
            findings.push("lacks an example, which docs/telemetry.md shows".to_owned());
        }
        if rule.report.is_empty() {
            findings.push("lacks the parts of a report that answer its reason (x-report)".to_owned());
        }
        if rule.report.contains(&ReportPart::ByImplementation)
            && self.rules.properties.iter().all(|rule| rule.implementations.is_empty())
        {
            findings.push("is reported by implementation, but no property has x-implementations".to_owned());
        }
        if rule.since == 0 || rule.since > self.rules.version {
            findings.push(format!(
                "has x-since {}, which is not between 1 and the version of the event, {}",
                rule.since, self.rules.version
            ));
        }
        findings
    }

    /// Checks that no other property has the field or the name of this one on the wire, and that each of its values has a name there.
    fn wire(&self, rule: &Rule) -> Vec<String> {
        let mut findings = Vec::new();
        let shares = |is_same: fn(&Rule, &Rule) -> bool| {
            let earlier = self.rules.properties.iter().take_while(|other| other.name != rule.name);
            earlier.into_iter().any(|other| is_same(other, rule))
        };
        if shares(|one, other| one.wire.field == other.wire.field) {
            findings.push(format!("shares wire field {} with another property", rule.wire.field));
        }
        if shares(|one, other| one.wire.name == other.wire.name) {
            findings.push(format!("shares the wire name `{}` with another property", rule.wire.name));
        }
        if let (ValueSet::Enum(values), Some(table)) = (&rule.values, &rule.wire.values)
            && let Some(value) = values.iter().find(|value| !table.contains_key(*value))
        {
            findings.push(format!("may be `{value}`, which has no name on the wire"));
        }
        let unknown = rule.wire.minus.iter().filter(|part| !self.is_property(part));
        findings
            .extend(unknown.map(|part| format!("subtracts `{part}`, which is not a property of the event")));
        findings
    }

    fn is_property(&self, name: &str) -> bool {
        self.rules.properties.iter().any(|rule| rule.name == name)
    }
}
