//! Describes the properties of the event, from their declarations.

use std::collections::BTreeSet;

use tbot::event::internal::{PropertySource, ReportPart, Rule, Rules, ValueSet};
use tbot::pointer::Pointer;

use crate::docs::markdown::{code, line};

/// Lists the properties: what each means, why it is collected, where it comes from, and how it is sent.
pub(super) fn list(rules: &Rules) -> String {
    let entry = |rule: &Rule| {
        let optional = if rule.required { "" } else { " (optional)" };
        let name = code(&rule.name);
        [
            format!("- **{name}**{optional}: {}\n", line(&rule.description)),
            format!("  - reason: {}\n", line(&rule.reason)),
            format!("  - in a report of prehog: {}\n", in_report(rule)),
            format!("  - source: {}\n", source(&rule.source)),
            format!("  - values: {}\n", values(&rule.values)),
            format!("  - in the request: {}\n", in_request(rule)),
        ]
        .concat()
    };
    rules.properties.iter().map(entry).collect()
}

/// Describes the parts of a report that answer the reason of a property.
fn in_report(rule: &Rule) -> String {
    let counted = match (&rule.source, &rule.values) {
        (PropertySource::Count(source), _) if source.access.is_some() => "at least one",
        (_, ValueSet::Count { .. }) => "each number",
        _ => "each value",
    };
    let part = |part: &ReportPart| match part {
        ReportPart::Weekly => "per week",
        ReportPart::ByUseCase => "by use case",
        ReportPart::ByImplementation => "by implementation of `tbot`",
    };
    format!("starts with {counted}, {}", rule.report.iter().map(part).collect::<Vec<_>>().join(" and "))
}

/// Describes a closed set of values.
pub(super) fn values(values: &ValueSet) -> String {
    match values {
        ValueSet::Enum(values) => values.iter().map(|value| code(value)).collect::<Vec<_>>().join(", "),
        ValueSet::Pattern(pattern) => format!("string that matches {}", code(pattern.as_str())),
        ValueSet::Count { minimum, maximum } => format!("integer from {minimum} to {maximum}"),
    }
}

/// Describes a source.
pub(super) fn source(source: &PropertySource) -> String {
    match source {
        PropertySource::Config(source) => {
            let path = source.pointer.as_str().trim_start_matches('/').replace('/', ".");
            format!("configuration property {}", code(&path))
        }
        PropertySource::Count(source) => {
            let lists: Vec<String> =
                source.pointers.iter().map(|list| code(list.as_str().trim_start_matches('/'))).collect();
            let class = source
                .access
                .map_or(String::new(), |access| format!(" in the access class {}", code(access.name())));
            format!("number of entries of {}{class}", lists.join(" and "))
        }
        PropertySource::Env(source) => {
            let mut description = format!("environment variable {}", code(&source.variable));
            if source.truncate {
                description += "; a value that is not listed is truncated to its longest listed prefix";
            }
            if let Some(other) = &source.unlisted {
                description += &format!("; a value that is not listed becomes {}", code(other));
            }
            if source.unlisted.is_none() && !source.truncate {
                description += "; a value that is not listed is not sent";
            }
            if let Some(required) = &source.requires {
                description += &format!("; omitted unless {} has a listed value", code(required));
            }
            description
        }
        PropertySource::Build(_) => "the build".to_owned(),
    }
}

/// Returns the name of a property in the request, and how its value there follows from the value in the event.
fn in_request(rule: &Rule) -> String {
    let name = code(&rule.wire.name);
    if let Some(values) = &rule.wire.values {
        let pairs = values.iter().map(|(from, to)| format!("{} as {}", code(from), code(to)));
        return format!("{name}, {}", pairs.collect::<Vec<_>>().join(", "));
    }
    if rule.wire.minus.is_empty() {
        return name;
    }
    let subtracted: Vec<String> = rule.wire.minus.iter().map(|name| code(name)).collect();
    format!("{name}, which is {} minus {}", code(&rule.name), subtracted.join(", "))
}

/// Lists the configuration properties that are read.
pub(super) fn configuration_sources(rules: &Rules) -> String {
    let path = |pointer: &Pointer| code(&pointer.as_str().trim_start_matches('/').replace('/', "."));
    let sources = || rules.properties.iter().map(|rule| &rule.source);
    let mut paths: Vec<String> = sources().flat_map(PropertySource::pointers).map(path).collect();
    let mut listed = BTreeSet::new();
    paths.retain(|path| listed.insert(path.clone()));
    let counts_by_class =
        sources().any(|source| matches!(source, PropertySource::Count(count) if count.access.is_some()));
    let types = if counts_by_class {
        " and the `type` of each service, which decides where it is counted"
    } else {
        ""
    };
    paths.join(", ") + types
}
