//! The ledger: every property of a configuration's schema, as collected (and into what) or never collected (and why).

use serde_json::Value;
use tbot::config::schema::{class_of, resolve};
use tbot::config::{Access, Sensitivity};
use tbot::event::{Rules, Source};

use super::markdown::{code, table};
use super::text;

/// One definition of a schema that has properties, under the heading that people know it by.
pub(super) struct Group<'a> {
    pub(super) heading: String,
    pub(super) name: &'a str,
    pub(super) schema: &'a Value,
}

/// The definitions of a schema that have properties: the root first, then as the root and its services name them.
pub(super) fn groups(root: &Value) -> Vec<Group<'_>> {
    let mut groups = vec![Group { heading: "Top level".to_owned(), name: "Config", schema: root }];
    for (name, schema) in root["$defs"].as_object().into_iter().flatten() {
        if schema["properties"].as_object().is_some_and(|properties| !properties.is_empty()) {
            groups.push(Group { heading: heading(root, name, schema), name, schema });
        }
    }
    groups
}

fn heading(root: &Value, name: &str, schema: &Value) -> String {
    if let Some(kind) = schema["properties"]["type"]["const"].as_str() {
        let what = if schema["x-access"].is_string() { "service" } else { "destination" };
        return format!("{what} `{kind}`");
    }
    match path_to(root, root, name, 0) {
        Some(path) => format!("`{path}`"),
        None => match in_tagged(root, name) {
            Some(path) => format!("`{path}`"),
            None => format!("`{name}`"),
        },
    }
}

/// The path of properties from a schema to a definition, where it does not lead through a tagged union.
fn path_to(root: &Value, from: &Value, name: &str, depth: usize) -> Option<String> {
    if depth > 6 {
        return None;
    }
    let wanted = root["$defs"].get(name)?;
    for (key, property) in from["properties"].as_object()? {
        let mut maps = Vec::new();
        behind(root, property, "", &mut maps);
        for (suffix, map) in maps {
            if std::ptr::eq(map, wanted) {
                return Some(format!("{key}{suffix}"));
            }
            if let Some(rest) = path_to(root, map, name, depth + 1) {
                return Some(format!("{key}{suffix}.{rest}"));
            }
        }
    }
    None
}

/// The maps that a property may be, behind references, alternatives and lists.
fn behind<'a>(
    root: &'a Value,
    schema: &'a Value,
    suffix: &'static str,
    maps: &mut Vec<(&'static str, &'a Value)>,
) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#'));
        target.into_iter().for_each(|target| behind(root, target, suffix, maps));
    } else if let Some(branches) = schema["anyOf"].as_array() {
        branches.iter().for_each(|branch| behind(root, branch, suffix, maps));
    } else if schema["items"].is_object() {
        behind(root, &schema["items"], "[]", maps);
    } else if schema["properties"].is_object() {
        maps.push((suffix, schema));
    }
}

/// The path to a definition within a service or destination type, by one that has it.
fn in_tagged(root: &Value, name: &str) -> Option<String> {
    let tagged = root["$defs"]
        .as_object()?
        .values()
        .filter(|schema| schema["properties"]["type"]["const"].is_string());
    tagged.into_iter().find_map(|tagged| {
        let path = path_to(root, tagged, name, 0)?;
        Some(format!("{}: {path}", text(&tagged["properties"]["type"], "const")))
    })
}

/// The whole ledger of a configuration's schema, a table for each group.
pub(super) fn ledger(root: &Value, rules: &Rules, moved: &[(&str, &str)]) -> String {
    let mut page = String::new();
    for group in groups(root) {
        page += &format!("\n#### {}\n\n", group.heading);
        let properties = group.schema["properties"].as_object().into_iter().flatten();
        let rows: Vec<Vec<String>> = properties
            .map(|(key, property)| {
                let class = class_of(root, property).unwrap_or(Sensitivity::Secret);
                vec![code(key), class.name().to_owned(), verdict(root, &group, key, class, rules, moved)]
            })
            .collect();
        page += &table(&["property", "class", "in the event"], &rows);
    }
    page
}

fn verdict(
    root: &Value,
    group: &Group<'_>,
    key: &str,
    class: Sensitivity,
    rules: &Rules,
    moved: &[(&str, &str)],
) -> String {
    let into = collected(group, key, rules, moved);
    if !into.is_empty() {
        let names: Vec<String> = into.iter().map(|name| code(name)).collect();
        let how = if key == "type" { "**counted** by its access class into" } else { "**collected** into" };
        return format!("{how} {}", names.join(", "));
    }
    let resolved = group.schema["properties"].get(key).and_then(|property| resolve(root, property));
    let has_rows =
        resolved.is_some_and(|schema| schema["properties"].is_object() || schema["oneOf"].is_array());
    let why = match class {
        Sensitivity::Secret => "never: it gives access",
        Sensitivity::Identifier => "never: it names somebody or something of yours",
        Sensitivity::Location => "never: it says where something of yours is",
        _ if has_rows => "never by itself: what it holds has rows of its own",
        Sensitivity::Tuning | Sensitivity::Category => "never: no question of ours needs it",
    };
    why.to_owned()
}

/// The event's properties that read a configuration's property.
fn collected(group: &Group<'_>, key: &str, rules: &Rules, moved: &[(&str, &str)]) -> Vec<String> {
    let pointer = match group.name {
        "Config" => format!("/{key}"),
        "Onboarding" => format!("/onboarding/{key}"),
        _ => String::new(),
    };
    let pointer = moved.iter().find(|(from, _)| *from == pointer).map_or(pointer.as_str(), |(_, to)| *to);
    let access = group.schema["x-access"].as_str().and_then(Access::from_name).filter(|_| key == "type");
    let reads = |source: &Source| match source {
        Source::Config(source) => source.pointer.as_str() == pointer,
        Source::Count(source) => {
            source.pointers.iter().any(|list| list.as_str() == pointer)
                || (access.is_some() && source.access == access)
        }
        Source::Env(_) | Source::Build(_) => false,
    };
    let mut names: Vec<String> =
        rules.properties.iter().filter(|rule| reads(&rule.source)).map(|rule| rule.name.clone()).collect();
    // A type of no class of its own counts in the total alone, which the wire carries as the rest.
    if access == Some(Access::Other) {
        names.push("destinations_configured".to_owned());
    }
    names
}
