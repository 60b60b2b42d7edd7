//! The preview for programs. Its members are documented in docs/telemetry.md, and a test compares them. Members may be
//! added; those that exist keep their names and meanings.

use std::io::Write;

use serde_json::{Value, json};
use tbot::event::internal::Rule;
use tbot::event::{EnvOutcome, EventProperty, Provenance};

use super::{Preview, key};
use crate::configuration::ValueOrigin;
use crate::exit::Failure;

pub(super) fn write(preview: &Preview<'_>, stdout: &mut dyn Write) -> Result<(), Failure> {
    let properties = preview.rules.properties.iter().zip(preview.built.properties());
    let properties = properties.map(|(rule, property)| describe_property(preview, rule, property));
    let request = &preview.request;
    let headers = request.headers.iter().map(|(name, value)| json!({ "name": name, "value": value }));
    let document = json!({
        "example": preview.example,
        "consent": preview.decision.to_json(),
        "event": { "version": preview.rules.version, "properties": properties.collect::<Value>() },
        "request": {
            "method": request.method,
            "url": request.endpoint.to_string(),
            "proxy": request.endpoint.proxy().map(ToString::to_string),
            "headers": headers.collect::<Value>(),
            "body": String::from_utf8_lossy(&request.body),
            "members": preview.rules.transport.envelope,
        },
    });
    writeln!(stdout, "{document:#}")?;
    Ok(())
}

fn describe_property(preview: &Preview<'_>, rule: &Rule, property: &EventProperty) -> Value {
    json!({
        "name": property.name,
        "value": property.value,
        "wire_name": rule.wire.name,
        "wire_value": preview.wire_value(&rule.wire.name),
        "minus": rule.wire.minus,
        "sources": sources(preview, &property.provenance),
    })
}

/// A source of a value. Members that do not apply to its kind are null.
#[derive(Default)]
struct Source<'a> {
    kind: &'static str,
    key: Option<String>,
    input: Option<&'a str>,
    position: Option<(usize, usize)>,
    outcome: Option<&'static str>,
}

impl Source<'_> {
    fn to_json(&self) -> Value {
        json!({
            "kind": self.kind,
            "key": self.key,
            "input": self.input,
            "line": self.position.map(|(line, _)| line),
            "column": self.position.map(|(_, column)| column),
            "outcome": self.outcome,
        })
    }
}

fn sources(preview: &Preview<'_>, provenance: &Provenance) -> Vec<Value> {
    match provenance {
        Provenance::Config(pointers) => {
            let with_origins = pointers.iter().map(|pointer| {
                let origins = preview.origins.of(preview.effective, pointer);
                (key(pointer), origins)
            });
            with_origins
                .flat_map(|(key, origins)| origins.into_iter().map(move |origin| from_origin(&key, &origin)))
                .collect()
        }
        Provenance::Absent(pointers) => {
            let absent = |pointer| Source {
                kind: "default",
                key: Some(key(pointer)),
                input: None,
                position: None,
                outcome: None,
            };
            pointers.iter().map(|pointer| absent(pointer).to_json()).collect()
        }
        Provenance::Env { variable, outcome } => {
            let outcome = match outcome {
                EnvOutcome::Unset => "unset",
                EnvOutcome::Listed => "listed",
                EnvOutcome::Truncated => "truncated",
                EnvOutcome::Unlisted => "unlisted",
                EnvOutcome::MissingCompanion => "missing-companion",
            };
            let (input, outcome) = (Some(variable.as_str()), Some(outcome));
            vec![Source { kind: "variable", input, outcome, ..Source::default() }.to_json()]
        }
        Provenance::Build => vec![Source { kind: "build", ..Source::default() }.to_json()],
    }
}

fn from_origin(key: &str, origin: &ValueOrigin) -> Value {
    let (kind, input, position) = match origin {
        ValueOrigin::File { name, position } => ("file", name, *position),
        ValueOrigin::Override(text) => ("override", text, None),
    };
    Source { kind, key: Some(key.to_owned()), input: Some(input), position, outcome: None }.to_json()
}
