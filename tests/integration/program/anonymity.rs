//! Anonymity: apart from `distinctId`, the same configuration sends the same bytes, whoever runs it and wherever.

use super::fake_server::{FakeServer, ReceivedRequest};
use super::fixture::{FAILING_START, Run, Telemetry, tbot};

/// What describes a user, a machine, a session or a CI job.
const SURROUNDINGS: [&str; 30] = [
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PWD",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
    "HOSTNAME",
    "HOST",
    "NODE_NAME",
    "POD_NAME",
    "SSH_CONNECTION",
    "SUDO_USER",
    "EMAIL",
    "INVOCATION_ID",
    "MACHINE_ID",
    "GITHUB_REPOSITORY",
    "GITHUB_ACTOR",
    "GITHUB_RUN_ID",
    "CI_PROJECT_PATH",
    "CI_JOB_ID",
    "JENKINS_URL",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "KUBERNETES_SERVICE_HOST",
    "USER_AGENT",
    "RUST_LOG",
    "RUST_BACKTRACE",
];

fn start(server: &FakeServer) -> Run {
    tbot(Telemetry::Server(server), &[&FAILING_START[..], &["--anonymous-telemetry-opt-in"]].concat())
}

/// Returns a request as it was sent, with a fixed `distinctId`.
fn without_id(request: &ReceivedRequest) -> String {
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    let id = body["distinctId"].as_str().unwrap();
    assert_eq!(id.len(), 36, "{id}");
    format!("{}{}", request.head, request.body.replace(id, "ID"))
}

/// Runs the program in each of these ways, and asserts that all of them send the same bytes.
fn assert_same_request(server: &FakeServer, runs: Vec<Run>) {
    let count = runs.len();
    for run in runs {
        run.run();
    }
    let requests = server.requests();
    assert_eq!(requests.len(), count, "a run has sent nothing");
    let mut ids: Vec<&str> = requests.iter().map(|request| request.body.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "every start has its own distinctId");
    let expected = without_id(&requests[0]);
    for request in &requests {
        assert_eq!(without_id(request), expected);
    }
}

#[test]
fn the_environment_of_a_user_or_a_machine_does_not_change_the_request() {
    let server = FakeServer::ok();
    let runs = [
        start(&server),
        SURROUNDINGS.iter().fold(start(&server), |run, name| run.env(name, "hunter2")),
        start(&server).envs(&[
            ("TZ", "Pacific/Kiritimati"),
            ("LANG", "de_DE.UTF-8"),
            ("LC_ALL", "tr_TR.UTF-8"),
        ]),
        start(&server).envs(&[("TZ", "America/St_Johns"), ("LANG", "C"), ("LANGUAGE", "ja")]),
        start(&server).envs(&[("TERM", "xterm-256color"), ("COLUMNS", "200"), ("NO_COLOR", "1")]),
    ];
    assert_same_request(&server, runs.into());
}

#[test]
#[ignore = "needs root, script and unshare"]
fn another_user_machine_or_terminal_does_not_change_the_request() {
    let server = FakeServer::ok();
    let runs = [
        start(&server),
        start(&server).in_terminal(),
        start(&server).for_user_of_machine(1234, "hunter2"),
        start(&server).for_user_of_machine(65_534, "another-machine.example.com"),
    ];
    assert_same_request(&server, runs.into());
}
