//! Consent through the whole program: what turns telemetry on sends exactly one request, what does not opens no connection.

use std::os::unix::ffi::OsStrExt as _;

use super::preview::body_of;
use super::receiver::Receiver;
use super::run::{ENDS_AT_ONCE, Ended, Telemetry, tbot};

const FLAG: &str = "--anonymous-telemetry-opt-in";
const YES: &str = "anonymous_telemetry_opt_in: true";
const NO: &str = "anonymous_telemetry_opt_in: false";
const VARIABLE: &str = "TELEPORT_ANONYMOUS_TELEMETRY";
const DO_NOT_TRACK: &str = "DO_NOT_TRACK";

/// What is given, and what the log says of it.
struct Case {
    flag: bool,
    configuration: &'static str,
    variables: &'static [(&'static str, &'static str)],
    says: &'static str,
}

const CASES: &[Case] = &[
    Case { flag: false, configuration: "", variables: &[], says: "off: nothing says yes" },
    Case { flag: true, configuration: "", variables: &[], says: "on: --anonymous-telemetry-opt-in says yes" },
    Case { flag: false, configuration: YES, variables: &[], says: "on: anonymous_telemetry_opt_in says yes" },
    Case { flag: false, configuration: NO, variables: &[], says: "off: anonymous_telemetry_opt_in says no" },
    Case { flag: true, configuration: NO, variables: &[], says: "off: anonymous_telemetry_opt_in says no" },
    Case {
        flag: false,
        configuration: "",
        variables: &[(VARIABLE, "1")],
        says: "on: TELEPORT_ANONYMOUS_TELEMETRY says yes",
    },
    Case {
        flag: true,
        configuration: YES,
        variables: &[(VARIABLE, "0")],
        says: "off: TELEPORT_ANONYMOUS_TELEMETRY says no",
    },
    Case {
        flag: true,
        configuration: "",
        variables: &[(VARIABLE, "tRUE")],
        says: "off: TELEPORT_ANONYMOUS_TELEMETRY says no",
    },
    Case {
        flag: true,
        configuration: "",
        variables: &[(VARIABLE, ""), (DO_NOT_TRACK, "")],
        says: "on: --anonymous-telemetry-opt-in says yes",
    },
    Case {
        flag: true,
        configuration: YES,
        variables: &[(DO_NOT_TRACK, "1")],
        says: "off: DO_NOT_TRACK says no",
    },
    Case {
        flag: true,
        configuration: "",
        variables: &[(DO_NOT_TRACK, "0")],
        says: "on: --anonymous-telemetry-opt-in says yes",
    },
    Case {
        flag: true,
        configuration: NO,
        variables: &[(VARIABLE, "false"), (DO_NOT_TRACK, "False")],
        says: "off: anonymous_telemetry_opt_in and TELEPORT_ANONYMOUS_TELEMETRY and DO_NOT_TRACK say no",
    },
];

/// Runs a command with what a case gives.
fn run(case: &Case, receiver: &Receiver, command: &[&str]) -> Ended {
    let flag = case.flag.then_some(FLAG);
    let arguments: Vec<&str> = command.iter().copied().chain(["--config", "tbot.yaml"]).chain(flag).collect();
    tbot(Telemetry::To(receiver), &arguments)
        .file("tbot.yaml", format!("version: v2\n{}\n", case.configuration))
        .envs(case.variables)
        .end()
}

#[test]
fn on_sends_the_previewed_request_once_and_off_connects_nowhere() {
    for case in CASES {
        let receiver = Receiver::ok();
        let preview: Vec<&str> =
            ["telemetry", "preview"].into_iter().chain(ENDS_AT_ONCE[1..].iter().copied()).collect();
        let previewed = run(case, &receiver, &preview);
        assert_eq!(previewed.status, Some(0), "{}: {}", case.says, previewed.stderr);
        let first = previewed.stdout.lines().next().unwrap();
        assert_eq!(first, format!("anonymous telemetry is {}", case.says));
        assert_eq!(receiver.connections(), 0, "{}: a preview connects nowhere", case.says);

        let ended = run(case, &receiver, &ENDS_AT_ONCE);
        assert_eq!(ended.status, Some(1), "{}: {}", case.says, ended.stderr);
        let lines = ended.telemetry_lines();
        assert_eq!(lines.len(), 1, "{}: {lines:?}", case.says);
        assert!(
            lines[0].starts_with(&format!("INFO anonymous telemetry is {}; ", case.says)),
            "{}",
            ended.stderr
        );
        assert!(
            lines[0].contains("`tbot telemetry explain` or https://goteleport.com/docs/"),
            "{}",
            lines[0]
        );

        if case.says.starts_with("on") {
            let requests = receiver.requests();
            assert_eq!((receiver.connections(), requests.len()), (1, 1), "{}", case.says);
            let (sent, shown) = (&requests[0].body, body_of(&previewed));
            assert_eq!(without_id(sent), without_id(shown), "{}", case.says);
            assert_ne!(sent, shown, "{}: distinctId is fresh at every start", case.says);
        } else {
            assert_eq!(receiver.connections(), 0, "{}", case.says);
        }
    }
}

/// A body with its `distinctId`, a UUID v4, taken out.
fn without_id(body: &str) -> String {
    let parsed: serde_json::Value = serde_json::from_str(body).unwrap();
    let id = parsed["distinctId"].as_str().unwrap();
    let uuid = uuid::Uuid::try_parse(id).unwrap();
    assert_eq!((uuid.get_version_num(), uuid.to_string().as_str()), (4, id));
    body.replace(id, "")
}

#[test]
fn status_says_the_same_and_names_the_endpoint_only_when_it_is_on() {
    for case in CASES {
        let receiver = Receiver::ok();
        let ended = run(case, &receiver, &["telemetry", "status"]);
        assert_eq!(ended.status, Some(0), "{}", ended.stderr);
        let first = ended.stdout.lines().next().unwrap();
        assert_eq!(first, format!("anonymous telemetry is {}", case.says));
        assert_eq!(ended.stdout.contains("http"), case.says.starts_with("on"), "{}", ended.stdout);
        assert_eq!(receiver.connections(), 0);
    }
}

#[test]
fn what_is_not_utf8_says_no() {
    let value = std::ffi::OsStr::from_bytes(b"1\xff");
    for variable in [VARIABLE, DO_NOT_TRACK] {
        let receiver = Receiver::ok();
        let arguments: Vec<&str> = ENDS_AT_ONCE.iter().copied().chain([FLAG]).collect();
        let ended = tbot(Telemetry::To(&receiver), &arguments).env(variable, value).end();
        let expected = format!("INFO anonymous telemetry is off: {variable} says no; ");
        assert!(ended.telemetry_lines()[0].starts_with(&expected), "{}", ended.stderr);
        assert_eq!(receiver.connections(), 0);
    }
}

#[test]
fn the_flag_stands_before_or_after_the_command() {
    for before in [true, false] {
        let receiver = Receiver::ok();
        let (head, tail) = if before { (Some(FLAG), None) } else { (None, Some(FLAG)) };
        let arguments: Vec<&str> = head.into_iter().chain(ENDS_AT_ONCE).chain(tail).collect();
        tbot(Telemetry::To(&receiver), &arguments).end();
        assert_eq!(receiver.requests().len(), 1);
    }
}

#[test]
fn an_invalid_configuration_sends_nothing() {
    let receiver = Receiver::ok();
    let arguments: Vec<&str> = ENDS_AT_ONCE.iter().copied().chain([FLAG, "--join-method=frob"]).collect();
    let arguments: Vec<&str> =
        arguments.into_iter().filter(|argument| !["--join-method", "token"].contains(argument)).collect();
    let ended = tbot(Telemetry::To(&receiver), &arguments).end();
    assert_eq!(ended.status, Some(3), "{}", ended.stderr);
    assert_eq!(receiver.connections(), 0);
}
