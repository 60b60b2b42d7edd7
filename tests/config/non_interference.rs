//! Non-interference: whatever the rest of a configuration contains, the request with the event stays the same, byte for
//! byte. Random valid configurations are generated from the schema, and what the event may depend on is read from its
//! declarations.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tbot::config::internal::{FormatVersion, schema};
use tbot::config::{Purpose, load};
use tbot::diagnostic::Severity;
use tbot::event::internal::{PropertySource, Rules, VARIABLES, build, request_body};
use tbot::event::{BuildContext, BuiltEvent};
use tbot::pointer::Pointer;

use crate::agreement::test_property;
use crate::values::{pointers, valid_values};

const CANARY: &str = "hunter2";
const DISTINCT_ID: &str = "00000000-0000-4000-8000-000000000000";

/// The number of random configurations. Set `TBOT_TEST_CASES=100000` for a longer run.
#[expect(clippy::disallowed_methods, reason = "configures the test itself")]
fn cases() -> u32 {
    std::env::var("TBOT_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2000)
}

/// Generates strings that most properties accept, so that few configurations are rejected.
fn plausible_strings(class: &str) -> BoxedStrategy<String> {
    match class {
        "location" => select(vec!["/opt/a", "/opt/b", "/etc/c", "teleport.example.com:443", "unix:///run/d"])
            .prop_map(str::to_owned)
            .boxed(),
        _ => "[a-z][a-z0-9]{0,7}".boxed(),
    }
}

/// What the event may depend on, from its declarations.
struct Mapped {
    values: Vec<String>,
    lists: Vec<String>,
}

impl Mapped {
    fn read(rules: &Rules) -> Self {
        let mut mapped = Self { values: Vec::new(), lists: Vec::new() };
        for rule in &rules.properties {
            match &rule.source {
                PropertySource::Config(source) => mapped.values.push(source.pointer.as_str().to_owned()),
                PropertySource::Count(source) => {
                    mapped.lists.extend(source.pointers.iter().map(|pointer| pointer.as_str().to_owned()));
                }
                PropertySource::Env(_) | PropertySource::Build(_) => {}
            }
        }
        mapped
    }

    /// Whether the value at a pointer may change the event: a mapped value, an entry of a counted list or its type, or
    /// something that contains one of these.
    fn contains(&self, pointer: &str) -> bool {
        let is_above = |mapped: &String| mapped == pointer || mapped.starts_with(&format!("{pointer}/"));
        let is_entry = |list: &String| {
            let rest = pointer.strip_prefix(list.as_str()).and_then(|rest| rest.strip_prefix('/'));
            rest.is_some_and(|rest| matches!(rest.split_once('/'), None | Some((_, "type"))))
        };
        self.values.iter().chain(&self.lists).any(is_above) || self.lists.iter().any(is_entry)
    }
}

/// Returns the request with the event for the value of an effective configuration.
fn request(rules: &Rules, config: &Value) -> String {
    let requested = RefCell::new(BTreeSet::new());
    // Every variable has a value, and the builder must ask only for those that exist for telemetry.
    let environment = |name: &str| {
        requested.borrow_mut().insert(name.to_owned());
        Some(CANARY.to_owned())
    };
    let built = build(rules, config, BuildContext { version: "1.2.3", environment: &environment }).unwrap();
    assert!(requested.borrow().iter().all(|name| VARIABLES.contains(&name.as_str())), "{requested:?}");
    assert_eq!(serde_json::to_value(built.event()).unwrap()["helper"], "other");
    request_body(rules, built.event(), DISTINCT_ID).to_string()
}

/// Removes what is reported as an error, or what contains it, until a configuration is valid. Returns the text and the
/// effective value, or `None` if little would be left.
fn make_valid(mut config: Value) -> Option<(Value, Value)> {
    for _ in 0..40 {
        let outcome = load(Some(&config.to_string()), &[], Purpose::Start);
        if let Some(effective) = outcome.effective {
            return Some((config, effective.value().clone()));
        }
        let errors = outcome.diagnostics.iter().filter(|found| found.severity == Severity::Error);
        let pointers = errors.filter_map(|error| error.target.pointer().cloned());
        // The deepest first, so that removing one entry of a list does not move another that is removed next.
        let deepest = pointers.max_by_key(|pointer| pointer.as_str().to_owned())?;
        remove(&mut config, &deepest)?;
    }
    None
}

/// Removes a value or, if it is missing, what requires it. Returns `None` if that is everything.
fn remove(config: &mut Value, pointer: &Pointer) -> Option<()> {
    let parent = pointer.parent()?;
    let last = pointer.last()?.into_owned();
    let is_removed = match config.pointer_mut(parent.as_str()) {
        Some(Value::Object(map)) => map.shift_remove(&last).is_some(),
        Some(Value::Array(items)) => {
            let index = last.parse().ok().filter(|index| *index < items.len());
            index.map(|index: usize| items.remove(index)).is_some()
        }
        _ => false,
    };
    if is_removed { Some(()) } else { remove(config, &parent) }
}

/// Generates configurations that name an address and a join method. The rest is random.
fn configurations(version: FormatVersion) -> BoxedStrategy<Value> {
    let root = version.schema();
    let methods = root["$defs"]["JoinMethod"]["enum"].as_array().unwrap().clone();
    (valid_values(root, root, plausible_strings), select(methods), any::<bool>())
        .prop_map(move |(mut config, method, is_extended)| {
            let map = config.as_object_mut().unwrap();
            map.retain(|key, _| !["join_uri", "version"].contains(&key.as_str()));
            if version == FormatVersion::V2 {
                map.insert("version".to_owned(), json!("v2"));
                map.remove("auth_server");
                map.insert("proxy_server".to_owned(), json!("teleport.example.com:443"));
            } else {
                map.insert("auth_server".to_owned(), json!("teleport.example.com:443"));
            }
            if !is_extended || !map.get("onboarding").is_some_and(Value::is_object) {
                map.insert("onboarding".to_owned(), json!({}));
            }
            config["onboarding"]["join_method"] = method;
            config["onboarding"]["token"] = json!("a-token");
            config
        })
        .boxed()
}

/// Returns another value that the schema of a property accepts.
fn other_value(root: &Value, property: &Value, value: &Value) -> Option<Value> {
    let reference = property["$ref"].as_str().map(|reference| root.pointer(&reference[1..]).unwrap());
    let alternatives = [Some(property), reference];
    let schema = alternatives.into_iter().flatten().find(|schema| schema.get("$ref").is_none())?;
    let schema = schema.get("else").unwrap_or(schema);
    match value {
        Value::Bool(value) => Some(json!(!value)),
        Value::Number(_) => {
            ["minimum", "maximum"].into_iter().map(|key| schema[key].clone()).find(|other| other != value)
        }
        Value::String(_) if schema["enum"].is_array() => {
            schema["enum"].as_array()?.iter().find(|other| *other != value).cloned()
        }
        Value::String(_) if schema["pattern"].is_string() => Some(json!("17m")),
        Value::String(text) if text.starts_with('/') => Some(json!(format!("/{CANARY}{text}"))),
        Value::String(text) if text.contains(':') => Some(json!(format!("{CANARY}.example.com:443"))),
        Value::String(text) => Some(json!(format!("{CANARY}{text}"))),
        _ => None,
    }
}

/// The event is built from the value of the effective configuration. No value that no declaration maps changes it, whatever
/// its type.
#[test]
#[expect(clippy::print_stdout, reason = "the figures of docs/proofs.md")]
fn undeclared_values_do_not_change_the_request() {
    let rules = Rules::embedded().unwrap();
    let mapped = Mapped::read(rules);
    let (accepted, changes, changed_keys) = (Cell::new(0), Cell::new(0), RefCell::new(BTreeSet::new()));
    let generated = Cell::new(0);
    test_property(cases(), &configurations(FormatVersion::V2), |config| {
        generated.set(generated.get() + 1);
        let Some((_, effective)) = make_valid(config) else { return Ok(()) };
        accepted.set(accepted.get() + 1);
        let expected = request(rules, &effective);
        prop_assert!(!expected.contains(CANARY));
        let mut all = effective.clone();
        for pointer in pointers(&effective).into_iter().filter(|pointer| !mapped.contains(pointer)) {
            for other in [json!(CANARY), json!([{ "type": CANARY }])] {
                let mut one = effective.clone();
                *one.pointer_mut(&pointer).unwrap() = other;
                prop_assert_eq!(&request(rules, &one), &expected, "{}", pointer);
                changes.set(changes.get() + 1);
            }
            let mut without = effective.clone();
            if !pointer.rsplit('/').next().unwrap().chars().all(|digit| digit.is_ascii_digit()) {
                remove(&mut without, &Pointer::from(pointer.as_str())).unwrap();
                prop_assert_eq!(&request(rules, &without), &expected, "without {}", pointer);
            }
            if let Some(value) = all.pointer_mut(&pointer) {
                *value = json!({ CANARY: CANARY });
            }
            changed_keys.borrow_mut().insert(
                pointer.split('/').filter(|token| token.parse::<u8>().is_err()).collect::<Vec<_>>().join("/"),
            );
        }
        prop_assert_eq!(&request(rules, &all), &expected, "everything at once");
        Ok(())
    });
    let (accepted, generated, kinds) = (accepted.get(), generated.get(), changed_keys.borrow().len());
    println!("{accepted} of {generated} configurations, {} changes of {kinds} properties", changes.get());
    assert!(
        accepted * 10 > generated * 8,
        "only {accepted} of {generated} configurations could be made valid"
    );
    assert!(kinds > 100, "only {kinds} properties were changed");
}

/// From the text of a file to the request: another valid value of a property that no declaration maps, alone and together
/// with all others, changes nothing.
#[test]
#[expect(clippy::print_stdout, reason = "the figures of docs/proofs.md")]
fn another_valid_value_in_a_file_does_not_change_the_request() {
    let rules = Rules::embedded().unwrap();
    for (version, more_lists) in [(FormatVersion::V2, vec![]), (FormatVersion::V1, vec!["/destinations"])] {
        let mut mapped = Mapped::read(rules);
        mapped.lists.extend(more_lists.into_iter().map(str::to_owned));
        let (compared, together, rejected) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let root = version.schema();
        test_property(cases() / 2, &configurations(version), |config| {
            let Some((config, effective)) = make_valid(config) else { return Ok(()) };
            let expected = request(rules, &effective);
            let compare = |changed: &Value, what: &str, count: &Cell<u32>| {
                let outcome = load(Some(&changed.to_string()), &[], Purpose::Start);
                // Only the request of a valid configuration is sent.
                let Some(effective) = outcome.effective else {
                    rejected.set(rejected.get() + 1);
                    return Ok(());
                };
                count.set(count.get() + 1);
                let context = BuildContext { version: "1.2.3", environment: &|_| Some(CANARY.to_owned()) };
                let built = BuiltEvent::for_config(&effective, context).unwrap();
                prop_assert_eq!(&built.request_body(DISTINCT_ID).unwrap().to_string(), &expected, "{}", what);
                Ok(())
            };
            let mut all = config.clone();
            for pointer in pointers(&config) {
                let is_version_or_type = pointer == "/version" || pointer.ends_with("/type");
                // In version 1, the name of a template decides which type of service a destination becomes.
                let is_template = |(_, rest): (&str, &str)| !rest.contains('/');
                let decides_type = pointer.split_once("/configs/").is_some_and(is_template);
                if mapped.contains(&pointer) || is_version_or_type || decides_type {
                    continue;
                }
                let property = schema::locate(root, &config, &Pointer::from(pointer.as_str()));
                let value = config.pointer(&pointer).unwrap();
                let Some(other) = property.and_then(|property| other_value(root, property, value)) else {
                    continue;
                };
                let mut one = config.clone();
                *one.pointer_mut(&pointer).unwrap() = other.clone();
                let before = rejected.get();
                compare(&one, &pointer, &compared)?;
                if rejected.get() == before {
                    *all.pointer_mut(&pointer).unwrap() = other;
                }
            }
            compare(&all, "everything at once", &together)
        });
        let (compared, together, rejected) = (compared.get(), together.get(), rejected.get());
        println!("{version:?}: {compared} changes alone, {together} together; {rejected} are not valid");
        assert!(
            compared > cases() && together > cases() / 4,
            "{version:?}: {compared}, {together}, {rejected}"
        );
    }
}

/// A join URI names a join method, which is in the event. Nothing else in the URI is.
#[test]
fn a_join_uri_changes_only_the_join_method() {
    let rules = Rules::embedded().unwrap();
    let request_for = |uri: &str| {
        let text = json!({ "version": "v2", "join_uri": uri }).to_string();
        load(Some(&text), &[], Purpose::Start).effective.map(|effective| request(rules, effective.value()))
    };
    let mut compared = 0;
    for method in ["token", "github", "gitlab", "kubernetes", "azure", "iam"] {
        let plain = request_for(&format!("tbot+proxy+{method}://a@teleport.example.com:443"));
        let other = request_for(&format!("tbot+proxy+{method}://{CANARY}@{CANARY}.example.com:3080"));
        assert_eq!(plain, other, "{method}");
        compared += usize::from(plain.is_some());
    }
    assert!(compared >= 4, "only {compared} join URIs are valid");
}
