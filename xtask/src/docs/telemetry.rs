//! docs/telemetry.md: what is collected, how it is sent, how to opt in and out, and what is never collected.

use std::collections::BTreeMap;

use anyhow::Result;
use prehog::schema::EventSchema;
use serde_json::{Map, Value};
use tbot::config::Service;
use tbot::config::internal::AccessClass;
use tbot::event::internal::{PropertySource, Rule, Rules, ValueSet};

use super::collection;
use super::markdown::{GENERATED_NOTICE, cell, code, table};
use super::sections::{is_shared, sections};

/// The `distinctId` of the example request.
const EXAMPLE_ID: &str = "6f1c8e0a-6f0e-4b53-9d0c-3f2a5f3e7b11";

pub(super) fn page(event: &Value, config: &Value, config_v1: &Value) -> Result<String> {
    let rules = Rules::read(event)?;
    let mut page = String::from(GENERATED_NOTICE);
    page += &format!(include_str!("telemetry/lead.md"), version = rules.version);
    page += &properties(&rules);
    page += &sources_and_values(&rules);
    page += &long_value_lists(&rules);
    page += &reasons(&rules);
    page += &format!(include_str!("telemetry/counting.md"), total = totals(&rules), classes = classes());
    page += &request(&rules)?;
    page += &format!(
        include_str!("telemetry/rest.md"),
        endpoint = rules.transport.endpoint,
        variable = rules.transport.endpoint_variable,
        stored = prehog::docs::storage_section(&EventSchema::new(&rules)?),
    );
    page += &collection::tables(config, sections(config), &rules, &[]);
    page += "\n### Version 1\n\nA version 1 file is converted to version 2 before anything is counted: `destinations` becomes \
             `services`.\n`onboarding` is the same as in version 2.\n";
    let only_v1 =
        sections(config_v1).into_iter().filter(|section| !is_shared(config, config_v1, section.definition));
    page += &collection::tables(config_v1, only_v1, &rules, &[("/destinations", "/services")]);
    Ok(page)
}

fn properties(rules: &Rules) -> String {
    let rows: Vec<Vec<String>> = rules
        .properties
        .iter()
        .map(|rule| {
            let example = rule.example.as_ref().map_or_else(String::new, |example| match example {
                Value::String(string) => code(string),
                other => code(&other.to_string()),
            });
            let name =
                if rule.required { code(&rule.name) } else { format!("{} (optional)", code(&rule.name)) };
            vec![name, cell(&rule.description), example]
        })
        .collect();
    table(&["property", "description", "example"], &rows)
}

fn sources_and_values(rules: &Rules) -> String {
    let rows: Vec<Vec<String>> = rules
        .properties
        .iter()
        .map(|rule| vec![code(&rule.name), source(&rule.source), values(&rule.values)])
        .collect();
    format!("\n### Sources and values\n\n{}", table(&["property", "source", "values"], &rows))
}

fn values(values: &ValueSet) -> String {
    match values {
        ValueSet::Enum(values) if values.len() <= 2 => {
            values.iter().map(|value| code(value)).collect::<Vec<_>>().join(" or ")
        }
        ValueSet::Enum(values) => format!("one of {}, listed below", values.len()),
        ValueSet::Pattern(pattern) => format!("string that matches {}", code(pattern.as_str())),
        ValueSet::Count { minimum, maximum } => format!("integer from {minimum} to {maximum}"),
    }
}

fn source(source: &PropertySource) -> String {
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
            if let Some(required) = &source.requires {
                description += &format!("; omitted unless {} has a listed value", code(required));
            }
            description
        }
        PropertySource::Build(_) => "the build".to_owned(),
    }
}

fn long_value_lists(rules: &Rules) -> String {
    let mut section = String::from("\nThe lists of values:\n\n");
    for rule in &rules.properties {
        if let ValueSet::Enum(values) = &rule.values
            && values.len() > 2
        {
            let values: Vec<String> = values.iter().map(|value| code(value)).collect();
            section += &format!("- {}: {}\n", code(&rule.name), values.join(", "));
        }
    }
    section
}

fn reasons(rules: &Rules) -> String {
    let rows: Vec<Vec<String>> = rules
        .properties
        .iter()
        .map(|rule| vec![code(&rule.name), cell(&rule.reason), rule.since.to_string()])
        .collect();
    format!("\n### Reasons\n\n{}", table(&["property", "why it is collected", "since event version"], &rows))
}

/// Returns the properties that count all destinations.
fn totals(rules: &Rules) -> String {
    let totals = rules.properties.iter().filter(|rule| collection::is_total(&rule.source));
    totals.map(|rule| code(&rule.name)).collect::<Vec<_>>().join(" and ")
}

fn classes() -> String {
    let rows: Vec<Vec<String>> = AccessClass::ALL
        .iter()
        .map(|access| {
            let types = Service::TYPES.iter().filter(|name| AccessClass::of_type(name) == Some(*access));
            vec![access.name().to_owned(), types.map(|name| code(name)).collect::<Vec<_>>().join(", ")]
        })
        .collect();
    table(&["access class", "service types"], &rows)
}

fn request(rules: &Rules) -> Result<String> {
    let example: Map<String, Value> = rules
        .properties
        .iter()
        .filter_map(|rule: &Rule| Some((rule.name.clone(), rule.example.clone()?)))
        .collect();
    let event = serde_json::from_value(Value::Object(example.clone()))?;
    let body = tbot::event::internal::request_body(rules, &event, EXAMPLE_ID);
    let transport = &rules.transport;
    let mut headers: BTreeMap<&str, String> =
        transport.headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    headers.insert("Content-Length", serde_json::to_string(&body)?.len().to_string());
    headers.insert("Host", transport.endpoint.trim_start_matches("https://").to_owned());
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let envelope: Vec<Vec<String>> =
        transport.envelope.iter().map(|(name, meaning)| vec![code(name), cell(meaning)]).collect();
    let wire: Vec<Vec<String>> = rules
        .properties
        .iter()
        .map(|rule| {
            vec![code(&rule.name), code(&rule.wire.name), rule.wire.field.to_string(), wire_value(rule)]
        })
        .collect();
    Ok(format!(
        include_str!("telemetry/request.md"),
        event = serde_json::to_string_pretty(&Value::Object(example))?,
        method = transport.method,
        path = transport.path,
        headers = headers.concat().trim_end(),
        body = serde_json::to_string_pretty(&body)?,
        envelope = table(&["member", "meaning"], &envelope),
        wire = table(&["property", "wire name", "field", "wire value"], &wire),
    ))
}

/// Describes how the value on the wire follows from the value of the property.
fn wire_value(rule: &Rule) -> String {
    if let Some(values) = &rule.wire.values {
        let pairs = values.iter().map(|(from, to)| format!("{} as {}", code(from), code(to)));
        return pairs.collect::<Vec<_>>().join(", ");
    }
    if rule.wire.minus.is_empty() {
        return "unchanged".to_owned();
    }
    let subtracted: Vec<String> = rule.wire.minus.iter().map(|name| code(name)).collect();
    format!("minus {}", subtracted.join(", "))
}

#[cfg(test)]
mod tests {
    use tbot::config::internal::schema::{generate, generate_v1, is_union};

    use super::*;

    /// Returns the properties below each fourth-level heading of a page, which are in the first column of a table.
    fn listed(page: &str) -> BTreeMap<&str, Vec<&str>> {
        let sections = page.split("\n#### ").skip(1).filter_map(|section| section.split_once('\n'));
        sections
            .map(|(heading, section)| {
                let rows = section.lines().filter(|line| line.starts_with("| `"));
                let names = rows.flat_map(|row| row.split(" | ").next().unwrap_or_default().split(", "));
                let mut names: Vec<&str> = names.map(|name| name.trim_matches(['|', ' ', '`'])).collect();
                names.sort_unstable();
                (heading, names)
            })
            .collect()
    }

    /// Walks the definitions of the schemas, independently of the classes by which the tables are built.
    #[test]
    fn every_property_of_both_schemas_is_on_the_page_once() {
        let (config, config_v1) = (generate(), generate_v1());
        let page = page(&tbot::event::internal::generate_schema(), &config, &config_v1).unwrap();
        let (version_2, version_1) = page.split_once("\n### Version 1\n").unwrap();
        let mut checked = 0;
        for (root, page) in [(&config, version_2), (&config_v1, version_1)] {
            let (listed, sections) = (listed(page), sections(root));
            let definitions = root["$defs"].as_object().unwrap().iter();
            let definitions =
                definitions.map(|(name, schema)| (name.as_str(), schema)).chain([("Config", root)]);
            for (definition, schema) in definitions {
                let is_on_the_other_page =
                    root == &config_v1 && config["$defs"].get(definition) == Some(schema);
                let properties = schema["properties"].as_object().into_iter().flatten();
                let mut names: Vec<&str> = properties.map(|(name, _)| name.as_str()).collect();
                names.sort_unstable();
                if names.is_empty() || is_union(schema) || is_on_the_other_page {
                    continue;
                }
                let section = sections.iter().find(|section| section.definition == definition).unwrap();
                assert_eq!(listed[section.heading.as_str()], names, "{definition}");
                checked += names.len();
            }
        }
        assert!(checked > 200, "only {checked} properties were checked");
    }
}
