//! The sections of a schema: one per definition that has properties.

use serde_json::Value;
use tbot::config::internal::schema::is_union;

/// A definition of a schema that has properties.
pub(super) struct Section<'a> {
    /// The title of the section: the type, or the path of properties that leads to the definition.
    pub(super) heading: String,
    /// The name in `$defs`, or `Config` for the root.
    pub(super) definition: &'a str,
    pub(super) schema: &'a Value,
}

/// Returns the definitions of a schema that have properties: the root first, then in the order of `$defs`, except that
/// the definitions within a service or destination type follow the type.
pub(super) fn sections(root: &Value) -> Vec<Section<'_>> {
    let mut sections = vec![Section { heading: "Top level".to_owned(), definition: "Config", schema: root }];
    // In `$defs`, the definitions within a type come before the type.
    let mut within_next_type = Vec::new();
    for (definition, schema) in root["$defs"].as_object().into_iter().flatten() {
        let has_properties =
            schema["properties"].as_object().is_some_and(|properties| !properties.is_empty());
        // Every type of a union has a section of its own.
        if !has_properties || is_union(schema) {
            continue;
        }
        let section = Section { heading: heading(root, definition, schema), definition, schema };
        if section.heading.contains(": ") {
            within_next_type.push(section);
        } else {
            sections.push(section);
            sections.append(&mut within_next_type);
        }
    }
    sections.append(&mut within_next_type);
    sections
}

/// Returns whether version 1 has the same definition as version 2.
pub(super) fn is_shared(config: &Value, config_v1: &Value, definition: &str) -> bool {
    config["$defs"].get(definition).is_some_and(|schema| *schema == config_v1["$defs"][definition])
}

/// Returns a string member of a schema, or an empty string if there is none.
pub(super) fn string<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema[key].as_str().unwrap_or_default()
}

fn heading(root: &Value, definition: &str, schema: &Value) -> String {
    if let Some(type_name) = schema["properties"]["type"]["const"].as_str() {
        let what = if schema["x-access"].is_string() { "service" } else { "destination" };
        return format!("{what} `{type_name}`");
    }
    let path = path_to(root, root, definition, 0).or_else(|| path_within_type(root, definition));
    format!("`{}`", path.as_deref().unwrap_or(definition))
}

/// Returns the path of properties from a schema to a definition, or `None` if every path leads through a tagged union.
fn path_to(root: &Value, from: &Value, definition: &str, depth: usize) -> Option<String> {
    if depth > 6 {
        return None;
    }
    let target = root["$defs"].get(definition)?;
    for (key, property) in from["properties"].as_object()? {
        let mut maps = Vec::new();
        collect_maps(root, property, "", &mut maps);
        for (suffix, map) in maps {
            if std::ptr::eq(map, target) {
                return Some(format!("{key}{suffix}"));
            }
            if let Some(rest) = path_to(root, map, definition, depth + 1) {
                return Some(format!("{key}{suffix}.{rest}"));
            }
        }
    }
    None
}

/// Collects the maps that a property may contain, following references, alternatives and lists. Maps in a list get the
/// suffix `[]`.
fn collect_maps<'a>(
    root: &'a Value,
    schema: &'a Value,
    suffix: &'static str,
    maps: &mut Vec<(&'static str, &'a Value)>,
) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#'));
        target.into_iter().for_each(|target| collect_maps(root, target, suffix, maps));
    } else if let Some(map) = schema.get("then") {
        collect_maps(root, map, suffix, maps);
    } else if schema["items"].is_object() {
        collect_maps(root, &schema["items"], "[]", maps);
    } else if schema["properties"].is_object() {
        maps.push((suffix, schema));
    }
}

/// Returns the path to a definition within the first service or destination type that uses it.
fn path_within_type(root: &Value, definition: &str) -> Option<String> {
    let mut types = root["$defs"]
        .as_object()?
        .values()
        .filter(|schema| schema["properties"]["type"]["const"].is_string());
    types.find_map(|schema| {
        let path = path_to(root, schema, definition, 0)?;
        Some(format!("{}: {path}", string(&schema["properties"]["type"], "const")))
    })
}
