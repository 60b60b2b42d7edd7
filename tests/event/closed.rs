//! Nothing gets into an event but what a declaration lets in.

use proptest::prelude::*;
use serde_json::{Value, json};
use tbot::config::{Access, JoinMethod, Purpose, Sensitivity, Service, load, schema};
use tbot::event::{Facts, Rules, build, generate};

const CONFIG: &str =
    "version: v2\nproxy_server: teleport.example.com:443\nonboarding: {join_method: token, token: abc}\n";

fn event_of(config: &Value, environment: &dyn Fn(&str) -> Option<String>) -> Value {
    let rules = Rules::embedded().unwrap();
    let built = build(&rules, config, Facts { version: "1.2.3", environment }).unwrap();
    serde_json::to_value(built.event).unwrap()
}

fn value(text: &str) -> Value {
    load(Some(text), &[], Purpose::Start).effective.unwrap().value().clone()
}

/// Puts a canary into every property of the configuration that no declaration maps, one after the other, at every depth:
/// the event stays the same.
#[test]
fn unmapped_configuration_cannot_change_the_event() {
    let root = schema::generate();
    let mapped = ["/onboarding/join_method", "/oneshot", "/services", "/outputs"];
    let plain = value(CONFIG);
    let expected = event_of(&plain, &|_| None);
    let mut tried = 0;
    visit(&root, &root, "", &mut |pointer| {
        if mapped.contains(&pointer) {
            return;
        }
        for canary in [json!("one-shot"), json!("canary"), json!(true), json!(7), json!(["canary"])] {
            let mut config = plain.clone();
            put(&mut config, pointer, canary);
            assert_eq!(event_of(&config, &|_| None), expected, "{pointer}");
        }
        tried += 1;
    });
    assert!(tried >= 29, "only {tried} properties were tried");
}

fn visit(root: &Value, schema: &Value, pointer: &str, each: &mut impl FnMut(&str)) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let pointer = format!("{pointer}/{key}");
        if let Some(target) = schema::resolve(root, property)
            && target["properties"].is_object()
        {
            visit(root, target, &pointer, each);
        } else {
            each(&pointer);
        }
    }
}

fn put(value: &mut Value, pointer: &str, new: Value) {
    let mut at = value;
    for token in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[token];
    }
    *at = new;
}

/// What stands inside a service, beside its type, cannot change the event either.
#[test]
fn the_inside_of_a_service_cannot_change_the_event() {
    let with = |service: Value| {
        let mut config = value(CONFIG);
        config["services"] = json!([service]);
        event_of(&config, &|_| None)
    };
    let root = schema::generate();
    for (_, definition) in root["$defs"].as_object().unwrap() {
        let Some(kind) = definition["properties"]["type"]["const"].as_str() else { continue };
        if !Service::TYPES.contains(&kind) {
            continue;
        }
        let expected = with(json!({ "type": kind }));
        for (key, _) in definition["properties"].as_object().unwrap() {
            if key != "type" {
                let mut service = json!({ "type": kind });
                service[key] = json!("database");
                assert_eq!(with(service), expected, "{kind}: {key}");
            }
        }
    }
}

#[test]
fn an_event_refuses_what_is_not_declared() {
    let mut event = event_of(&value(CONFIG), &|_| None);
    event["hostname"] = json!("canary");
    assert!(serde_json::from_value::<tbot::event::TbotStart>(event).is_err());
}

#[test]
fn every_type_counts_in_exactly_its_class() {
    for kind in Service::TYPES {
        let mut config = value(CONFIG);
        config["services"] = json!([{ "type": kind }]);
        let event = event_of(&config, &|_| None);
        assert_eq!(event["destinations_configured"], 1, "{kind}");
        for access in [Access::Application, Access::Database, Access::Kubernetes] {
            let expected = u32::from(Access::of(kind) == Some(access));
            let counted = &event[format!("destinations_configured_{}_access", access.name())];
            assert_eq!(*counted, expected, "{kind}");
        }
    }
}

#[test]
fn a_version_that_is_none_builds_no_event() {
    let rules = Rules::embedded().unwrap();
    for version in ["", "1.2", "1.2.3-acme", "1.2.3+host.example.com", "12345.0.0"] {
        let facts = Facts { version, environment: &|_| None };
        assert!(build(&rules, &value(CONFIG), facts).is_err(), "{version}");
    }
    let facts = Facts { version: env!("CARGO_PKG_VERSION"), environment: &|_| None };
    assert!(build(&rules, &value(CONFIG), facts).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the environment holds, an event has only closed values, and validates against its schema.
    #[test]
    fn nothing_from_the_environment_is_sent_as_it_came(helper in "\\PC{0,40}", version in "(v?[0-9.]{0,12}|\\PC{0,20})") {
        let environment = |name: &str| Some(if name.ends_with("VERSION") { version.clone() } else { helper.clone() });
        let event = event_of(&value(CONFIG), &environment);
        let listed = ["gha:teleport-actions/auth", "gha:teleport-actions/auth-k8s", "gha:teleport-actions/auth-application"];
        let sent = event["helper"].as_str();
        prop_assert_eq!(sent, match helper.as_str() {
            "" => None,
            listed_helper if listed.contains(&listed_helper) => Some(listed_helper),
            _ => Some("other"),
        });
        prop_assert!(event.get("helper_version").is_none() || listed.contains(&helper.as_str()));
        prop_assert!(jsonschema::is_valid(&generate(), &event));
    }

    /// The version goes beside a listed helper where it fits the pattern, and is left out where not.
    #[test]
    fn a_helpers_version_is_a_version(version in "(v?[0-9]{1,6}([.][0-9]{1,6}){0,4}|\\PC{0,20})") {
        let environment = |name: &str| {
            Some(if name.ends_with("VERSION") { version.clone() } else { "gha:teleport-actions/auth".to_owned() })
        };
        let event = event_of(&value(CONFIG), &environment);
        let parts: Vec<&str> = version.strip_prefix('v').unwrap_or(&version).split('.').collect();
        let fits = parts.len() <= 3
            && parts.iter().all(|part| (1..=4).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit()));
        prop_assert_eq!(event.get("helper_version").is_some(), fits);
    }

    /// Counts are those of the lists, whatever is in them.
    #[test]
    fn counts_are_those_of_the_lists(services in proptest::collection::vec(proptest::sample::select(Service::TYPES), 0..20),
                                     outputs in proptest::collection::vec(proptest::sample::select(Service::TYPES), 0..20)) {
        let list = |types: &[&str]| types.iter().map(|kind| json!({ "type": kind })).collect::<Vec<_>>();
        let mut config = value(CONFIG);
        config["services"] = list(&services).into();
        config["outputs"] = list(&outputs).into();
        let event = event_of(&config, &|_| None);
        prop_assert_eq!(&event["destinations_configured"], services.len() + outputs.len());
        let database = services.iter().chain(&outputs).filter(|kind| Access::of(kind) == Some(Access::Database)).count();
        prop_assert_eq!(&event["destinations_configured_database_access"], database);
    }
}

/// The classes are few, and each has a name that reads back.
#[test]
fn names_of_closed_sets_read_back() {
    for class in Sensitivity::ALL {
        assert_eq!(Sensitivity::from_name(class.name()), Some(class));
    }
    for method in JoinMethod::ALL {
        assert_eq!(JoinMethod::from_name(method.as_str()), Some(*method));
    }
}
