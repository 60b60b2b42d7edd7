//! Tests that an event contains only closed values from declared sources.

use proptest::prelude::*;
use serde_json::{Value, json};
use tbot::config::internal::{AccessClass, Sensitivity, schema};
use tbot::config::{JoinMethod, Purpose, Service, load};
use tbot::event::internal::{PropertySource, Rules, build, generate_schema};
use tbot::event::{BuildContext, BuildError, BuiltEvent, Helper};
use tbot::pointer::Pointer;

const CONFIG: &str =
    "version: v2\nproxy_server: teleport.example.com:443\nonboarding: {join_method: token, token: abc}\n";

fn event_of(config: &Value, environment: &dyn Fn(&str) -> Option<String>) -> Value {
    let rules = Rules::embedded().unwrap();
    let built = build(rules, config, BuildContext { version: "1.2.3", environment }).unwrap();
    serde_json::to_value(built.event()).unwrap()
}

fn effective_value(text: &str) -> Value {
    load(Some(text), &[], Purpose::Start).effective.unwrap().value().clone()
}

/// Sets each property of the configuration that no declaration reads, at every depth, to a canary.
#[test]
fn properties_without_a_declaration_do_not_change_the_event() {
    let root = schema::generate();
    let sources = Rules::embedded().unwrap().properties.iter().map(|rule| &rule.source);
    let declared: Vec<&str> = sources.flat_map(PropertySource::pointers).map(Pointer::as_str).collect();
    let plain = effective_value(CONFIG);
    let expected = event_of(&plain, &|_| None);
    let mut tried = 0;
    visit_properties(&root, &root, "", &mut |pointer| {
        if declared.contains(&pointer) {
            return;
        }
        for canary in [json!("one-shot"), json!("canary"), json!(true), json!(7), json!(["canary"])] {
            let mut config = plain.clone();
            set(&mut config, pointer, canary);
            assert_eq!(event_of(&config, &|_| None), expected, "{pointer}");
        }
        tried += 1;
    });
    assert!(tried >= 29, "only {tried} properties were tried");
}

fn visit_properties(root: &Value, schema: &Value, pointer: &str, each: &mut impl FnMut(&str)) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let pointer = format!("{pointer}/{key}");
        if let Some(target) = schema::resolve(root, property)
            && target["properties"].is_object()
        {
            visit_properties(root, target, &pointer, each);
        } else {
            each(&pointer);
        }
    }
}

fn set(value: &mut Value, pointer: &str, new: Value) {
    let mut at = value;
    for token in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[token];
    }
    *at = new;
}

#[test]
fn properties_of_a_service_other_than_its_type_do_not_change_the_event() {
    let with = |service: Value| {
        let mut config = effective_value(CONFIG);
        config["services"] = json!([service]);
        event_of(&config, &|_| None)
    };
    let root = schema::generate();
    for (_, definition) in root["$defs"].as_object().unwrap() {
        let Some(type_name) = definition["properties"]["type"]["const"].as_str() else { continue };
        if !Service::TYPES.contains(&type_name) {
            continue;
        }
        let expected = with(json!({ "type": type_name }));
        for (key, _) in definition["properties"].as_object().unwrap() {
            if key != "type" {
                let mut service = json!({ "type": type_name });
                service[key] = json!("database");
                assert_eq!(with(service), expected, "{type_name}: {key}");
            }
        }
    }
}

#[test]
fn an_event_with_an_undeclared_property_is_rejected() {
    let mut event = event_of(&effective_value(CONFIG), &|_| None);
    event["hostname"] = json!("canary");
    assert!(serde_json::from_value::<tbot::event::TbotStart>(event).is_err());
}

#[test]
fn a_request_body_accepts_only_a_uuid_v4() {
    let effective = load(Some(CONFIG), &[], Purpose::Start).effective.unwrap();
    let context = BuildContext { version: "1.2.3", environment: &|_| None };
    let built = BuiltEvent::for_config(&effective, context).unwrap();
    let id = "01234567-89ab-4cde-8f01-23456789abcd";
    assert_eq!(built.request_body(id).unwrap()["distinctId"], id);
    for other in [
        "",
        "host.example.com",
        "0123456789ab4cde8f0123456789abcd",
        "01234567-89ab-1cde-8f01-23456789abcd",
        "01234567-89ab-4cde-cf01-23456789abcd",
        "g1234567-89ab-4cde-8f01-23456789abcd",
        "01234567-89ab-4cde-8f01-23456789abcd-host",
        "{01234567-89ab-4cde-8f01-23456789abcd}",
    ] {
        assert_eq!(built.request_body(other), Err(BuildError::InvalidDistinctId), "{other}");
    }
}

#[test]
fn every_service_type_counts_only_in_its_access_class() {
    for type_name in Service::TYPES {
        let mut config = effective_value(CONFIG);
        config["services"] = json!([{ "type": type_name }]);
        let event = event_of(&config, &|_| None);
        assert_eq!(event["destinations_configured"], 1, "{type_name}");
        for access in [AccessClass::Application, AccessClass::Database, AccessClass::Kubernetes] {
            let expected = u32::from(AccessClass::of_type(type_name) == Some(access));
            let counted = &event[format!("destinations_configured_{}_access", access.name())];
            assert_eq!(*counted, expected, "{type_name}");
        }
    }
}

#[test]
fn an_invalid_version_builds_no_event() {
    let rules = Rules::embedded().unwrap();
    for version in ["", "1.2", "1.2.3-acme", "1.2.3+host.example.com", "12345.0.0"] {
        let context = BuildContext { version, environment: &|_| None };
        assert!(build(rules, &effective_value(CONFIG), context).is_err(), "{version}");
    }
    let context = BuildContext { version: env!("CARGO_PKG_VERSION"), environment: &|_| None };
    assert!(build(rules, &effective_value(CONFIG), context).is_ok());
}

fn helper_version_sent_for(version: &str) -> Option<String> {
    let environment = |name: &str| {
        Some(if name.ends_with("VERSION") {
            version.to_owned()
        } else {
            "gha:teleport-actions/auth".to_owned()
        })
    };
    event_of(&effective_value(CONFIG), &environment)["helper_version"].as_str().map(str::to_owned)
}

#[test]
fn a_helper_version_is_truncated_between_its_parts() {
    for (version, sent) in [
        ("v1.2.3", Some("v1.2.3")),
        ("1", Some("1")),
        ("2.0.0-beta.1", Some("2.0.0-beta")),
        ("v3.1-rc2", Some("v3.1-rc")),
        ("v1.2.3-acme", Some("v1.2.3")),
        ("v1.2.3-rcacme", Some("v1.2.3")),
        ("1.2.3.4", Some("1.2.3")),
        ("1.2.345", Some("1.2")),
        ("v1.2.3+host.example.com", Some("v1.2.3")),
        ("v1.2.3; rm -rf /", Some("v1.2.3")),
        ("1.2\u{663}", Some("1")),
        ("v123.4.5", None),
        ("2026.11.26", None),
        ("v", None),
        ("main", None),
        ("-alpha", None),
        (" v1", None),
    ] {
        assert_eq!(helper_version_sent_for(version).as_deref(), sent, "{version}");
    }
}

proptest! {
    #[test]
    fn arbitrary_environment_values_are_never_sent(helper in "\\PC{0,40}", version in "(v?[0-9.]{0,12}|\\PC{0,20})") {
        let environment = |name: &str| Some(if name.ends_with("VERSION") { version.clone() } else { helper.clone() });
        let event = event_of(&effective_value(CONFIG), &environment);
        let listed = Helper::ALL.iter().filter(|helper| **helper != Helper::Other).map(|helper| helper.as_str());
        let listed: Vec<&str> = listed.collect();
        let sent = event["helper"].as_str();
        prop_assert_eq!(sent, match helper.as_str() {
            "" => None,
            helper if listed.contains(&helper) => Some(helper),
            _ => Some("other"),
        });
        prop_assert!(event.get("helper_version").is_none() || listed.contains(&helper.as_str()));
        prop_assert!(jsonschema::is_valid(&generate_schema(), &event));
    }

    /// States the rule a second time, independently of the declaration.
    #[test]
    fn only_a_short_prefix_of_a_helper_version_is_sent(
        version in "(v?[0-9]{1,3}([.][0-9]{1,3}){0,4}([-+]?(alpha|beta|rc|dev|[a-z]{1,3})?([.]?[0-9])?)?|\\PC{0,20})",
    ) {
        let sent = helper_version_sent_for(&version);
        let Some(sent) = sent.as_deref() else {
            let major = version.strip_prefix('v').unwrap_or(&version);
            let digits = major.chars().take_while(char::is_ascii_digit).count();
            let continues = major.chars().nth(digits).is_some_and(char::is_numeric);
            prop_assert!(!(1..=2).contains(&digits) || continues, "{} is not sent", version);
            return Ok(());
        };
        prop_assert!(version.starts_with(sent));
        let (numbers, pre_release) = sent.split_once('-').map_or((sent, None), |(numbers, rest)| (numbers, Some(rest)));
        let numbers: Vec<&str> = numbers.strip_prefix('v').unwrap_or(numbers).split('.').collect();
        prop_assert!(numbers.len() <= 3, "{}", sent);
        for number in numbers {
            prop_assert!((1..=2).contains(&number.len()) && number.bytes().all(|digit| digit.is_ascii_digit()), "{}", sent);
        }
        prop_assert!(pre_release.is_none_or(|word| ["alpha", "beta", "rc"].contains(&word)), "{}", sent);
    }

    #[test]
    fn counts_are_the_lengths_of_the_lists(services in proptest::collection::vec(proptest::sample::select(Service::TYPES), 0..20),
                                     outputs in proptest::collection::vec(proptest::sample::select(Service::TYPES), 0..20)) {
        let list = |types: &[&str]| types.iter().map(|type_name| json!({ "type": type_name })).collect::<Vec<_>>();
        let mut config = effective_value(CONFIG);
        config["services"] = list(&services).into();
        config["outputs"] = list(&outputs).into();
        let event = event_of(&config, &|_| None);
        prop_assert_eq!(&event["destinations_configured"], services.len() + outputs.len());
        let database = services.iter().chain(&outputs).filter(|type_name| AccessClass::of_type(type_name) == Some(AccessClass::Database)).count();
        prop_assert_eq!(&event["destinations_configured_database_access"], database);
    }
}

#[test]
fn names_of_sensitivity_classes_and_join_methods_round_trip() {
    for class in Sensitivity::ALL {
        assert_eq!(Sensitivity::from_name(class.name()), Some(class));
    }
    for method in JoinMethod::ALL {
        assert_eq!(JoinMethod::from_name(method.as_str()), Some(*method));
    }
}
