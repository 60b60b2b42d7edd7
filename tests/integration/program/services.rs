//! Service commands, such as `tbot start identity`: how they combine with the file, and how their errors are reported. The
//! unit tests of the program cover the values that flags are converted to.

use tbot_cluster::{Cluster, ClusterConfig, clock};

use super::fixture::{CLOSED_PORT, Finished, Telemetry, tbot};
use super::preview::properties_of;

const FILE: &str = "\
version: v2
onboarding:
  join_method: token
services:
  - type: identity
    destination: {type: directory, path: from-file}
outputs:
  - type: kubernetes
    kubernetes_cluster: a
    destination: {type: directory, path: from-outputs}
";

/// Previews the event of a start with this file.
fn preview(file: &str, arguments: &[&str]) -> Finished {
    let all =
        [&["telemetry", "preview", "-c", "tbot.yaml", "--proxy-server", CLOSED_PORT][..], arguments].concat();
    tbot(Telemetry::Default, &all).file("tbot.yaml", file).run()
}

/// Returns the number of destinations in a preview, in total and per access class, each with its origin.
fn counts(preview: &Finished) -> [(&str, &str); 4] {
    let properties = properties_of(preview);
    ["", "_database_access", "_kubernetes_access", "_application_access"]
        .map(|suffix| properties[format!("destinations_configured{suffix}").as_str()])
}

#[test]
fn a_command_adds_its_service_to_those_of_the_file() {
    let file_only = "tbot.yaml:4 (services), tbot.yaml:7 (outputs)";
    let with_command = "tbot.yaml:4 and command application-tunnel (services), tbot.yaml:7 (outputs)";
    let command = ["application-tunnel", "--app", "a", "--listen", "tcp://127.0.0.1:1"];
    for (arguments, numbers, origin) in [
        (&command[..], ["3", "0", "1", "1"], with_command),
        (&["noop"], ["2", "0", "1", "0"], file_only),
        (&[], ["2", "0", "1", "0"], file_only),
    ] {
        let expected = numbers.map(|number| (number, origin));
        assert_eq!(counts(&preview(FILE, arguments)), expected, "{arguments:?}");
    }
}

#[test]
fn a_command_works_with_a_file_without_services_and_of_version_1() {
    let command = ["database-tunnel", "--listen", "tcp://127.0.0.1:1", "--service", "a", "--username", "b"];
    let command = [&command[..], &["--database", "c"]].concat();
    for (file, total) in [
        ("version: v2\nonboarding: {join_method: token}\n", ("1", "command database-tunnel (services)")),
        (
            "version: v2\nonboarding: {join_method: token}\nservices:\n",
            ("1", "tbot.yaml:3 and command database-tunnel (services)"),
        ),
        (
            "onboarding: {join_method: token}\ndestinations:\n  - {directory: out, app: a}\n",
            ("2", "tbot.yaml:2 and command database-tunnel (services)"),
        ),
    ] {
        assert_eq!(counts(&preview(file, &command))[0], total);
    }
}

#[test]
fn legacy_replaces_the_services_of_the_file_but_not_its_outputs() {
    let origin = "flag --destination-dir (services), tbot.yaml:7 (outputs)";
    for arguments in [&["legacy", "--destination-dir", "out"][..], &["--destination-dir", "out"]] {
        assert_eq!(counts(&preview(FILE, arguments))[0], ("2", origin), "{arguments:?}");
    }
    let finished = preview(FILE, &["--destination-dir", "out", "identity", "--destination", "out"]);
    assert_eq!(finished.status, Some(2));
    insta::assert_snapshot!(finished.stderr, @"error: --destination-dir conflicts with the command identity, because it replaces all services with one identity: remove --destination-dir or identity");
}

#[test]
fn bot_flags_are_accepted_before_and_after_the_command() {
    let service = ["identity", "--destination", "out"];
    let shared = ["--oneshot", "--join-method", "github", "--token", "a", "--storage", "memory://"];
    for arguments in [[&service[..], &shared].concat(), [&shared[..], &service].concat()] {
        let finished = preview("version: v2\n", &arguments);
        assert_eq!(counts(&finished)[0], ("1", "command identity (services)"));
        let properties = properties_of(&finished);
        assert_eq!(properties["join_type"].1, "flag --join-method (onboarding.join_method)");
        assert_eq!(properties["run_mode"].1, "flag --oneshot (oneshot)");
    }
}

#[test]
fn a_problem_of_a_service_command_names_the_flag_or_command_and_not_the_file() {
    let mut reports = String::new();
    let database = ["database", "--service", "a", "--username", "b", "--database", "c"];
    for (file, arguments) in [
        // A service of the file that is dropped as invalid shifts the index of the added one.
        (
            "version: v2\nservices:\n  - type: identity\n  - {type: identity, destination: {type: memory}}\n",
            &["--destination", "b", "--format", "mysql"][..],
        ),
        (
            "version: v2\nservices:\n  - type: identity\n  - {type: identity, destination: {type: directory, path: a}}\n",
            &["--destination", "a"],
        ),
        ("version: v2\nscoped: true\n", &["--destination", "memory://"]),
        ("version: v2\nservices: none\n", &["--destination", "memory://"]),
        ("version: v2\n", &["--destination", "a", "--join-uri", "tbot+proxy+tokn://t@a:1"]),
    ] {
        let all =
            [&["start", "-c", "tbot.yaml", "--proxy-server", CLOSED_PORT][..], &database, arguments].concat();
        let finished = tbot(Telemetry::ClosedPort, &all).file("tbot.yaml", file).run();
        assert_eq!((finished.status, finished.stdout.as_str()), (Some(3), ""));
        reports.push_str(&format!("{file}\n$ {}\n\n{}\n", arguments.join(" "), finished.stderr));
    }
    insta::assert_snapshot!(reports);
}

#[test]
fn wrong_usage_of_a_service_command_exits_with_2() {
    let mut reasons = String::new();
    for arguments in [
        &["ssh_host"][..],
        &["identity"],
        &["application", "--destination", "out"],
        &["kubernetes/v2", "--destination", "out"],
        &[
            "workload-identity-api",
            "--listen",
            "tcp://127.0.0.1:1",
            "--name-selector",
            "a",
            "--label-selector",
            "b=c",
        ],
        &["identity", "--destination", "s3://a"],
        &["identity", "--destination", "kubernetes_secret:///a"],
        &["identity", "--destination", "out:1"],
        &["identity", "--destination", "memory://", "--reader-user", "a"],
        &["noop", "--destination", "out"],
        &["--destination-dir", "kubernetes-secret:///a"],
        &["legacy", "--destination-dir", "memory://"],
        &["--trace"],
        &["--trace-exporter", "a"],
        &["--cpu-profile", "a"],
    ] {
        let finished = tbot(Telemetry::ClosedPort, &[&["start"], arguments].concat()).run();
        assert_eq!(
            (finished.status, finished.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}: {}",
            finished.stderr
        );
        reasons.push_str(&format!("$ tbot start {}\n{}\n", arguments.join(" "), finished.stderr));
    }
    insta::assert_snapshot!(reasons);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_of_a_command_runs_in_addition_to_those_of_the_file() {
    let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
    let token = cluster.add_bot("robot", &["access"]).unwrap();
    let file =
        "version: v2\nservices:\n  - {type: identity, destination: {type: directory, path: from-file}}\n";
    let proxy = cluster.proxy_addr().to_string();
    let run = tbot(
        Telemetry::ClosedPort,
        &[
            "start",
            "identity",
            "--destination",
            "file:from-command",
            "-c",
            "tbot.yaml",
            "--oneshot",
            "--join-method",
            "token",
            "--storage",
            "storage",
        ],
    )
    .envs(&[("TELEPORT_PROXY", &proxy), ("TELEPORT_BOT_TOKEN", &token)])
    .file("tbot.yaml", file)
    .trusting(&cluster);
    let finished = run.run_blocking();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    for directory in ["from-file", "from-command"] {
        assert!(finished.read_file(&format!("{directory}/identity")).contains("PRIVATE KEY"), "{directory}");
    }
}
