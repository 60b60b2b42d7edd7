//! Builds one event for each directory under `tests/cases/event`, from its `tbot.yaml` and its optional `environment`. The
//! snapshot contains the value and provenance of each property, and the request body.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tbot::config::{Purpose, load};
use tbot::event::internal::{Rule, Rules, ValueSet};
use tbot::event::{BuildContext, BuiltEvent, Provenance};

const DISTINCT_ID: &str = "00000000-0000-4000-8000-000000000000";

#[test]
fn every_case_matches_its_snapshot() {
    insta::glob!("../cases/event", "*/tbot.yaml", |file| {
        let built = build(file.parent().unwrap());
        let body = serde_json::to_string_pretty(&built.request_body(DISTINCT_ID).unwrap()).unwrap();
        insta::assert_snapshot!("cases", format!("{}\n{body}", describe(&built)));
    });
}

#[test]
fn every_property_and_every_listed_value_has_a_case() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/event");
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let cases = entries.filter(|path| path.join("tbot.yaml").exists()).map(|case| build(&case));
    let events: Vec<Value> = cases.map(|built| serde_json::to_value(built.event()).unwrap()).collect();
    for Rule { name, values, .. } in &Rules::embedded().unwrap().properties {
        let built = || events.iter().filter_map(|event| event.get(name));
        match values {
            ValueSet::Enum(values) => {
                for value in values {
                    assert!(built().any(|other| other == value), "add a case in which `{name}` is `{value}`");
                }
            }
            ValueSet::Pattern(_) => assert!(built().next().is_some(), "add a case with `{name}`"),
            ValueSet::Count { .. } => {
                assert!(built().any(|count| *count != 0), "add a case in which `{name}` is not 0");
            }
        }
    }
}

/// Builds the event of a case.
fn build(directory: &Path) -> BuiltEvent {
    let text = fs::read_to_string(directory.join("tbot.yaml")).unwrap();
    let loaded = load(Some(&text), &[], Purpose::Start);
    let effective = loaded.effective.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    let environment = environment(directory);
    let context = BuildContext { version: "1.2.3", environment: &|name| environment.get(name).cloned() };
    BuiltEvent::for_config(&effective, context).unwrap()
}

fn environment(directory: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(directory.join("environment")).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn describe(built: &BuiltEvent) -> String {
    let mut lines = String::new();
    for property in built.properties() {
        let value = property.value.as_ref().map_or("(omitted)".to_owned(), ToString::to_string);
        let origin = match &property.provenance {
            Provenance::Config(pointers) => join(pointers),
            Provenance::Absent(pointers) => format!("no value at {}", join(pointers)),
            Provenance::Env { variable, outcome } => format!("{variable}: {outcome:?}"),
            Provenance::Build => "the build".to_owned(),
        };
        writeln!(lines, "{} = {value} from {origin}", property.name).unwrap();
    }
    lines
}

fn join(pointers: &[tbot::pointer::Pointer]) -> String {
    pointers.iter().map(tbot::pointer::Pointer::as_str).collect::<Vec<_>>().join(", ")
}
