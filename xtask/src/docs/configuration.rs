//! docs/configuration.md: the reference of all properties, flags, environment variables and diagnostics.

use serde_json::Value;
use tbot::config::internal::schema::{is_union, resolve, union_branches};
use tbot::config::{Config, JoinMethod, ServiceType};
use tbot::diagnostic::Phase;

use super::environment;
use super::markdown::{GENERATED_NOTICE, code, line, table};
use super::sections::{Section, is_shared, sections, string};

/// The length of the longest default in the `default` column. Longer ones are appended to the description.
const MAX_DEFAULT_LENGTH: usize = 26;

/// The largest number of values that a table lists for an enum.
const MAX_LISTED_VALUES: usize = 8;

pub(super) fn page(config: &Value, config_v1: &Value) -> String {
    let mut page = String::from(GENERATED_NOTICE);
    page += include_str!("configuration/lead.md");
    for section in sections(config) {
        page += &format_section(config, &section);
    }
    page += &service_types();
    page += &join_methods(config);
    page += include_str!("configuration/v1.md");
    for section in sections(config_v1) {
        if is_shared(config, config_v1, section.definition) {
            continue;
        }
        let heading = format!("Version 1: {}", section.heading);
        page += &format_section(config_v1, &Section { heading, ..section });
    }
    page += &environment::section();
    page += &diagnostics();
    page
}

fn format_section(root: &Value, section: &Section<'_>) -> String {
    let heading = capitalize(&section.heading);
    let mut page = format!("\n### {heading}\n\n{}\n", definition_description(section.schema));
    if let Some(note) = unsupported_note(section) {
        page += &format!("\n> {note}\n");
    }
    let required: Vec<&str> =
        section.schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = section.schema["properties"].as_object().into_iter().flatten();
    let rows: Vec<Vec<String>> = properties
        .map(|(key, property)| {
            let name = if required.contains(&key.as_str()) { format!("{} *", code(key)) } else { code(key) };
            let description = description(root, section.definition, key, property);
            vec![name, type_name(root, property), short_default(property), description]
        })
        .collect();
    page + "\n" + &table(&["property", "type", "default", "meaning"], &rows)
}

fn capitalize(heading: &str) -> String {
    let mut letters = heading.chars();
    letters
        .next()
        .map_or_else(String::new, |letter| letter.to_uppercase().collect::<String>() + letters.as_str())
}

/// Returns the description of a definition, which is a comment if every property that refers to it has its own.
fn definition_description(schema: &Value) -> &str {
    let key = if schema.get("description").is_some() { "description" } else { "$comment" };
    string(schema, key)
}

/// Returns a note if this version of the agent does not support a service type.
fn unsupported_note(section: &Section<'_>) -> Option<&'static str> {
    let service_type = ServiceType::from_name(section.schema["properties"]["type"]["const"].as_str()?)?;
    (!service_type.supported).then_some(
        "This version validates services of this type but does not support them: `tbot start` reports an error and exits \
         before joining.",
    )
}

/// Returns the name of a property's type, as shown on the page.
fn type_name(root: &Value, property: &Value) -> String {
    if let Some(tag) = property["const"].as_str() {
        return code(tag);
    }
    if let (Some(then), Some(otherwise)) = (property.get("then"), property.get("else")) {
        return format!("{} or {}", type_name(root, otherwise), type_name(root, then));
    }
    let Some(schema) = resolve(root, property) else { return String::new() };
    if schema["items"].is_object() {
        return format!("list of {}", type_name(root, &schema["items"]));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = words(values).map(code).collect();
        return if values.len() > MAX_LISTED_VALUES {
            format!("one of {}, see below", values.len())
        } else {
            values.join(", ")
        };
    }
    if is_union(schema) {
        let is_service = union_branches(root, schema).any(|(_, branch)| branch["x-access"].is_string());
        return if is_service { "service" } else { "destination" }.to_owned();
    }
    let display_name = |name: &str| match name {
        "string" if schema["pattern"].is_string() => "duration",
        "string" => "string",
        "boolean" => "bool",
        "integer" => "number",
        "object" if schema["additionalProperties"].is_object() => "map of strings",
        "object" => "map",
        _ => "null",
    };
    match &schema["type"] {
        Value::String(name) => display_name(name).to_owned(),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.map(display_name).collect::<Vec<_>>().join(" or ")
        }
        _ => String::new(),
    }
}

/// Returns the words of a closed set. An empty one means that the property is not set.
fn words(values: &[Value]) -> impl Iterator<Item = &str> {
    values.iter().filter_map(Value::as_str).filter(|word| !word.is_empty())
}

/// Returns the default of a property if it fits the column.
fn short_default(property: &Value) -> String {
    let default = default(property);
    if default.len() <= MAX_DEFAULT_LENGTH { default } else { String::new() }
}

fn default(property: &Value) -> String {
    match &property["default"] {
        Value::Null => String::new(),
        Value::String(string) => code(string),
        other => code(&other.to_string()),
    }
}

fn description(root: &Value, definition: &str, key: &str, property: &Value) -> String {
    // The description of a `type` is that of its section.
    let is_type = property.get("const").is_some();
    let text = if is_type {
        "The type, which determines the other properties."
    } else {
        string(property, "description")
    };
    let mut description = line(text);
    if property["deprecated"] == true {
        description += " **Deprecated.**";
    }
    let default = default(property);
    if default.len() > MAX_DEFAULT_LENGTH {
        description += &format!(" Default: {default}.");
    }
    if let Some(example) = property["examples"].get(0) {
        let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        description += &format!(" Example: {}.", code(&example));
    }
    if let Some(values) = resolve(root, property).and_then(|schema| schema["enumDescriptions"].as_array())
        && values.len() > 1
        && values.len() <= MAX_LISTED_VALUES
    {
        let names = resolve(root, property).map(|schema| schema["enum"].clone()).unwrap_or_default();
        for (name, meaning) in names.as_array().into_iter().flatten().zip(values) {
            let Some(name) = name.as_str() else { continue };
            description += &format!("<br>{}: {}", code(name), line(meaning.as_str().unwrap_or_default()));
        }
    }
    if let Some(what) = Config::unsupported_feature(definition, key) {
        description +=
            &format!(" This version does not support {what}: `tbot start` reports an error and exits.");
    }
    description
}

fn service_types() -> String {
    let yes_or_no = |fact: bool| if fact { "yes" } else { "no" }.to_owned();
    let row = |service_type: &ServiceType| {
        vec![
            code(service_type.name),
            yes_or_no(service_type.supported),
            yes_or_no(service_type.oneshot),
            yes_or_no(service_type.scoped),
            yes_or_no(service_type.long_lived),
            yes_or_no(service_type.command.is_some()),
        ]
    };
    let rows: Vec<Vec<String>> = ServiceType::ALL.iter().map(row).collect();
    let columns = ["`type`", "supported", "oneshot mode", "scoped bots", "longer than 24h", "command"];
    format!(
        "\n### Service types\n\nWhether this version supports a type, whether it has an effect in oneshot mode, whether scoped bots can use it, \
         whether clusters allow its credentials to live longer than 24h, and whether flags can add it: `tbot start TYPE`, \
         `tbot configure TYPE`.\n\n{}",
        table(&columns, &rows)
    )
}

fn join_methods(config: &Value) -> String {
    let schema = &config["$defs"]["JoinMethod"];
    let names = words(schema["enum"].as_array().map_or(&[], Vec::as_slice));
    let meanings = schema["enumDescriptions"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let rows: Vec<Vec<String>> = names
        .zip(meanings)
        .map(|(name, meaning)| {
            let supported = JoinMethod::from_name(name).and_then(JoinMethod::supported);
            let supported = if supported.is_some() { "yes" } else { "no" };
            vec![code(name), line(meaning), supported.to_owned()]
        })
        .collect();
    format!(
        "\n### Join methods\n\n{}",
        table(&["`join_method`", "how the bot proves its identity", "supported"], &rows)
    )
}

fn diagnostics() -> String {
    let mut page = include_str!("configuration/diagnostics.md").to_owned();
    for phase in Phase::ALL {
        let codes = super::diagnostics::codes(phase, "diagnostics/");
        page += &format!("\n### {}\n\n{}\n\n{codes}", phase.title(), phase.requirement());
    }
    page
}
