//! docs/telemetry.md, and the same page for a terminal: what is collected, how it is sent, how to opt in and out, what a review
//! asks, and what is never collected.

mod changes;
mod heartbeat;
mod properties;

use anyhow::Result;
use prehog::schema::EventSchema;
use serde_json::{Map, Value};
use tbot::config::Service;
use tbot::config::internal::{AccessClass, Sensitivity};
use tbot::event::internal::{Rule, Rules};

use super::collection::{self, CollectionSection};
use super::markdown::{GENERATED_NOTICE, code, details, line, table};
use super::sections::{is_shared, sections};
use super::terminal;

/// The `distinctId` of the example request.
const EXAMPLE_ID: &str = "6f1c8e0a-6f0e-4b53-9d0c-3f2a5f3e7b11";

/// The page about telemetry.
pub(super) struct TelemetryPage {
    /// Everything but the list of all configuration properties, in Markdown.
    text: String,
    /// What becomes of the properties of both versions of the configuration.
    collection: Vec<CollectionSection>,
}

impl TelemetryPage {
    /// `events` are the schemas of all versions of the event. `repository` is the address of the package's repository, or
    /// empty.
    pub(super) fn new(events: &[Value], config: &Value, config_v1: &Value, repository: &str) -> Result<Self> {
        let rules = Rules::read(events.last().unwrap_or(&Value::Null))?;
        collection::check_sources(&rules)?;
        let (example, body) = example(&rules)?;
        let endpoint = &rules.transport.endpoint;

        let mut collection = collection::collection(config, sections(config), &rules, &[]);
        let only_v1 = sections(config_v1)
            .into_iter()
            .filter(|section| !is_shared(config, config_v1, section.definition));
        let renamed = [("/destinations", "/services")];
        let only_v1 = collection::collection(config_v1, only_v1, &rules, &renamed);
        collection.extend(only_v1.into_iter().map(|section| section.with_prefix("version 1: ")));

        let mut text =
            format!(include_str!("telemetry/lead.md"), count = rules.properties.len(), event = example);
        text += &format!(
            include_str!("telemetry/review.md"),
            endpoint = endpoint,
            version = rules.version,
            contact = contact(repository),
        );
        text += &format!(
            include_str!("telemetry/collected.md"),
            version = rules.version,
            properties = properties::list(&rules),
        );
        text += &format!(
            include_str!("telemetry/counting.md"),
            total = totals(&rules),
            classes = access_classes()
        );
        text += &request(&rules, &body)?;
        text += &format!(
            include_str!("telemetry/consent.md"),
            endpoint = endpoint,
            variable = rules.transport.endpoint_variable,
        );
        text += &heartbeat::section()?;
        text += &prehog::docs::storage_section(&EventSchema::new(&rules)?);
        text += include_str!("telemetry/storage_exceptions.md");
        text += &format!(include_str!("telemetry/versions.md"), changes = changes::changes(events)?);
        text += include_str!("telemetry/preview.md");
        text += &format!(
            include_str!("telemetry/never.md"),
            total = collection.iter().map(CollectionSection::len).sum::<usize>(),
            collected = collection.iter().map(CollectionSection::collected).sum::<usize>(),
            sources = properties::configuration_sources(&rules),
            classes = classes(&collection),
        );
        Ok(Self { text, collection })
    }

    /// Returns the page in Markdown, with the list of all configuration properties folded by section.
    pub(super) fn markdown(&self) -> String {
        let mut page = format!("{GENERATED_NOTICE}{}{ALL_PROPERTIES}", self.text);
        for section in &self.collection {
            let count = match section.collected() {
                0 => count(section.len(), "property", "properties"),
                collected => {
                    format!("{}, {collected} collected", count(section.len(), "property", "properties"))
                }
            };
            page += &details(&format!("{}: {count}", section.heading.replace('`', "")), &section.table());
        }
        page
    }

    /// Returns the page for a terminal, in two parts: everything but the list of all configuration properties, and that list.
    pub(super) fn terminal(&self) -> Result<[String; 2]> {
        let end = "\nThe list of all configuration properties: `tbot telemetry explain --full`\n";
        let mut list = ALL_PROPERTIES.to_owned();
        for section in &self.collection {
            list += &format!("\n#### {}\n\n{}", section.heading, section.table());
        }
        Ok([terminal::render(&format!("{}{end}", self.text))?, format!("\n{}", terminal::render(&list)?)])
    }
}

/// The beginning of the list of all configuration properties.
const ALL_PROPERTIES: &str = include_str!("telemetry/all_properties.md");

fn count(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// Returns where to ask, if the package's metadata has the address of its repository.
fn contact(repository: &str) -> String {
    match repository {
        "" => String::new(),
        address => format!("- **Who answers questions?** Ask in the issue tracker of <{address}>.\n"),
    }
}

/// Returns the number of configuration properties in each class, and how many of them are collected.
fn classes(collection: &[CollectionSection]) -> String {
    let row = |class: Sensitivity| {
        let sum = |number: &dyn Fn(&CollectionSection) -> usize| collection.iter().map(number).sum::<usize>();
        let (meaning, derived) = match class {
            Sensitivity::Secret => {
                ("gives access: tokens, registration secrets", "; only the join method of `join_uri`")
            }
            Sensitivity::Identifier => (
                "names a person, a machine or a resource",
                "; only whether `app` or `kubernetes_cluster` is set, in version 1",
            ),
            Sensitivity::Location => ("is a path or an address", ""),
            Sensitivity::Tuning => (
                "adjusts behaviour: durations, switches, and the lengths of most lists",
                "; only whether `database` is set, in version 1",
            ),
            Sensitivity::Category => {
                ("is one of a closed set of values that `tbot` defines, or a count of such values", "")
            }
        };
        vec![
            code(class.name()),
            meaning.to_owned(),
            format!(
                "{} of {}{derived}",
                sum(&|section| section.collected_of(class)),
                sum(&|section| section.len_of(class))
            ),
        ]
    };
    table(&["class", "meaning", "collected"], &Sensitivity::ALL.map(row))
}

/// Returns the properties that count all destinations.
fn totals(rules: &Rules) -> String {
    let totals = rules.properties.iter().filter(|rule| collection::is_total(&rule.source));
    totals.map(|rule| code(&rule.name)).collect::<Vec<_>>().join(" and ")
}

fn access_classes() -> String {
    let rows: Vec<Vec<String>> = AccessClass::ALL
        .iter()
        .map(|access| {
            let types = Service::TYPES.iter().filter(|name| AccessClass::of_type(name) == Some(*access));
            vec![access.name().to_owned(), types.map(|name| code(name)).collect::<Vec<_>>().join(", ")]
        })
        .collect();
    table(&["access class", "service types"], &rows)
}

/// Returns the event of the examples in the declarations, and the body of the request that sends it.
fn example(rules: &Rules) -> Result<(String, Value)> {
    let example: Map<String, Value> = rules
        .properties
        .iter()
        .filter_map(|rule: &Rule| Some((rule.name.clone(), rule.example.clone()?)))
        .collect();
    let text = serde_json::to_string_pretty(&example)?;
    let event = serde_json::from_value(Value::Object(example))?;
    Ok((text, tbot::event::internal::request_body(rules, &event, EXAMPLE_ID)))
}

fn request(rules: &Rules, body: &Value) -> Result<String> {
    let transport = &rules.transport;
    // In the order in which they are sent.
    let mut headers = format!("Host: {}\n", transport.endpoint.trim_start_matches("https://"));
    for (name, value) in &transport.headers {
        headers += &format!("{name}: {value}\n");
    }
    headers += &format!("Content-Length: {}", serde_json::to_string(body)?.len());
    let envelope: Vec<Vec<String>> =
        transport.envelope.iter().map(|(name, meaning)| vec![code(name), line(meaning)]).collect();
    Ok(format!(
        include_str!("telemetry/request.md"),
        method = transport.method,
        path = transport.path,
        headers = headers,
        body = serde_json::to_string_pretty(body)?,
        envelope = table(&["member", "meaning"], &envelope),
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pulldown_cmark::{Event, Options, Parser, Tag};
    use tbot::config::internal::schema::{generate, generate_v1, is_union};
    use tbot::event::internal::generate_schema;

    use super::*;
    use crate::released;

    fn page(repository: &str) -> TelemetryPage {
        let events = released::versions(&generate_schema()).unwrap();
        TelemetryPage::new(&events, &generate(), &generate_v1(), repository).unwrap()
    }

    /// Returns the properties in each folded section of a page, by the text of its summary before the colon. They are in the
    /// first column of a table.
    fn listed(page: &str) -> BTreeMap<&str, Vec<&str>> {
        let sections = page.split("<summary>").skip(1).filter_map(|section| section.split_once("</summary>"));
        sections
            .map(|(summary, section)| {
                let rows = section.lines().filter(|line| line.starts_with("| `"));
                let names = rows.flat_map(|row| row.split(" | ").next().unwrap_or_default().split(", "));
                let mut names: Vec<&str> = names.map(|name| name.trim_matches(['|', ' ', '`'])).collect();
                names.sort_unstable();
                (summary.rsplit_once(": ").unwrap().0, names)
            })
            .collect()
    }

    /// Walks the definitions of the schemas, independently of the classes by which the tables are built.
    #[test]
    fn every_property_of_both_schemas_is_on_the_page_once() {
        let (config, config_v1) = (generate(), generate_v1());
        let page = page("").markdown();
        let listed = listed(&page);
        let mut checked = 0;
        for (root, prefix) in [(&config, ""), (&config_v1, "version 1: ")] {
            let sections = sections(root);
            let definitions = root["$defs"].as_object().unwrap().iter();
            let definitions =
                definitions.map(|(name, schema)| (name.as_str(), schema)).chain([("Config", root)]);
            for (definition, schema) in definitions {
                let is_on_the_other_page =
                    root == &config_v1 && config["$defs"].get(definition) == Some(schema);
                let properties = schema["properties"].as_object().into_iter().flatten();
                let mut names: Vec<&str> = properties.map(|(name, _)| name.as_str()).collect();
                names.sort_unstable();
                if names.is_empty() || is_union(schema) || is_on_the_other_page {
                    continue;
                }
                let section = sections.iter().find(|section| section.definition == definition).unwrap();
                let heading = format!("{prefix}{}", section.heading.replace('`', ""));
                assert_eq!(listed[heading.as_str()], names, "{definition}");
                checked += names.len();
            }
        }
        assert!(page.contains(&format!("Of the\n{checked} configuration properties")), "{checked}");
        assert!(checked > 200, "only {checked} properties were checked");
    }

    /// Markdown in a folded section is rendered only between empty lines. Both GitHub and mdBook follow CommonMark in this.
    #[test]
    fn each_folded_section_contains_a_table() {
        let page = page("");
        let markdown = page.markdown();
        let events: Vec<Event<'_>> = Parser::new_ext(&markdown, Options::ENABLE_TABLES).collect();
        let is =
            |event: &Event<'_>, html: &str| matches!(event, Event::Html(line) if line.trim_end() == html);
        let position = events.iter().position(|event| is(event, "<details>")).unwrap();
        let folded: Vec<&[Event<'_>]> =
            events[position..].split(|event| is(event, "<details>")).skip(1).collect();
        assert_eq!(folded.len(), page.collection.len());
        for section in folded {
            let table = section.iter().position(|event| matches!(event, Event::Start(Tag::Table(_))));
            let end = section.iter().position(|event| is(event, "</details>"));
            assert!(table.is_some() && table < end, "{section:?}");
        }
    }

    #[test]
    fn the_page_for_a_terminal_fits_into_80_columns_and_has_the_same_properties() {
        let page = page("");
        let [text, list] = page.terminal().unwrap();
        for line in text.lines().chain(list.lines()) {
            // Code is not wrapped, so that it can be copied.
            let is_code = page.text.lines().any(|source| source == line.trim_start());
            assert!(is_code || line.chars().count() <= terminal::WIDTH, "{line}");
            assert!(!line.contains("</"), "{line}");
        }
        for name in listed(&page.markdown()).into_values().flatten() {
            assert!(list.contains(&code(name)), "{name}");
        }
        assert!(!text.contains("registration_secret_path"), "the list is only in the second part");
    }

    #[test]
    fn a_property_that_decides_something_collected_says_so() {
        let page = page("").markdown();
        for row in [
            "| `join_uri` | secret, **only the join method**",
            "| `app`, `kubernetes_cluster` | identifier, **only whether",
        ] {
            let is_row = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(row);
            assert!(page.lines().any(is_row), "{row}");
        }
    }

    #[test]
    fn a_contact_is_named_only_if_the_package_has_a_repository() {
        let contact = "issue tracker of <https://example.com/tbot>";
        assert!(page("https://example.com/tbot").markdown().contains(contact));
        assert!(!page("").markdown().contains("issue tracker"));
    }
}
