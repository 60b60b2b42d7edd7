//! One run of the program with five outputs, then the commands that the written files refer to: `tbot kube credentials`,
//! `tbot proxy` and `tbot db`. A script in place of `tsh` prints its arguments and variables.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tbot_cluster::{Cluster, ClusterConfig, Resource, clock};

use super::fixture::{Finished, Run, Telemetry, tbot};
use crate::agent::outline::{outlines, recorded_outlines};

/// Prints its arguments and variables, and exits with a distinctive status.
const FAKE_TSH: &str = r#"#!/bin/sh
for argument in "$@"; do echo "argument $argument"; done
env | grep ^TSH_VIRTUAL | sort
exit 42
"#;

async fn start_cluster() -> Cluster {
    let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
    cluster.add_resource(Resource::application("dumper", "dumper.127.0.0.1"));
    cluster.add_resource(Resource::database("pg", "postgres"));
    cluster.add_resource(Resource::kubernetes("dev-kube"));
    cluster
}

/// Writes the five outputs that the recordings contain.
async fn write_five_outputs() -> Finished {
    let cluster = start_cluster().await;
    let to = |path: &str| json!({ "type": "directory", "path": path });
    let config = json!({
        "version": "v2",
        "proxy_server": cluster.proxy_addr().to_string(),
        "onboarding": { "join_method": "token", "token": cluster.add_bot("robot", &["access"]).unwrap() },
        "storage": { "type": "directory", "path": "storage" },
        "outputs": [
            { "type": "identity", "destination": to("identity") },
            { "type": "application", "app_name": "dumper", "destination": to("app") },
            { "type": "database", "service": "pg", "username": "a", "database": "b", "destination": to("db") },
            { "type": "kubernetes", "kubernetes_cluster": "dev-kube", "destination": to("kube") },
            { "type": "ssh_host", "principals": ["nodename.my.domain"], "destination": to("ssh_host") },
        ],
    });
    let run = tbot(Telemetry::ClosedPort, &["start", "--oneshot", "-c", "tbot.yaml"])
        .file("tbot.yaml", config.to_string())
        .trusting(&cluster);
    let finished = run.run_blocking();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    finished
}

/// Prepares a run with `TSH` set to the script.
fn tbot_with_fake_tsh(arguments: &[&str]) -> Run {
    let run = tbot(Telemetry::ClosedPort, arguments).file("tsh", FAKE_TSH);
    let tsh = run.path().join("tsh");
    std::fs::set_permissions(&tsh, std::fs::Permissions::from_mode(0o700)).unwrap();
    run.env("TSH", tsh).env("PATH", "/usr/bin:/bin")
}

#[tokio::test(flavor = "multi_thread")]
async fn five_outputs_are_written_in_one_run_and_their_commands_run() {
    let finished = write_five_outputs().await;
    for output in ["identity", "app", "db", "kube", "ssh_host"] {
        assert_eq!(outlines(&finished.path().join(output)), recorded_outlines(output), "{output}");
    }

    let kube = finished.path().join("kube");
    let printed =
        tbot(Telemetry::ClosedPort, &["kube", "credentials", &flag("destination-dir", &kube)]).run();
    assert_eq!((printed.status, printed.stderr.as_str()), (Some(0), ""));
    assert_eq!(printed.stdout.lines().count(), 1);
    let credential: Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(
        (&credential["kind"], &credential["apiVersion"], &credential["spec"]),
        (
            &json!("ExecCredential"),
            &json!("client.authentication.k8s.io/v1beta1"),
            &json!({ "interactive": false })
        )
    );
    assert_eq!(credential["status"]["clientCertificateData"], finished.read_file("kube/tlscert"));
    assert_eq!(credential["status"]["clientKeyData"], finished.read_file("kube/key"));
    assert!(credential["status"]["expirationTimestamp"].as_str().unwrap().ends_with('Z'), "{credential}");

    let db = finished.path().join("db");
    let run =
        tbot_with_fake_tsh(&["-d", "db", &flag("destination-dir", &db), "connect", "--db-user=a", "pg"]);
    let ran = run.env("TELEPORT_PROXY", "t.example:443").run();
    let directory = db.display();
    let arguments: Vec<String> =
        ran.stdout.lines().filter_map(|line| line.strip_prefix("argument ").map(str::to_owned)).collect();
    let identity = format!("{directory}/identity");
    let expected = [
        "-d",
        "-i",
        &identity,
        "db",
        "--proxy=t.example:443",
        "--cluster=dev.test",
        "connect",
        "--db-user=a",
        "pg",
    ];
    assert_eq!(arguments, expected);
    let variables: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("TSH_VIRTUAL")).collect();
    let expected = [
        ("APP", "tlscert"),
        ("CA_DB", "teleport-database-ca.crt"),
        ("CA_HOST", "teleport-host-ca.crt"),
        ("CA_USER", "teleport-user-ca.crt"),
        ("DB", "tlscert"),
        ("KEY", "key"),
    ]
    .map(|(name, file)| format!("TSH_VIRTUAL_PATH_{name}={directory}/{file}"));
    assert_eq!(variables, expected);
    assert_eq!(ran.status, Some(42), "the exit status of tsh");
}

fn flag(name: &str, directory: &Path) -> String {
    format!("--{name}={}", directory.display())
}

#[test]
fn each_command_names_what_is_missing() {
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/teleport-15/outputs/db");
    let proxy_with_recorded =
        ["proxy", "--proxy-server=a:1", &format!("--destination-dir={recorded}"), "ssh"];
    let mut reasons = Vec::new();
    for (run, status) in [
        (tbot(Telemetry::ClosedPort, &["kube", "credentials", "--destination-dir=nowhere"]), 2),
        (
            tbot(Telemetry::ClosedPort, &["kube", "credentials", "--destination-dir=."])
                .file("identity", "hunter2"),
            1,
        ),
        (tbot_with_fake_tsh(&["proxy", "--destination-dir=.", "ssh"]), 2),
        (tbot(Telemetry::ClosedPort, &proxy_with_recorded).env("TSH", "/nonexistent/tsh"), 1),
    ] {
        let finished = run.run();
        assert_eq!((finished.status, finished.stdout.as_str()), (Some(status), ""), "{}", finished.stderr);
        assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
        reasons.push(finished.stderr);
    }
    insta::assert_snapshot!(reasons.concat());
}
