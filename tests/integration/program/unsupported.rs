//! What is valid and this version cannot run: refused by name with status 3, with nothing joined or written, and counted all
//! the same.

use super::receiver::Receiver;
use super::run::{ENDS_AT_ONCE, Telemetry, tbot};

const FILE: &str = "\
version: v2
onboarding: {join_method: tpm}
storage: {type: directory, path: storage}
services:
  - {type: identity, destination: {type: directory, path: out}}
  - type: beams/vnet
    delegation_session_id: a
";

#[test]
fn every_part_that_cannot_be_run_is_named_and_the_event_is_sent_where_that_is_wanted() {
    for (consent, requests) in [(&["--anonymous-telemetry-opt-in"][..], 1), (&[], 0)] {
        let (proxy, telemetry) = (Receiver::ok(), Receiver::ok());
        let address = proxy.url().replace("http://", "");
        let arguments = ["start", "-c", "tbot.yaml", "--oneshot", "--proxy-server", &address];
        let arguments = [&arguments[..], consent].concat();
        let ended = tbot(Telemetry::To(&telemetry), &arguments).file("tbot.yaml", FILE).end();

        assert_eq!((ended.status, ended.stdout.as_str()), (Some(3), ""), "{}", ended.stderr);
        let refusal = "this version of tbot cannot run join method tpm (at tbot.yaml:2), the service type beams/vnet \
                       (at tbot.yaml:6); nothing was joined or written";
        assert!(ended.stderr.contains(refusal), "{}", ended.stderr);
        assert_eq!(proxy.connections(), 0, "something was joined");
        for folder in ["storage", "out"] {
            assert!(!ended.has_left(folder), "{folder} was written");
        }
        let sent = telemetry.requests();
        assert_eq!((telemetry.connections(), sent.len()), (requests, requests), "{}", ended.stderr);
        for request in sent {
            let event: serde_json::Value = serde_json::from_str(&request.body).unwrap();
            let event = &event["start"];
            assert_eq!((&event["joinType"], &event["runMode"]), (&"tpm".into(), &"RUN_MODE_ONE_SHOT".into()));
            assert_eq!((&event["destinationsDatabase"], &event["destinationsOther"]), (&0.into(), &2.into()));
        }
    }
}

#[test]
fn what_a_flag_asks_for_is_named_by_the_flag() {
    let mut arguments = ENDS_AT_ONCE;
    arguments[3] = "tpm";
    let ended = tbot(Telemetry::Nowhere, &arguments).end();
    assert_eq!(ended.status, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("join method tpm (at flag --join-method)"), "{}", ended.stderr);
}

#[test]
fn the_service_of_a_command_is_refused_as_one_of_the_file_is() {
    let service = ["spiffe-svid", "--svid-path", "/a", "--destination", "svid"];
    let ended = tbot(Telemetry::Nowhere, &[&ENDS_AT_ONCE[..10], &service].concat()).end();
    assert_eq!(ended.status, Some(3), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the service type spiffe-svid (at command spiffe-svid)"),
        "{}",
        ended.stderr
    );
    assert!(!ended.has_left("storage") && !ended.has_left("svid"));
}
