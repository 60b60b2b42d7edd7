//! Commands that stand for a service: what they add to the file's, and how what is wrong with them is named. What each
//! command's flags become is the program's own tests' matter.

use tbot_cluster::{Cluster, ClusterConfig, clock};

use super::run::{CLOSED, Ended, Telemetry, tbot};

const FILE: &str = "\
version: v2
onboarding:
  join_method: token
services:
  - type: identity
    destination: {type: directory, path: of-file}
outputs:
  - type: kubernetes
    kubernetes_cluster: a
    destination: {type: directory, path: of-outputs}
";

/// A preview of a run with this file.
fn preview(file: &str, arguments: &[&str]) -> Ended {
    let all =
        [&["telemetry", "preview", "-c", "tbot.yaml", "--proxy-server", CLOSED][..], arguments].concat();
    tbot(Telemetry::Default, &all).file("tbot.yaml", file).end()
}

/// What a preview says is counted, without the names: `3 tbot.yaml:4 (services)`.
fn counts(preview: &Ended) -> Vec<String> {
    assert_eq!(preview.status, Some(0), "{}", preview.stderr);
    let lines: Vec<&str> = preview.stdout.lines().collect();
    let pairs = lines.windows(2).filter(|pair| pair[0].starts_with("destinations_configured"));
    pairs.map(|pair| format!("{} {}", pair[0].split_once(" = ").unwrap().1, pair[1].trim())).collect()
}

#[test]
fn a_command_adds_its_service_to_those_of_the_file_and_is_counted() {
    let of_file = "tbot.yaml:4 (services), tbot.yaml:7 (outputs)";
    let with_command = "tbot.yaml:4 and command application-tunnel (services), tbot.yaml:7 (outputs)";
    let command = ["application-tunnel", "--app", "a", "--listen", "tcp://127.0.0.1:1"];
    for (arguments, numbers, from) in [
        (&command[..], [3, 0, 1, 1], with_command),
        (&["noop"], [2, 0, 1, 0], of_file),
        (&[], [2, 0, 1, 0], of_file),
    ] {
        let expected = numbers.map(|number| format!("{number} {from}"));
        assert_eq!(counts(&preview(FILE, arguments)), expected, "{arguments:?}");
    }
}

#[test]
fn a_file_needs_no_services_and_may_be_of_version_1() {
    let command = ["database-tunnel", "--listen", "tcp://127.0.0.1:1", "--service", "a", "--username", "b"];
    let command = [&command[..], &["--database", "c"]].concat();
    for (file, total) in [
        ("version: v2\nonboarding: {join_method: token}\n", "1 command database-tunnel (services)"),
        (
            "version: v2\nonboarding: {join_method: token}\nservices:\n",
            "1 tbot.yaml:3 and command database-tunnel (services)",
        ),
        (
            "onboarding: {join_method: token}\ndestinations:\n  - {directory: out, app: a}\n",
            "2 tbot.yaml:2 and command database-tunnel (services)",
        ),
    ] {
        assert_eq!(counts(&preview(file, &command))[0], total);
    }
}

#[test]
fn legacy_replaces_the_services_of_the_file_and_leaves_its_outputs() {
    let from = "flag --destination-dir (services), tbot.yaml:7 (outputs)";
    for arguments in [&["legacy", "--destination-dir", "out"][..], &["--destination-dir", "out"]] {
        assert_eq!(counts(&preview(FILE, arguments))[0], format!("2 {from}"), "{arguments:?}");
    }
    let ended = preview(FILE, &["--destination-dir", "out", "identity", "--destination", "out"]);
    assert_eq!(ended.status, Some(2));
    assert!(ended.stderr.contains("--destination-dir and identity exclude each other"), "{}", ended.stderr);
}

#[test]
fn shared_flags_stand_before_or_after_the_command() {
    let service = ["identity", "--destination", "out"];
    let shared = ["--oneshot", "--join-method", "github", "--storage", "memory://"];
    for arguments in [[&service[..], &shared].concat(), [&shared[..], &service].concat()] {
        let ended = preview("version: v2\n", &arguments);
        assert_eq!(counts(&ended)[0], "1 command identity (services)");
        assert!(ended.stdout.contains("flag --join-method (onboarding.join_method)"), "{}", ended.stdout);
        assert!(ended.stdout.contains("flag --oneshot (oneshot)"), "{}", ended.stdout);
    }
}

#[test]
fn what_is_wrong_with_a_service_names_its_flag_or_its_command_never_the_file() {
    let mut said = String::new();
    let database = ["database", "--service", "a", "--username", "b", "--database", "c"];
    for (file, arguments) in [
        // What is left out of the file moves what follows it.
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
            [&["start", "-c", "tbot.yaml", "--proxy-server", CLOSED][..], &database, arguments].concat();
        let ended = tbot(Telemetry::Nowhere, &all).file("tbot.yaml", file).end();
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(3), ""));
        said.push_str(&format!("{file}\n$ {}\n\n{}\n", arguments.join(" "), ended.stderr));
    }
    insta::assert_snapshot!(said);
}

#[test]
fn wrong_usage_of_a_service_is_2() {
    for (arguments, said) in [
        (&["ssh_host"][..], "unrecognized subcommand 'ssh_host'"),
        (&["identity"], "--destination <URI>"),
        (&["application", "--destination", "out"], "--app <NAME>"),
        (&["kubernetes/v2", "--destination", "out"], "<--name-selector <NAME>|--label-selector <LABELS>>"),
        (
            &[
                "workload-identity-api",
                "--listen",
                "tcp://127.0.0.1:1",
                "--name-selector",
                "a",
                "--label-selector",
                "b=c",
            ],
            "'--name-selector <NAME>' cannot be used with '--label-selector <LABELS>'",
        ),
        (&["identity", "--destination", "s3://a"], "--destination: unknown kind of destination"),
        (
            &["identity", "--destination", "memory://", "--reader-user", "a"],
            "--reader-user: only a directory has readers",
        ),
        (&["noop", "--destination", "out"], "unexpected argument '--destination'"),
        (&["--trace"], "unexpected argument '--trace'"),
        (&["--trace-exporter", "a"], "unexpected argument '--trace-exporter'"),
        (&["--cpu-profile", "a"], "unexpected argument '--cpu-profile'"),
    ] {
        let ended = tbot(Telemetry::Nowhere, &[&["start"], arguments].concat()).end();
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{arguments:?}: {}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_of_a_command_is_run_beside_those_of_the_file() {
    let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
    let token = cluster.add_bot("robot", &["access"]).unwrap();
    let file =
        "version: v2\nservices:\n  - {type: identity, destination: {type: directory, path: of-file}}\n";
    let proxy = cluster.proxy_addr().to_string();
    let run = tbot(
        Telemetry::Nowhere,
        &[
            "start",
            "identity",
            "--destination",
            "file:of-command",
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
    .file("web-ca.pem", cluster.web_ca_pem());
    let roots = run.path().join("web-ca.pem");
    let ended = tokio::task::block_in_place(|| run.env("SSL_CERT_FILE", roots).end());
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    for folder in ["of-file", "of-command"] {
        assert!(ended.left(&format!("{folder}/identity")).contains("PRIVATE KEY"), "{folder}");
    }
}
