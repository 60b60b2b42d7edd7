//! What becomes of every configuration property in the event: in which property it is collected, or why it is never collected.

use anyhow::{Result, ensure};
use serde_json::Value;
use tbot::config::internal::schema::{class_of, resolve};
use tbot::config::internal::{AccessClass, Sensitivity};
use tbot::event::internal::{PropertySource, Rules};
use tbot::pointer::Pointer;

use super::markdown::{code, table};
use super::sections::Section;

/// The configuration properties of one section of a schema.
pub(super) struct CollectionSection {
    pub(super) heading: String,
    groups: Vec<PropertyGroup>,
}

/// Properties that are never collected, although something collected follows from them: the definition, the key, and what.
const DECISIVE: &[(&str, &str, &str)] = &[
    ("Config", "join_uri", "**only the join method** in it, as `join_type`; never its token or address"),
    ("DestinationV1", "app", ONLY_PRESENCE),
    ("DestinationV1", "database", ONLY_PRESENCE),
    ("DestinationV1", "kubernetes_cluster", ONLY_PRESENCE),
];

const ONLY_PRESENCE: &str = "**only whether it is set**, which decides the access class; never its value";

/// The definitions that may contain a source of the event, and the pointer to each.
const WITH_SOURCES: [(&str, &str); 2] = [("Config", ""), ("Onboarding", "/onboarding")];

/// Properties of the same class with the same outcome.
struct PropertyGroup {
    keys: Vec<String>,
    class: Sensitivity,
    outcome: String,
    is_collected: bool,
}

impl CollectionSection {
    /// Adds a prefix to the heading.
    pub(super) fn with_prefix(mut self, prefix: &str) -> Self {
        self.heading.insert_str(0, prefix);
        self
    }

    /// Returns the number of properties.
    pub(super) fn len(&self) -> usize {
        self.groups.iter().map(|group| group.keys.len()).sum()
    }

    /// Returns the number of properties of a class.
    pub(super) fn len_of(&self, class: Sensitivity) -> usize {
        let of_class = self.groups.iter().filter(|group| group.class == class);
        of_class.map(|group| group.keys.len()).sum()
    }

    /// Returns the number of properties of a class that are collected.
    pub(super) fn collected_of(&self, class: Sensitivity) -> usize {
        let collected = self.groups.iter().filter(|group| group.class == class && group.is_collected);
        collected.map(|group| group.keys.len()).sum()
    }

    /// Returns the number of properties that are collected.
    pub(super) fn collected(&self) -> usize {
        Sensitivity::ALL.into_iter().map(|class| self.collected_of(class)).sum()
    }

    /// Formats the properties as a table.
    pub(super) fn table(&self) -> String {
        let row = |group: &PropertyGroup| {
            let keys: Vec<String> = group.keys.iter().map(|key| code(key)).collect();
            vec![keys.join(", "), format!("{}, {}", group.class.name(), group.outcome)]
        };
        table(&["properties", "class, and in the event"], &self.groups.iter().map(row).collect::<Vec<_>>())
    }
}

/// Checks that [`collection`] finds every property of the configuration that the event reads.
///
/// # Errors
///
/// Returns an error that names a property which would be listed as never collected.
pub(super) fn check_sources(rules: &Rules) -> Result<()> {
    for pointer in rules.properties.iter().flat_map(|rule| rule.source.pointers()) {
        let parent = pointer.parent();
        let parent = parent.as_ref().map(Pointer::as_str);
        ensure!(
            WITH_SOURCES.iter().any(|(_, pointer)| Some(*pointer) == parent),
            "docs/telemetry.md would not list {pointer} as collected: add the definition that contains it to WITH_SOURCES in \
             xtask/src/docs/collection.rs"
        );
    }
    Ok(())
}

/// Returns what becomes of the properties of each section of a configuration schema.
///
/// `renamed` maps pointers of this schema to those that the event's declarations use.
pub(super) fn collection<'a>(
    root: &Value,
    sections: impl IntoIterator<Item = Section<'a>>,
    rules: &Rules,
    renamed: &[(&str, &str)],
) -> Vec<CollectionSection> {
    let collect = |section: Section<'a>| {
        let mut groups: Vec<PropertyGroup> = Vec::new();
        for (key, property) in section.schema["properties"].as_object().into_iter().flatten() {
            // A property without a class is treated as the most sensitive.
            let class = class_of(root, property).unwrap_or(Sensitivity::Secret);
            let collected_in = event_properties(&section, key, rules, renamed);
            let outcome = decisive(section.definition, key)
                .map_or_else(|| outcome(root, property, key, class, &collected_in), str::to_owned);
            match groups.iter_mut().find(|group| group.class == class && group.outcome == outcome) {
                Some(group) => group.keys.push(key.clone()),
                None => groups.push(PropertyGroup {
                    keys: vec![key.clone()],
                    class,
                    outcome,
                    is_collected: !collected_in.is_empty(),
                }),
            }
        }
        CollectionSection { heading: section.heading, groups }
    };
    sections.into_iter().map(collect).collect()
}

/// Describes what follows from a property that is never collected, or returns `None` if nothing does.
fn decisive(definition: &str, key: &str) -> Option<&'static str> {
    let is_same = |row: &&(&str, &str, &str)| (row.0, row.1) == (definition, key);
    DECISIVE.iter().find(is_same).map(|row| row.2)
}

/// Describes whether a property is collected, and in what or why not.
fn outcome(root: &Value, property: &Value, key: &str, class: Sensitivity, collected_in: &[String]) -> String {
    if !collected_in.is_empty() {
        let names: Vec<String> = collected_in.iter().map(|name| code(name)).collect();
        let how = if key == "type" { "**counted** by access class in" } else { "**collected** in" };
        return format!("{how} {}", names.join(", "));
    }
    let is_listed_separately = resolve(root, property).is_some_and(|schema| schema["properties"].is_object());
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
    let parent = WITH_SOURCES.iter().find(|(definition, _)| *definition == section.definition);
    let pointer = parent.map_or_else(String::new, |(_, pointer)| format!("{pointer}/{key}"));
    let pointer = renamed.iter().find(|(from, _)| *from == pointer).map_or(pointer.as_str(), |(_, to)| *to);
    let access =
        section.schema["x-access"].as_str().and_then(AccessClass::from_name).filter(|_| key == "type");
    let counts = |source: &PropertySource| {
        access.is_some() && matches!(source, PropertySource::Count(count) if count.access == access)
    };
    let reads = |source: &PropertySource| {
        counts(source) || source.pointers().iter().any(|read| read.as_str() == pointer)
    };
    let names = |reads: &dyn Fn(&PropertySource) -> bool| -> Vec<String> {
        rules.properties.iter().filter(|rule| reads(&rule.source)).map(|rule| rule.name.clone()).collect()
    };
    let read_by = names(&reads);
    if access.is_some() && read_by.is_empty() {
        // A service in a class without a separate count counts only in the total.
        return names(&is_total);
    }
    read_by
}

/// Returns true if a property counts all entries of its lists.
pub(super) fn is_total(source: &PropertySource) -> bool {
    matches!(source, PropertySource::Count(source) if source.access.is_none())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use tbot::config::internal::schema::generate_v1;
    use tbot::config::{Purpose, load};
    use tbot::event::{BuildContext, BuiltEvent};
    use xtask_launcher::root;

    use super::*;

    /// Returns the event of a file, or `None` if the file is not valid.
    fn event(file: &Value) -> Option<Value> {
        let effective = load(Some(&file.to_string()), &[], Purpose::Start).effective?;
        let context = BuildContext { version: "1.2.3", environment: &|_| None };
        let event = BuiltEvent::for_config(&effective, context).unwrap().event().clone();
        Some(serde_json::to_value(event).unwrap())
    }

    /// Returns a file of version 1 without a key of its destinations.
    fn without(key: &str, file: &Value) -> Value {
        let mut file = file.clone();
        for destination in file["destinations"].as_array_mut().unwrap() {
            destination.as_object_mut().unwrap().shift_remove(key);
        }
        file
    }

    /// `tests/config/non_interference.rs` changes the values of all other properties.
    #[test]
    fn the_keys_of_a_destination_that_change_the_event_are_listed() {
        let path = root().unwrap().join("tests/cases/validate/version-1-all-fields/tbot.yaml");
        let file = tbot::yaml::parse(&fs::read_to_string(path).unwrap()).unwrap().value;
        let schema = generate_v1();
        let mut decisive = BTreeSet::new();
        // With templates, a destination of another type may not be valid.
        for base in [&without("configs", &file), &file] {
            let expected = event(base).unwrap();
            for key in schema["$defs"]["DestinationV1"]["properties"].as_object().unwrap().keys() {
                if event(&without(key, base)).is_some_and(|event| event != expected) {
                    decisive.insert(key.as_str());
                }
            }
        }
        let listed = DECISIVE.iter().filter(|(definition, ..)| *definition == "DestinationV1");
        assert_eq!(decisive, listed.map(|(_, key, _)| *key).collect());
    }
}
