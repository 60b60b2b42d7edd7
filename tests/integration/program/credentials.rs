//! One run of the program with five outputs, and the commands that what it wrote runs: `tbot kube credentials`, and
//! `tbot proxy` and `tbot db`, with a script in the place of `tsh` that shows how it was run.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tbot_cluster::{Cluster, ClusterConfig, Resource, clock};

use super::run::{Ended, Run, Telemetry, tbot};
use crate::agent::outline::{outlines, recorded_outlines};

/// Says how it was run, and ends with a status of its own.
const TSH: &str = r#"#!/bin/sh
for argument in "$@"; do echo "argument $argument"; done
env | grep ^TSH_VIRTUAL | sort
exit 42
"#;

async fn cluster() -> Cluster {
    let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
    cluster.add_resource(Resource::application("dumper", "dumper.127.0.0.1"));
    cluster.add_resource(Resource::database("pg", "postgres"));
    cluster.add_resource(Resource::kubernetes("dev-kube"));
    cluster
}

/// One run with the five outputs of the recordings.
async fn five_outputs() -> Ended {
    let cluster = cluster().await;
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
    let run = tbot(Telemetry::Nowhere, &["start", "--oneshot", "-c", "tbot.yaml"])
        .file("tbot.yaml", config.to_string())
        .file("web-ca.pem", cluster.web_ca_pem());
    let roots = run.path().join("web-ca.pem");
    let run = run.env("SSL_CERT_FILE", roots);
    let ended = tokio::task::block_in_place(|| run.end());
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    ended
}

/// A run with `TSH` set to the script.
fn with_tsh(arguments: &[&str]) -> Run {
    let run = tbot(Telemetry::Nowhere, arguments).file("tsh", TSH);
    let tsh = run.path().join("tsh");
    std::fs::set_permissions(&tsh, std::fs::Permissions::from_mode(0o700)).unwrap();
    run.env("TSH", tsh).env("PATH", "/usr/bin:/bin")
}

#[tokio::test(flavor = "multi_thread")]
async fn five_outputs_are_written_in_one_run_and_their_commands_run() {
    let ended = five_outputs().await;
    for output in ["identity", "app", "db", "kube", "ssh_host"] {
        assert_eq!(outlines(&ended.path().join(output)), recorded_outlines(output), "{output}");
    }

    let kube = ended.path().join("kube");
    let printed = tbot(Telemetry::Nowhere, &["kube", "credentials", &flag("destination-dir", &kube)]).end();
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
    assert_eq!(credential["status"]["clientCertificateData"], ended.left("kube/tlscert"));
    assert_eq!(credential["status"]["clientKeyData"], ended.left("kube/key"));
    assert!(credential["status"]["expirationTimestamp"].as_str().unwrap().ends_with('Z'), "{credential}");

    let db = ended.path().join("db");
    let run = with_tsh(&["-d", "db", &flag("destination-dir", &db), "connect", "--db-user=a", "pg"]);
    let ran = run.env("TELEPORT_PROXY", "t.example:443").end();
    let folder = db.display();
    let arguments: Vec<String> =
        ran.stdout.lines().filter_map(|line| line.strip_prefix("argument ").map(str::to_owned)).collect();
    let identity = format!("{folder}/identity");
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
    .map(|(name, file)| format!("TSH_VIRTUAL_PATH_{name}={folder}/{file}"));
    assert_eq!(variables, expected);
    assert_eq!(ran.status, Some(42), "the status is that of tsh");

    let command = ended.left("identity/ssh_config");
    let command = command.lines().find_map(|line| line.trim().strip_prefix("ProxyCommand ")).unwrap();
    let written: Vec<&str> = command.split_whitespace().skip(1).collect();
    let ran = with_tsh(&written).end();
    let identity = format!("argument {}/identity", ended.path().join("identity").display());
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[..3], ["argument -i", &identity, "argument proxy"]);
    assert!(lines[3].starts_with("argument --proxy=127.0.0.1:"), "{lines:?}");
    assert_eq!(lines[4..7], ["argument ssh", "argument --cluster=dev.test", "argument %r@%h:%p"]);
}

fn flag(name: &str, folder: &Path) -> String {
    format!("--{name}={}", folder.display())
}

#[test]
fn what_the_commands_lack_is_said() {
    let missing = tbot(Telemetry::Nowhere, &["kube", "credentials", "--destination-dir=nowhere"]).end();
    assert_eq!(missing.status, Some(2));
    assert!(missing.stderr.starts_with("error: cannot read nowhere/identity: "), "{}", missing.stderr);

    let broken = tbot(Telemetry::Nowhere, &["kube", "credentials", "--destination-dir=."]);
    let broken = broken.file("identity", "hunter2").end();
    assert_eq!(broken.status, Some(1));
    assert!(
        broken.stderr.contains("not an identity file") && !broken.stderr.contains("hunter2"),
        "{}",
        broken.stderr
    );

    let no_proxy = with_tsh(&["proxy", "--destination-dir=.", "ssh"]).end();
    assert_eq!(no_proxy.status, Some(2));
    assert!(no_proxy.stderr.contains("--proxy-server"), "{}", no_proxy.stderr);

    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/teleport-15/outputs/db");
    let arguments = ["proxy", "--proxy-server=a:1", &format!("--destination-dir={recorded}"), "ssh"];
    let no_tsh = tbot(Telemetry::Nowhere, &arguments).env("TSH", "/nonexistent/tsh").end();
    assert_eq!(no_tsh.status, Some(1));
    assert!(
        no_tsh.stderr.contains("cannot run /nonexistent/tsh") && no_tsh.stderr.contains("set TSH"),
        "{}",
        no_tsh.stderr
    );
}
