//! The preview for people.

use std::io::Write;

use serde_json::Value;
use tbot::event::internal::Rule;
use tbot::event::{EnvOutcome, EventProperty, Provenance};

use super::{Preview, key};
use crate::exit::Failure;

/// The width of the column of the event. The longest name fits, with a count of two digits.
const EVENT_WIDTH: usize = 48;

pub(super) fn write(preview: &Preview<'_>, stdout: &mut dyn Write) -> Result<(), Failure> {
    if let Some(example) = preview.example {
        writeln!(stdout, "there is no configuration, so this is an example; name yours with --config:\n")?;
        for line in example.lines() {
            writeln!(stdout, "    {line}")?;
        }
        writeln!(stdout)?;
    }
    if let Some(file) = preview.ignored_file {
        writeln!(stdout, "hint: {file} was not read: name it with --config\n")?;
    }
    writeln!(stdout, "anonymous telemetry is {}", preview.decision)?;
    let effect = match preview.decision.on {
        true => "`tbot start` sends this event",
        false => "if it were on, `tbot start` would send this event",
    };
    writeln!(stdout, "{effect}; this preview sends nothing\n")?;
    writeln!(stdout, "{:<EVENT_WIDTH$} IN THE REQUEST", "PROPERTY OF THE EVENT")?;
    for (rule, property) in preview.rules.properties.iter().zip(preview.built.properties()) {
        write_property(preview, rule, property, stdout)?;
    }
    writeln!(stdout, "\nthe request:\n")?;
    write_request(preview, stdout)
}

/// Writes a property with its name and value in the event and, next to it, in the request.
fn write_property(
    preview: &Preview<'_>,
    rule: &Rule,
    property: &EventProperty,
    stdout: &mut dyn Write,
) -> Result<(), Failure> {
    let (name, wire_name) = (&property.name, &rule.wire.name);
    let sent = preview.wire_value(wire_name);
    let (in_event, in_request) = match (&property.value, sent) {
        (Some(value), Some(sent)) if sent == value && rule.wire.minus.is_empty() => {
            (format!("{name} = {}", plain(value)), format!("{wire_name} (same)"))
        }
        (Some(value), Some(sent)) => {
            (format!("{name} = {}", plain(value)), format!("{wire_name} = {}", plain(sent)))
        }
        _ => (format!("{name} is omitted"), format!("{wire_name} is omitted")),
    };
    writeln!(stdout, "{in_event:<EVENT_WIDTH$} {in_request}")?;
    writeln!(stdout, "    {}", describe_provenance(preview, property))?;
    if let (false, Some(total), Some(rest)) = (rule.wire.minus.is_empty(), &property.value, sent) {
        let parts = preview.built.properties().iter().filter(|part| rule.wire.minus.contains(&part.name));
        let parts: String = parts.filter_map(|part| Some(format!(" - {}", part.value.as_ref()?))).collect();
        writeln!(
            stdout,
            "    sent as {total}{parts} = {rest}: without the counts below, each sent by itself"
        )?;
    }
    Ok(())
}

/// Returns a value without the quotes of JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn write_request(preview: &Preview<'_>, stdout: &mut dyn Write) -> Result<(), Failure> {
    let request = &preview.request;
    writeln!(stdout, "{} {}", request.method, request.endpoint)?;
    for (name, value) in &request.headers {
        writeln!(stdout, "{name}: {value}")?;
    }
    writeln!(stdout)?;
    stdout.write_all(&request.body)?;
    writeln!(stdout, "\n")?;
    match request.endpoint.proxy() {
        Some(proxy) => writeln!(stdout, "sent through the proxy {proxy}")?,
        None => writeln!(stdout, "sent directly, not through a proxy")?,
    }
    writeln!(stdout, "distinctId is an example: every start generates a new one and does not store it")?;
    Ok(())
}

fn describe_provenance(preview: &Preview<'_>, property: &EventProperty) -> String {
    match &property.provenance {
        Provenance::Config(pointers) => {
            let describe = |pointer| preview.origins.describe(preview.effective, pointer);
            let descriptions =
                pointers.iter().map(|pointer| format!("{} ({})", describe(pointer), key(pointer)));
            descriptions.collect::<Vec<_>>().join(", ")
        }
        Provenance::Absent(pointers) => {
            let keys: Vec<_> = pointers.iter().map(key).collect();
            format!("default (no {})", keys.join(", no "))
        }
        Provenance::Env { variable, outcome } => match outcome {
            EnvOutcome::Unset => format!("{variable} (not set)"),
            EnvOutcome::Listed => variable.clone(),
            EnvOutcome::Truncated => format!("{variable} (not listed: only a prefix is sent)"),
            EnvOutcome::Unlisted => match &property.value {
                Some(sent) => format!("{variable} (not a listed value: `{}` is sent instead)", plain(sent)),
                None => format!("{variable} (not sent: not a listed value)"),
            },
            EnvOutcome::MissingCompanion => format!("{variable} (not sent without a listed helper)"),
        },
        Provenance::Build => "this build".to_owned(),
    }
}
