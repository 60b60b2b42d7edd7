//! Services that listen. Every type with a `listen` is checked alike.

use serde_json::{Value, json};
use tbot::config::internal::{FormatVersion, ListenerClients, schema};
use tbot::config::{Purpose, ServiceType, load};
use tbot::diagnostic::Code;

/// Returns a service of each type that has a `listen`.
fn listening_services() -> Vec<Value> {
    let root = FormatVersion::V2.schema();
    let branches = schema::union_branches(root, &root["$defs"]["Service"]);
    let listening = branches.filter(|(_, branch)| {
        let branch = schema::resolve(root, branch).unwrap_or(branch);
        branch["properties"].get("listen").is_some()
    });
    let all = include_str!("../cases/validate/all-fields/tbot.yaml");
    let all: Value = serde_yaml::from_str(all).unwrap();
    let services = || ["services", "outputs"].into_iter().filter_map(|key| all[key].as_array()).flatten();
    let of_type = |name: &str| services().find(|service| service["type"] == name).unwrap().clone();
    listening.map(|(name, _)| of_type(name)).collect()
}

/// Returns the codes of the findings about the `listen` of two such services with these addresses.
fn findings(service: &Value, addresses: [&str; 2]) -> Vec<Code> {
    let services = addresses.map(|address| {
        let mut service = service.clone();
        service["listen"] = json!(address);
        service["name"] = Value::Null;
        service
    });
    let config = json!({ "version": "v2", "services": services });
    let found = load(Some(&config.to_string()), &[], Purpose::Validate).diagnostics.into_iter();
    let at_listen = found.filter(|found| {
        found.target.pointer().is_some_and(|pointer| pointer.last().as_deref() == Some("listen"))
    });
    at_listen.map(|found| found.code).collect()
}

#[test]
fn the_address_of_every_listener_is_checked() {
    let services = listening_services();
    assert!(services.len() >= 5);
    for service in services {
        let local = findings(&service, ["tcp://127.0.0.1:1", "unix:///run/socket"]);
        assert_eq!(local, [], "{service}");
        let invalid = findings(&service, ["x", ""]);
        assert_eq!(invalid, [Code::InvalidAddress, Code::EmptyValue], "{service}");
        let mut twice = findings(&service, ["tcp://0.0.0.0:1"; 2]);
        twice.retain(|code| *code != Code::ExposedListener);
        assert_eq!(twice, [Code::SameListener], "{service}");
    }
}

#[test]
fn a_listener_whose_clients_act_as_the_bot_must_be_local() {
    for service in listening_services() {
        let service_type = ServiceType::from_name(service["type"].as_str().unwrap()).unwrap();
        let expected: &[Code] = match service_type.listener {
            Some(ListenerClients::ActAsBot) => &[Code::ExposedListener],
            Some(ListenerClients::ReceiveSvids) | None => &[],
        };
        assert_eq!(findings(&service, ["tcp://0.0.0.0:1", "tcp://127.0.0.1:2"]), expected, "{service}");
    }
}
