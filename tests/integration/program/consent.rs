//! Consent, through the whole program: with consent a start sends exactly one request, and without it opens no connection.

use std::os::unix::ffi::OsStrExt as _;

use serde_json::Value;

use super::fake_server::FakeServer;
use super::fixture::{FAILING_START, Finished, Telemetry, tbot};
use super::preview::body_of;

const FLAG: &str = "--anonymous-telemetry-opt-in";
const PROPERTY: &str = "anonymous_telemetry_opt_in";
const YES: &str = "anonymous_telemetry_opt_in: true";
const NO: &str = "anonymous_telemetry_opt_in: false";
const VARIABLE: &str = "TELEPORT_ANONYMOUS_TELEMETRY";
const DO_NOT_TRACK: &str = "DO_NOT_TRACK";

/// The inputs of a run, and the expected decision.
#[derive(Debug)]
struct Case {
    flag: bool,
    configuration: &'static str,
    variables: &'static [(&'static str, &'static str)],
    on: bool,
    decided_by: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case { flag: false, configuration: "", variables: &[], on: false, decided_by: &[] },
    Case { flag: true, configuration: "", variables: &[], on: true, decided_by: &[FLAG] },
    Case { flag: false, configuration: YES, variables: &[], on: true, decided_by: &[PROPERTY] },
    Case { flag: false, configuration: NO, variables: &[], on: false, decided_by: &[PROPERTY] },
    Case { flag: true, configuration: NO, variables: &[], on: false, decided_by: &[PROPERTY] },
    Case { flag: true, configuration: YES, variables: &[], on: true, decided_by: &[FLAG, PROPERTY] },
    Case { flag: false, configuration: "", variables: &[(VARIABLE, "1")], on: true, decided_by: &[VARIABLE] },
    Case {
        flag: true,
        configuration: YES,
        variables: &[(VARIABLE, "0")],
        on: false,
        decided_by: &[VARIABLE],
    },
    Case {
        flag: true,
        configuration: "",
        variables: &[(VARIABLE, "tRUE")],
        on: false,
        decided_by: &[VARIABLE],
    },
    Case {
        flag: true,
        configuration: "",
        variables: &[(VARIABLE, ""), (DO_NOT_TRACK, "")],
        on: true,
        decided_by: &[FLAG],
    },
    Case {
        flag: true,
        configuration: YES,
        variables: &[(DO_NOT_TRACK, "1")],
        on: false,
        decided_by: &[DO_NOT_TRACK],
    },
    Case { flag: true, configuration: "", variables: &[(DO_NOT_TRACK, "0")], on: true, decided_by: &[FLAG] },
    Case {
        flag: true,
        configuration: NO,
        variables: &[(VARIABLE, "false"), (DO_NOT_TRACK, "False")],
        on: false,
        decided_by: &[PROPERTY, VARIABLE, DO_NOT_TRACK],
    },
];

impl Case {
    /// The decision as the program words it.
    fn decision(&self) -> String {
        match (self.on, self.decided_by.join(" and ")) {
            (true, inputs) => format!("anonymous telemetry is on (enabled by {inputs})"),
            (false, inputs) if inputs.is_empty() => "anonymous telemetry is off (default)".to_owned(),
            (false, inputs) => format!("anonymous telemetry is off (disabled by {inputs})"),
        }
    }
}

/// Runs a command with the inputs of a case.
fn run(case: &Case, server: &FakeServer, command: &[&str]) -> Finished {
    let flag = case.flag.then_some(FLAG);
    let arguments: Vec<&str> = command.iter().copied().chain(["--config", "tbot.yaml"]).chain(flag).collect();
    tbot(Telemetry::Server(server), &arguments)
        .file("tbot.yaml", format!("version: v2\n{}\n", case.configuration))
        .envs(case.variables)
        .run()
}

#[test]
fn on_sends_the_previewed_request_once_and_off_never_connects() {
    let mut log = Vec::new();
    for case in CASES {
        let server = FakeServer::ok();
        let preview = [&["telemetry", "preview"], &FAILING_START[1..]].concat();
        let previewed = run(case, &server, &preview);
        assert_eq!(previewed.status, Some(0), "{case:?}: {}", previewed.stderr);
        assert_eq!(previewed.stdout.lines().next(), Some(case.decision().as_str()));
        assert_eq!(server.connections(), 0, "{case:?}: a preview never connects");

        let finished = run(case, &server, &FAILING_START);
        assert_eq!(finished.status, Some(1), "{case:?}: {}", finished.stderr);
        let lines = finished.telemetry_log();
        log.push(lines[0].to_owned());

        if case.on {
            let requests = server.requests();
            assert_eq!((server.connections(), requests.len()), (1, 1), "{case:?}");
            assert_eq!(lines.len(), 2, "{case:?}: {}", finished.stderr);
            let (sent, shown) = (&requests[0].body, body_of(&previewed));
            assert_eq!(without_id(sent), without_id(shown), "{case:?}");
            assert_ne!(sent, shown, "{case:?}: every start has a new distinctId");
        } else {
            assert_eq!((lines.len(), server.connections()), (1, 0), "{case:?}: {}", finished.stderr);
        }
    }
    insta::assert_snapshot!(log.join("\n"));
}

#[test]
fn the_log_has_the_endpoint_and_the_event_that_was_sent_but_never_its_distinct_id() {
    let server = FakeServer::ok();
    let arguments = [&FAILING_START[..], &[FLAG, "--debug", "--log-format", "json"]].concat();
    let finished = tbot(Telemetry::Server(&server), &arguments).run();
    let lines = finished.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events: Vec<Value> = lines.filter(|line| !line["event"].is_null()).collect();
    let [line] = &events[..] else { panic!("{}", finished.stderr) };
    assert_eq!(line["level"], "info");
    assert!(line["message"].as_str().unwrap().contains(&server.url()), "{line}");
    let event: Value = serde_json::from_str(line["event"].as_str().unwrap()).unwrap();
    assert_eq!((&event["run_mode"], &event["join_type"]), (&"one-shot".into(), &"token".into()));

    let sent: Value = serde_json::from_str(&server.requests()[0].body).unwrap();
    let id = sent["distinctId"].as_str().unwrap();
    assert!(!finished.stderr.contains(id), "{}", finished.stderr);
}

/// Removes the `distinctId`, which must be a UUID v4, from a body.
fn without_id(body: &str) -> String {
    let parsed: Value = serde_json::from_str(body).unwrap();
    let id = parsed["distinctId"].as_str().unwrap();
    let uuid = uuid::Uuid::try_parse(id).unwrap();
    assert_eq!((uuid.get_version_num(), uuid.to_string().as_str()), (4, id));
    body.replace(id, "")
}

#[test]
fn status_shows_the_same_decision_and_the_endpoint_only_when_on() {
    for case in CASES {
        let server = FakeServer::ok();
        let finished = run(case, &server, &["telemetry", "status"]);
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        assert_eq!(finished.stdout.lines().next(), Some(case.decision().as_str()));
        assert_eq!(finished.stdout.contains(&server.url()), case.on, "{}", finished.stdout);
        let decisive = if case.on { "yes" } else { "no" };
        let rows = finished.stdout.lines().skip_while(|line| !line.starts_with("INPUT")).skip(1);
        let columns = rows.map(|row| row.split_whitespace().collect::<Vec<_>>());
        let inputs: Vec<&str> =
            columns.filter(|row| row.get(1) == Some(&decisive)).map(|row| row[0]).collect();
        assert_eq!(inputs, case.decided_by, "{}", finished.stdout);
        assert_eq!(server.connections(), 0);
    }
}

#[test]
fn a_value_that_is_not_utf8_says_no() {
    let value = std::ffi::OsStr::from_bytes(b"1\xff");
    for variable in [VARIABLE, DO_NOT_TRACK] {
        let server = FakeServer::ok();
        let finished =
            tbot(Telemetry::Server(&server), &["telemetry", "status", FLAG]).env(variable, value).run();
        let row = finished.stdout.lines().find(|line| line.starts_with(&format!("{variable} "))).unwrap();
        assert_eq!(row.split_whitespace().nth(1), Some("no"), "{row}");

        let arguments = [&FAILING_START[..], &[FLAG]].concat();
        let finished = tbot(Telemetry::Server(&server), &arguments).env(variable, value).run();
        assert_eq!(finished.status, Some(1), "{}", finished.stderr);
        assert_eq!(server.connections(), 0);
    }
}

#[test]
fn the_flag_is_accepted_before_and_after_the_command() {
    for arguments in [[&[FLAG], &FAILING_START[..]].concat(), [&FAILING_START[..], &[FLAG]].concat()] {
        let server = FakeServer::ok();
        tbot(Telemetry::Server(&server), &arguments).run();
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn an_invalid_configuration_sends_nothing() {
    let server = FakeServer::ok();
    let arguments = FAILING_START.map(|argument| if argument == "token" { "frob" } else { argument });
    let finished = tbot(Telemetry::Server(&server), &[&arguments[..], &[FLAG]].concat()).run();
    assert_eq!(finished.status, Some(3), "{}", finished.stderr);
    assert_eq!(server.connections(), 0);
}

/// The values of a variable, and whether they say yes (1), no (-1) or neither (0).
const VARIABLE_VALUES: [(Option<&str>, i8); 5] =
    [(None, 0), (Some(""), 0), (Some("1"), 1), (Some("false"), -1), (Some("on"), -1)];
const DO_NOT_TRACK_VALUES: [(Option<&str>, i8); 4] =
    [(None, 0), (Some(""), 0), (Some("false"), 0), (Some("1"), -1)];

/// Every combination of the four inputs, with every kind of value. States the rule a second time, independently of the
/// program: at least one yes, and no no.
#[test]
fn every_combination_of_the_inputs_follows_the_rule() {
    let mut combinations = Vec::new();
    for (flag, flag_says) in [(false, 0), (true, 1)] {
        for (configuration, configuration_says) in [("", 0), (YES, 1), (NO, -1)] {
            for (variable, variable_says) in VARIABLE_VALUES {
                for (do_not_track, do_not_track_says) in DO_NOT_TRACK_VALUES {
                    let said = [flag_says, configuration_says, variable_says, do_not_track_says];
                    let is_on = said.contains(&1) && !said.contains(&-1);
                    combinations.push((flag, configuration, variable, do_not_track, is_on));
                }
            }
        }
    }
    assert_eq!(combinations.len(), 2 * 3 * 5 * 4);
    assert_eq!(combinations.iter().filter(|combination| combination.4).count(), 30);
    // Each half starts its own processes.
    std::thread::scope(|scope| {
        for half in combinations.chunks(combinations.len().div_ceil(2)) {
            scope.spawn(move || half.iter().for_each(assert_follows_the_rule));
        }
    });
}

fn assert_follows_the_rule(combination: &(bool, &'static str, Option<&str>, Option<&str>, bool)) {
    let (flag, configuration, variable, do_not_track, is_on) = *combination;
    let server = FakeServer::ok();
    let arguments =
        [&FAILING_START[..], &["--config", "tbot.yaml"], if flag { &[FLAG] } else { &[] }].concat();
    let mut run = tbot(Telemetry::Server(&server), &arguments)
        .file("tbot.yaml", format!("version: v2\n{configuration}\n"));
    for (name, value) in [(VARIABLE, variable), (DO_NOT_TRACK, do_not_track)] {
        run = value.into_iter().fold(run, |run, value| run.env(name, value));
    }
    let finished = run.run();
    assert_eq!(finished.status, Some(1), "{combination:?}: {}", finished.stderr);
    let (connections, requests) = (server.connections(), server.requests().len());
    assert_eq!((connections, requests), (usize::from(is_on), usize::from(is_on)), "{combination:?}");
}
