//! docs/configuration.md: the reference of every property, and what the checks say.

use serde_json::Value;
use tbot::config::schema::resolve;
use tbot::diagnostic::{Code, Judge, Severity};
use tbot::support;

use super::ledger::{Group, groups};
use super::markdown::{cell, code, table};
use super::{NOTICE, environment, text};

pub(super) fn page(config: &Value, config_v1: &Value) -> String {
    let mut page = String::from(NOTICE);
    page += include_str!("configuration/lead.md");
    for group in groups(config) {
        page += &section(config, &group);
    }
    page += &join_methods(config);
    page += include_str!("configuration/v1.md");
    for group in groups(config_v1) {
        page += &section(config_v1, &Group { heading: format!("Version 1: {}", group.heading), ..group });
    }
    page += &environment::section();
    page += &diagnostics();
    page
}

fn section(root: &Value, group: &Group<'_>) -> String {
    let mut section = format!("\n### {}\n\n{}\n", heading(group), text(group.schema, "description"));
    if let Some(note) = note(group) {
        section += &format!("\n> {note}\n");
    }
    let required: Vec<&str> =
        group.schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = group.schema["properties"].as_object().into_iter().flatten();
    let rows: Vec<Vec<String>> = properties
        .map(|(key, property)| {
            let name = if required.contains(&key.as_str()) { format!("{} *", code(key)) } else { code(key) };
            vec![name, kind(root, property), default(property), description(root, group.name, key, property)]
        })
        .collect();
    section + "\n" + &table(&["property", "type", "default", "meaning"], &rows)
}

fn heading(group: &Group<'_>) -> String {
    let mut letters = group.heading.chars();
    letters
        .next()
        .map_or_else(String::new, |letter| letter.to_uppercase().collect::<String>() + letters.as_str())
}

/// What this version does not run of a type.
fn note(group: &Group<'_>) -> Option<String> {
    let kind = group.schema["properties"]["type"]["const"].as_str()?;
    let (what, runs) = if group.schema["x-access"].is_string() {
        ("services of this type", support::SERVICES)
    } else {
        ("destinations of this type", support::DESTINATIONS)
    };
    (!runs.contains(&kind)).then(|| {
        format!(
            "This version checks {what} but cannot run them: `tbot start` refuses by name, before it joins."
        )
    })
}

/// A property's type, with links to the sections of what has properties of its own.
fn kind(root: &Value, property: &Value) -> String {
    if let Some(tag) = property["const"].as_str() {
        return code(tag);
    }
    let Some(schema) = resolve(root, property) else { return String::new() };
    if schema["items"].is_object() {
        return format!("list of {}", kind(root, &schema["items"]));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values.iter().filter_map(Value::as_str).map(code).collect();
        return if values.len() > 8 {
            format!("one of {}, see below", values.len())
        } else {
            values.join(", ")
        };
    }
    if schema["oneOf"].is_array() {
        let services = schema["oneOf"].as_array().is_some_and(|branches| branches.len() > 5);
        return if services { "service" } else { "destination" }.to_owned();
    }
    if let Some(branches) = schema["anyOf"].as_array() {
        let kinds: Vec<String> = branches.iter().map(|branch| kind(root, branch)).collect();
        return kinds.join(" or ");
    }
    let named = |name: &str| match name {
        "string" if schema["pattern"].is_string() => "duration",
        "string" => "text",
        "boolean" => "bool",
        "integer" => "number",
        "object" if schema["additionalProperties"].is_object() => "map of texts",
        "object" => "map",
        _ => "nothing",
    };
    match &schema["type"] {
        Value::String(name) => named(name).to_owned(),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.map(named).collect::<Vec<_>>().join(" or ")
        }
        _ => String::new(),
    }
}

/// A default that fits a narrow column; a longer one is told with the meaning.
fn default(property: &Value) -> String {
    let default = any_default(property);
    if default.len() <= WIDEST_DEFAULT { default } else { String::new() }
}

const WIDEST_DEFAULT: usize = 26;

fn any_default(property: &Value) -> String {
    match &property["default"] {
        Value::Null => String::new(),
        Value::String(text) => code(text),
        other => code(&other.to_string()),
    }
}

fn description(root: &Value, definition: &str, key: &str, property: &Value) -> String {
    let mut description = cell(text(property, "description"));
    if property["deprecated"] == true {
        description += " **Superseded.**";
    }
    let default = any_default(property);
    if default.len() > WIDEST_DEFAULT {
        description += &format!(" Default: {default}.");
    }
    if let Some(example) = property["examples"].get(0) {
        let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        description += &format!(" Example: {}.", code(&example));
    }
    if let Some(values) = resolve(root, property).and_then(|schema| schema["enumDescriptions"].as_array())
        && values.len() > 1
        && values.len() <= 8
    {
        let names = resolve(root, property).map(|schema| schema["enum"].clone()).unwrap_or_default();
        for (name, meaning) in names.as_array().into_iter().flatten().zip(values) {
            description += &format!(
                "<br>{}: {}",
                code(name.as_str().unwrap_or_default()),
                cell(meaning.as_str().unwrap_or_default())
            );
        }
    }
    if let Some(what) = support::refused(definition, key) {
        description += &format!(" This version does not run {what}: `tbot start` refuses it by name.");
    }
    description
}

fn join_methods(config: &Value) -> String {
    let schema = &config["$defs"]["JoinMethod"];
    let names = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let meanings = schema["enumDescriptions"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let rows: Vec<Vec<String>> = names
        .zip(meanings)
        .map(|(name, meaning)| {
            let runs = if support::JOIN_METHODS.contains(&name) { "yes" } else { "no, refused by name" };
            vec![code(name), cell(meaning), runs.to_owned()]
        })
        .collect();
    format!(
        "\n### Join methods\n\n{}",
        table(&["`join_method`", "how the bot proves what it is", "runs"], &rows)
    )
}

fn diagnostics() -> String {
    let mut page = include_str!("configuration/diagnostics.md").to_owned();
    for (judge, title, story) in [
        (Judge::Yaml, "YAML", "Whether the file is a text with one map in it."),
        (
            Judge::Structure,
            "Structure",
            "Whether the map has the form that the JSON Schema says; an editor finds these, too.",
        ),
        (
            Judge::Meaning,
            "Meaning",
            "What the schema cannot say: how values fit each other, and what they lead to.",
        ),
    ] {
        let rows: Vec<Vec<String>> = Code::ALL
            .iter()
            .filter(|code| code.judge() == judge)
            .map(|found| {
                let severity = if found.severity() == Severity::Error { "error" } else { "warning" };
                vec![code(found.name()), severity.to_owned(), cell(found.summary())]
            })
            .collect();
        page += &format!("\n### {title}\n\n{story}\n\n{}", table(&["code", "severity", "meaning"], &rows));
    }
    page
}
