//! docs/telemetry.md: what is collected, how it travels, how to say no, and what is never collected.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Map, Value};
use tbot::config::{Access, Service};
use tbot::event::{Rule, Rules, Source, Values};

use super::NOTICE;
use super::ledger::ledger;
use super::markdown::{cell, code, table};

const EXAMPLE_ID: &str = "6f1c8e0a-6f0e-4b53-9d0c-3f2a5f3e7b11";

pub(super) fn page(event: &Value, config: &Value, config_v1: &Value) -> Result<String> {
    let rules = Rules::read(event)?;
    let mut page = String::from(NOTICE);
    page += &format!(include_str!("telemetry/lead.md"), version = rules.version);
    page += &properties(&rules);
    page += &values_and_sources(&rules);
    page += &closed_values(&rules);
    page += &reasons(&rules);
    page += &format!(include_str!("telemetry/counting.md"), classes = classes());
    page += &request(&rules)?;
    page += &format!(
        include_str!("telemetry/rest.md"),
        endpoint = rules.transport.endpoint,
        variable = rules.transport.endpoint_variable,
        stored = prehog::docs::stored(),
    );
    page += &ledger(config, &rules, &[]);
    page += "\n### Version 1\n\nA file of version 1 is converted to version 2 before anything is counted: `destinations` \
             becomes `services`.\n";
    page += &ledger(config_v1, &rules, &[("/destinations", "/services")]);
    Ok(page)
}

fn properties(rules: &Rules) -> String {
    let rows: Vec<Vec<String>> = rules
        .properties
        .iter()
        .map(|rule| {
            let example = rule.example.as_ref().map_or_else(String::new, |example| match example {
                Value::String(text) => code(text),
                other => code(&other.to_string()),
            });
            let name =
                if rule.required { code(&rule.name) } else { format!("{} (optional)", code(&rule.name)) };
            vec![name, cell(&rule.description), example]
        })
        .collect();
    table(&["property", "what it is", "example"], &rows)
}

fn values_and_sources(rules: &Rules) -> String {
    let rows: Vec<Vec<String>> = rules
        .properties
        .iter()
        .map(|rule| vec![code(&rule.name), source(&rule.source), kind(&rule.values)])
        .collect();
    format!(
        "\n### Where it comes from, and which values it takes\n\n{}",
        table(&["property", "where it comes from", "values"], &rows)
    )
}

fn kind(values: &Values) -> String {
    match values {
        Values::Enum(values) if values.len() <= 2 => {
            values.iter().map(|value| code(value)).collect::<Vec<_>>().join(" or ")
        }
        Values::Enum(values) => format!("one of {}, see below", values.len()),
        Values::Pattern(pattern) => format!("text like {}", code(pattern.as_str())),
        Values::Count { minimum, maximum } => format!("number from {minimum} to {maximum}"),
    }
}

fn source(source: &Source) -> String {
    match source {
        Source::Config(source) => {
            let path = source.pointer.as_str().trim_start_matches('/').replace('/', ".");
            format!("{} of the configuration", code(&path))
        }
        Source::Count(source) => {
            let lists: Vec<String> =
                source.pointers.iter().map(|list| code(list.as_str().trim_start_matches('/'))).collect();
            let of = source
                .access
                .map_or(String::new(), |access| format!(", only those of {} access", access.name()));
            format!("number of entries of {}{of}", lists.join(" and "))
        }
        Source::Env(source) => {
            let rest = match (&source.unlisted, &source.beside) {
                (Some(other), _) => format!("; what is not listed becomes {}", code(other)),
                (_, Some(beside)) => format!("; only beside a listed {}, else left out", code(beside)),
                _ => String::new(),
            };
            format!("environment variable {}{rest}", code(&source.variable))
        }
        Source::Build(_) => "the program itself".to_owned(),
    }
}

fn closed_values(rules: &Rules) -> String {
    let mut section = String::from("\nThe longer lists of values:\n\n");
    for rule in &rules.properties {
        if let Values::Enum(values) = &rule.values
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
    format!("\n### Why\n\n{}", table(&["property", "why it is collected", "since version"], &rows))
}

fn classes() -> String {
    let rows: Vec<Vec<String>> = Access::ALL
        .iter()
        .map(|access| {
            let types = Service::TYPES.iter().filter(|name| Access::of(name) == Some(*access));
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
    let body = serde_json::to_string_pretty(&tbot::event::body(rules, &event, EXAMPLE_ID))?;
    let transport = &rules.transport;
    let host = transport.endpoint.trim_start_matches("https://");
    let compact = serde_json::to_string(&tbot::event::body(rules, &event, EXAMPLE_ID))?;
    let mut headers: BTreeMap<&str, String> =
        transport.headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    headers.insert("Content-Length", compact.len().to_string());
    headers.insert("Host", host.to_owned());
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let envelope: Vec<Vec<String>> =
        transport.envelope.iter().map(|(name, what)| vec![code(name), cell(what)]).collect();
    let wire: Vec<Vec<String>> = rules
        .properties
        .iter()
        .map(|rule| {
            let less: Vec<String> = rule.wire.minus.iter().map(|part| code(part)).collect();
            let value = match (&rule.wire.values, less.is_empty()) {
                (Some(values), _) => {
                    let pairs = values.iter().map(|(from, to)| format!("{} as {}", code(from), code(to)));
                    pairs.collect::<Vec<_>>().join(", ")
                }
                (None, false) => format!("less {}", less.join(", ")),
                (None, true) => "as it is".to_owned(),
            };
            vec![code(&rule.name), code(&rule.wire.name), rule.wire.field.to_string(), value]
        })
        .collect();
    Ok(format!(
        include_str!("telemetry/request.md"),
        event = serde_json::to_string_pretty(&Value::Object(example))?,
        method = transport.method,
        path = transport.path,
        headers = headers.concat().trim_end(),
        body = body,
        envelope = table(&["member", "what it is"], &envelope),
        wire = table(&["property", "on the wire", "field", "value"], &wire),
    ))
}
