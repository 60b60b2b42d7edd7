//! A valid configuration that this version cannot run: refused with status 3 before anything is joined or written, with all
//! unsupported parts named. The telemetry event is still sent.

use super::fake_server::FakeServer;
use super::fixture::{FAILING_START, Finished, Telemetry, tbot};

const FILE: &str = "\
version: v2
onboarding: {join_method: tpm}
storage: {type: directory, path: storage}
services:
  - {type: identity, destination: {type: directory, path: out}}
  - type: beams/vnet
    delegation_session_id: a
";

/// Asserts that a start was refused, with one error that names these parts.
fn assert_refused(finished: &Finished, parts: &[&str]) {
    assert_eq!((finished.status, finished.stdout.as_str()), (Some(3), ""), "{}", finished.stderr);
    let [error] = finished.log_at("ERROR")[..] else { panic!("{}", finished.stderr) };
    for part in parts {
        assert!(error.contains(part), "{part}: {error}");
    }
    for directory in ["storage", "out", "svid"] {
        assert!(!finished.has_file(directory), "{directory} was written");
    }
}

#[test]
fn all_unsupported_parts_are_named_and_the_event_is_sent_with_consent() {
    for (consent, requests) in [(&["--anonymous-telemetry-opt-in"][..], 1), (&[], 0)] {
        let (proxy, telemetry) = (FakeServer::ok(), FakeServer::ok());
        let address = proxy.address();
        let arguments = ["start", "-c", "tbot.yaml", "--oneshot", "--proxy-server", &address];
        let arguments = [&arguments[..], consent].concat();
        let finished = tbot(Telemetry::Server(&telemetry), &arguments).file("tbot.yaml", FILE).run();

        assert_refused(
            &finished,
            &["join method tpm", "tbot.yaml:2", "service type beams/vnet", "tbot.yaml:6"],
        );
        assert_eq!(proxy.connections(), 0, "the agent connected to the cluster");
        let received = telemetry.requests();
        assert_eq!((telemetry.connections(), received.len()), (requests, requests), "{}", finished.stderr);
        for request in received {
            let event: serde_json::Value = serde_json::from_str(&request.body).unwrap();
            let event = &event["start"];
            assert_eq!((&event["joinType"], &event["runMode"]), (&"tpm".into(), &"RUN_MODE_ONE_SHOT".into()));
            assert_eq!((&event["destinationsDatabase"], &event["destinationsOther"]), (&0.into(), &2.into()));
        }
    }
}

#[test]
fn a_part_that_comes_from_a_flag_is_named_with_the_flag() {
    let arguments = FAILING_START.map(|argument| if argument == "token" { "tpm" } else { argument });
    let finished = tbot(Telemetry::ClosedPort, &arguments).run();
    assert_refused(&finished, &["join method tpm", "flag --join-method"]);
}

#[test]
fn a_service_that_comes_from_a_command_is_named_with_the_command() {
    let service = ["spiffe-svid", "--svid-path", "/a", "--destination", "svid"];
    let finished = tbot(Telemetry::ClosedPort, &[&FAILING_START[..10], &service].concat()).run();
    assert_refused(&finished, &["service type spiffe-svid", "command spiffe-svid"]);
}
