//! The changelog of the event: the differences between the schemas of its versions.

use anyhow::Result;
use serde_json::Value;
use tbot::event::internal::{Rule, Rules, ValueSet};

use super::properties::{source, values};
use crate::docs::markdown::code;

/// Returns the changes in each version of the event, the latest first. `schemas` are those of all versions, the first one
/// first.
pub(super) fn changes(schemas: &[Value]) -> Result<String> {
    let versions: Vec<Rules> = schemas.iter().map(read).collect::<Result<_>>()?;
    let mut section = String::new();
    for pair in versions.windows(2).rev() {
        let list: String = differences(&pair[0], &pair[1]).iter().map(|line| format!("- {line}\n")).collect();
        section += &format!("### Version {}\n\n{list}\n", pair[1].version);
    }
    if let Some(first) = versions.first() {
        let names: Vec<String> = first.properties.iter().map(|rule| code(&rule.name)).collect();
        section +=
            &format!("### Version {}\n\nThe first version, with {}.\n", first.version, names.join(", "));
    }
    Ok(section)
}

/// Reads the rules of a released version.
fn read(schema: &Value) -> Result<Rules> {
    let mut schema = schema.clone();
    for (_, property) in schema["properties"].as_object_mut().into_iter().flatten() {
        // Version 1 has the earlier name of the keyword.
        if let Some(source) = property["x-source"].as_object_mut()
            && let Some(required) = source.remove("beside")
        {
            source.insert("requires".to_owned(), required);
        }
    }
    Ok(Rules::read(&schema)?)
}

/// Describes what differs between two versions, except for explanations.
fn differences(before: &Rules, after: &Rules) -> Vec<String> {
    let find = |rules: &'_ Rules, name: &str| rules.properties.iter().position(|rule| rule.name == name);
    let mut lines = Vec::new();
    for rule in &before.properties {
        match find(after, &rule.name) {
            None => lines.push(format!("{} is no longer collected.", code(&rule.name))),
            Some(index) => compare(rule, &after.properties[index], &mut lines),
        }
    }
    for rule in after.properties.iter().filter(|rule| find(before, &rule.name).is_none()) {
        lines.push(format!("{} is new. {}", code(&rule.name), rule.description));
    }
    if before.transport != after.transport {
        lines.push("The request changed: see `x-transport` in the two schemas.".to_owned());
    }
    lines
}

/// Describes how a property changed.
fn compare(before: &Rule, after: &Rule, lines: &mut Vec<String>) {
    let name = code(&after.name);
    if let (ValueSet::Enum(old), ValueSet::Enum(new)) = (&before.values, &after.values) {
        for (what, these, others) in [("more", new, old), ("fewer", old, new)] {
            let changed: Vec<String> =
                these.iter().filter(|value| !others.contains(value)).map(|value| code(value)).collect();
            if !changed.is_empty() {
                lines.push(format!(
                    "{name} has {} {what} listed values: {}.",
                    changed.len(),
                    changed.join(", ")
                ));
            }
        }
    } else if values(&before.values) != values(&after.values) {
        lines.push(format!(
            "{name} has other values: {}. Before: {}.",
            values(&after.values),
            values(&before.values)
        ));
    }
    if before.source != after.source {
        let (old, new) = (source(&before.source), source(&after.source));
        let only_in = |these: &str, others: &str| {
            let clauses =
                these.split("; ").filter(|clause| !others.split("; ").any(|other| other == *clause));
            clauses.collect::<Vec<_>>().join("; ")
        };
        lines.push(format!("{name}: {}. Before: {}.", only_in(&new, &old), only_in(&old, &new)));
    }
    if before.required != after.required {
        let presence = if after.required { "in every event" } else { "optional" };
        lines.push(format!("{name} is now {presence}."));
    }
    if before.wire != after.wire {
        lines.push(format!("{name} has another form in the request: see its `x-wire` in the two schemas."));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tbot::event::internal::generate_schema;

    use super::*;
    use crate::released;

    fn all() -> Vec<Value> {
        released::versions(&generate_schema()).unwrap()
    }

    #[test]
    fn a_property_is_new_in_the_version_that_its_declaration_names() {
        let versions: Vec<Rules> = all().iter().map(|schema| read(schema).unwrap()).collect();
        for rule in &versions.last().unwrap().properties {
            let has = |rules: &&Rules| rules.properties.iter().any(|other| other.name == rule.name);
            assert_eq!(versions.iter().find(has).unwrap().version, rule.since, "{}", rule.name);
        }
    }

    #[test]
    fn a_version_that_is_released_differs_from_the_one_before() {
        let versions: Vec<Rules> = all().iter().map(|schema| read(schema).unwrap()).collect();
        for pair in versions.windows(2) {
            assert_ne!(differences(&pair[0], &pair[1]), [""; 0], "version {}", pair[1].version);
        }
    }

    #[test]
    fn every_kind_of_difference_is_listed() {
        let current = generate_schema();
        let count = |change: &dyn Fn(&mut Value)| {
            let mut changed = current.clone();
            change(&mut changed);
            differences(&read(&current).unwrap(), &read(&changed).unwrap()).len()
        };
        let unchanged: [&dyn Fn(&mut Value); 3] =
            [&|_| {}, &|event| event["properties"]["version"]["x-reason"] = json!("another"), &|event| {
                event["properties"]["version"]["description"] = json!("another");
            }];
        let changed: [&dyn Fn(&mut Value); 9] = [
            &|event| drop(event["properties"].as_object_mut().unwrap().remove("version")),
            &|event| event["properties"]["another"] = event["properties"]["version"].clone(),
            &|event| event["$defs"]["Helper"]["enum"].as_array_mut().unwrap().push(json!("another")),
            &|event| drop(event["$defs"]["Helper"]["enum"].as_array_mut().unwrap().pop()),
            &|event| event["properties"]["version"]["pattern"] = json!("^a$"),
            &|event| event["properties"]["helper"]["x-source"]["env"] = json!("ANOTHER"),
            &|event| drop(event["required"].as_array_mut().unwrap().remove(0)),
            &|event| event["x-transport"]["endpoint"] = json!("https://example.com"),
            &|event| event["properties"]["version"]["x-wire"]["name"] = json!("another"),
        ];
        assert!(unchanged.iter().all(|change| count(change) == 0));
        for (index, change) in changed.iter().enumerate() {
            assert_eq!(count(change), 1, "{index}");
        }
    }
}
