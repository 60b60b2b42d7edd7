//! The tables of docs/telemetry.md that list every configuration property: in which property of the event it is collected,
//! or why it is never collected.

use serde_json::Value;
use tbot::config::internal::schema::{class_of, resolve};
use tbot::config::internal::{AccessClass, Sensitivity};
use tbot::event::internal::{PropertySource, Rules};

use super::markdown::{code, table};
use super::sections::Section;

/// Returns one table per section of a configuration schema. Properties with the same class and the same result share a
/// row.
///
/// `renamed` maps pointers of this schema to those that the event's declarations use.
pub(super) fn tables<'a>(
    root: &Value,
    sections: impl IntoIterator<Item = Section<'a>>,
    rules: &Rules,
    renamed: &[(&str, &str)],
) -> String {
    let mut page = String::new();
    for section in sections {
        page += &format!("\n#### {}\n\n", section.heading);
        let mut rows: Vec<Vec<String>> = Vec::new();
        for (key, property) in section.schema["properties"].as_object().into_iter().flatten() {
            // A property without a class is treated as the most sensitive.
            let class = class_of(root, property).unwrap_or(Sensitivity::Secret);
            let collection = collection(root, &section, key, class, rules, renamed);
            match rows.iter_mut().find(|row| row[1] == class.name() && row[2] == collection) {
                Some(row) => row[0] += &format!(", {}", code(key)),
                None => rows.push(vec![code(key), class.name().to_owned(), collection]),
            }
        }
        page += &table(&["properties", "class", "in the event"], &rows);
    }
    page
}

/// Describes whether a property is collected, and in what or why not.
fn collection(
    root: &Value,
    section: &Section<'_>,
    key: &str,
    class: Sensitivity,
    rules: &Rules,
    renamed: &[(&str, &str)],
) -> String {
    let event_properties = event_properties(section, key, rules, renamed);
    if !event_properties.is_empty() {
        let names: Vec<String> = event_properties.iter().map(|name| code(name)).collect();
        let how = if key == "type" { "**counted** by access class in" } else { "**collected** in" };
        return format!("{how} {}", names.join(", "));
    }
    let resolved = section.schema["properties"].get(key).and_then(|property| resolve(root, property));
    let is_listed_separately = resolved.is_some_and(|schema| schema["properties"].is_object());
    let reason = match class {
        Sensitivity::Secret => "never: it gives access",
        Sensitivity::Identifier => "never: it names a person, machine or resource",
        Sensitivity::Location => "never: it is a path or an address",
        _ if is_listed_separately => "never as a whole: its properties are listed separately",
        Sensitivity::Tuning | Sensitivity::Category => "never: not needed",
    };
    reason.to_owned()
}

/// Returns the names of the event properties that are derived from a configuration property.
fn event_properties(
    section: &Section<'_>,
    key: &str,
    rules: &Rules,
    renamed: &[(&str, &str)],
) -> Vec<String> {
    let pointer = match section.definition {
        "Config" => format!("/{key}"),
        "Onboarding" => format!("/onboarding/{key}"),
        _ => String::new(),
    };
    let pointer = renamed.iter().find(|(from, _)| *from == pointer).map_or(pointer.as_str(), |(_, to)| *to);
    let access =
        section.schema["x-access"].as_str().and_then(AccessClass::from_name).filter(|_| key == "type");
    let reads = |source: &PropertySource| match source {
        PropertySource::Config(source) => source.pointer.as_str() == pointer,
        PropertySource::Count(source) => {
            source.pointers.iter().any(|list| list.as_str() == pointer)
                || (access.is_some() && source.access == access)
        }
        PropertySource::Env(_) | PropertySource::Build(_) => false,
    };
    let names = |reads: &dyn Fn(&PropertySource) -> bool| -> Vec<String> {
        rules.properties.iter().filter(|rule| reads(&rule.source)).map(|rule| rule.name.clone()).collect()
    };
    let read_by = names(&reads);
    if access.is_some() && read_by.is_empty() {
        // A service in a class without a count of its own counts only in the total.
        return names(&is_total);
    }
    read_by
}

/// Returns true if a property counts all entries of its lists.
pub(super) fn is_total(source: &PropertySource) -> bool {
    matches!(source, PropertySource::Count(source) if source.access.is_none())
}
