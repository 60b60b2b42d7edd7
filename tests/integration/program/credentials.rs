//! One run of the program with five outputs, then the commands that the written files refer to: `tbot kube credentials`,
//! `tbot proxy` and `tbot db`. A script in place of `tsh` prints its arguments and variables.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tbot_cluster::{Cluster, ClusterConfig, Resource, clock};

use super::fixture::{CLOSED_PORT, Finished, Run, Telemetry, tbot};
use crate::agent::outline::{outlines, recorded_outlines};

/// Prints its arguments and variables, and exits with a distinctive status.
const FAKE_TSH: &str = r#"#!/bin/sh
for argument in "$@"; do echo "argument $argument"; done
env | grep -e ^TSH_VIRTUAL -e KUBECONFIG= | sort
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

/// The directory of an output with an `identity` file.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/teleport-15/outputs/db");

/// Returns a configuration with outputs in these directories, and one in memory.
fn config_with(directories: &[&str]) -> String {
    let destinations = directories.iter().map(|path| json!({ "type": "directory", "path": path }));
    let destinations = destinations.chain([json!({ "type": "memory" })]);
    let outputs: Vec<Value> =
        destinations.map(|destination| json!({ "type": "identity", "destination": destination })).collect();
    json!({ "version": "v2", "proxy_server": "from.file:443", "outputs": outputs }).to_string()
}

/// Returns the arguments that a command has passed to `tsh`.
fn passed(ran: &Finished) -> Vec<&str> {
    assert_eq!(ran.status, Some(42), "{}", ran.stderr);
    ran.stdout.lines().filter_map(|line| line.strip_prefix("argument ")).collect()
}

#[test]
fn the_configuration_supplies_what_no_flag_sets() {
    let identity = format!("{RECORDED}/identity");
    for (arguments, variables, proxy) in [
        (&["-c", "tbot.yaml", "proxy", "ssh"][..], &[][..], "from.file:443"),
        (&["proxy", "ssh"], &[], "from.file:443"),
        (&["proxy", "-c", "tbot.yaml", "--proxy-server=from.flag:443", "ssh"], &[], "from.flag:443"),
        (
            &["proxy", "ssh"],
            &[("TBOT_CONFIG_PATH", "tbot.yaml"), ("TELEPORT_PROXY", "from.env:443")],
            "from.env:443",
        ),
        (&["proxy", "--destination-dir", RECORDED, "ssh"], &[], "from.file:443"),
    ] {
        let config = config_with(&[RECORDED]);
        let ran = tbot_with_fake_tsh(arguments).file("tbot.yaml", config).envs(variables).run();
        let proxy = format!("--proxy={proxy}");
        assert_eq!(passed(&ran), ["-i", &identity, "proxy", &proxy, "ssh"], "{arguments:?}");
    }

    // Older files, and all files of version 1, have the proxy in `auth_server`.
    let version_1 = "auth_server: from.file:443\ndestinations: [{directory: RECORDED}, {memory: true}]\n";
    for config in [
        config_with(&[RECORDED]).replace("proxy_server", "auth_server"),
        version_1.replace("RECORDED", RECORDED),
    ] {
        let ran = tbot_with_fake_tsh(&["proxy", "ssh"]).file("tbot.yaml", config).run();
        assert_eq!(passed(&ran), ["-i", &identity, "proxy", "--proxy=from.file:443", "ssh"]);
    }
    let auth_server = config_with(&[RECORDED]).replace("proxy_server", "auth_server").replace("443", "3025");
    let refused = tbot_with_fake_tsh(&["proxy", "ssh"]).file("tbot.yaml", auth_server).run();
    assert_eq!(refused.status, Some(2), "{}", refused.stderr);
    insta::assert_snapshot!(refused.stderr, @"error: no proxy address: set --proxy-server or TELEPORT_PROXY; the configuration has only the auth server from.file:3025");

    let arguments = ["--insecure", "-d", "db", "-c", "tbot.yaml", "--cluster=a", "ls", "-c", "b"];
    let ran = tbot_with_fake_tsh(&arguments).file("tbot.yaml", config_with(&[RECORDED])).run();
    let expected =
        ["-d", "--insecure", "-i", &identity, "db", "--proxy=from.file:443", "--cluster=a", "ls", "-c", "b"];
    assert_eq!(passed(&ran), expected);
}

#[test]
fn a_proxy_for_kubernetes_uses_the_kubeconfig_of_the_output() {
    let kubeconfigs = |command: &[&str]| -> Vec<String> {
        let arguments = [&["proxy", "--proxy-server=a:443", "--destination-dir", RECORDED], command].concat();
        let ran = tbot_with_fake_tsh(&arguments).run();
        ran.stdout.lines().filter(|line| line.contains("KUBECONFIG=")).map(str::to_owned).collect()
    };
    let expected = [
        format!("KUBECONFIG={RECORDED}/kubeconfig.yaml"),
        format!("TELEPORT_KUBECONFIG={RECORDED}/kubeconfig-proxied.yaml"),
    ];
    assert_eq!(kubeconfigs(&["kube", "-p", "8443", "dev-kube"]), expected);
    assert_eq!(kubeconfigs(&["--", "--debug", "kube"]), expected);
    assert_eq!(kubeconfigs(&["ssh", "host"]), [""; 0]);
    assert_eq!(kubeconfigs(&["ssh", "kube"]), [""; 0]);
}

#[test]
fn a_configuration_that_selects_no_directory_is_an_error() {
    let mut reasons = Vec::new();
    for (config, status) in [
        (None, 2),
        (Some(config_with(&[])), 2),
        (Some(config_with(&["one", "two"])), 2),
        (Some("version: v2\nfrob: 1\n".to_owned()), 3),
    ] {
        let run = tbot_with_fake_tsh(&["db", "--proxy-server", CLOSED_PORT, "ls"]);
        let finished = match config {
            Some(config) => run.file("tbot.yaml", config).run(),
            None => run.run(),
        };
        assert_eq!((finished.status, finished.stdout.as_str()), (Some(status), ""), "{}", finished.stderr);
        reasons.push(finished.stderr.lines().last().unwrap().to_owned());
    }
    insta::assert_snapshot!(reasons.join("\n"), @r"
    error: no directory: set --destination-dir, or name a configuration with --config
    error: no output of the configuration writes to a directory
    error: several outputs write to a directory: choose one with --destination-dir
    error: invalid configuration: 1 error and 3 notes in tbot.yaml
    ");
}

#[test]
fn help_for_a_command_of_tsh_is_that_of_tbot_unless_tsh_can_run() {
    for arguments in [
        &["proxy", "ssh", "--help"][..],
        &["db", "connect", "-h"],
        &["-d", "proxy", "--proxy-server", "a:443", "ssh", "-h"],
        &["db", "--destination-dir", RECORDED, "connect", "--help"],
    ] {
        let finished = tbot_with_fake_tsh(arguments).run();
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(finished.stdout.contains("--destination-dir <DIR>"), "{arguments:?}: {}", finished.stdout);
    }
    let arguments = ["proxy", "--proxy-server=a:443", "--destination-dir", RECORDED, "ssh", "--help"];
    assert_eq!(passed(&tbot_with_fake_tsh(&arguments).run()).last(), Some(&"--help"));
    assert_eq!(tbot_with_fake_tsh(&["proxy", "ssh"]).run().status, Some(2));
}

fn flag(name: &str, directory: &Path) -> String {
    format!("--{name}={}", directory.display())
}

#[test]
fn credentials_that_have_expired_are_an_error_that_kubectl_shows() {
    let arguments = ["kube", "credentials", &format!("--destination-dir={RECORDED}")];
    let finished = tbot(Telemetry::ClosedPort, &arguments).run();
    assert_eq!((finished.status, finished.stdout.as_str()), (Some(1), ""), "{}", finished.stderr);
    assert!(finished.stderr.contains("the credentials expired"), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("check that the tbot that writes this directory"),
        "{}",
        finished.stderr
    );
}

#[test]
fn each_command_names_what_is_missing() {
    let proxy_with_recorded =
        ["proxy", "--proxy-server=a:1", &format!("--destination-dir={RECORDED}"), "ssh"];
    let mut reasons = Vec::new();
    for (run, status) in [
        (tbot(Telemetry::ClosedPort, &["kube", "credentials", "--destination-dir=nowhere"]), 2),
        (
            tbot(Telemetry::ClosedPort, &["kube", "credentials", "--destination-dir=."])
                .file("identity", "hunter2"),
            1,
        ),
        (tbot_with_fake_tsh(&["proxy", "--destination-dir=.", "ssh"]), 2),
        (
            tbot_with_fake_tsh(&[
                "proxy",
                "--proxy-server=a:1",
                "ssh",
                "--destination-dir",
                RECORDED,
                "root@a",
            ]),
            2,
        ),
        (tbot_with_fake_tsh(&["db", "connect", "--proxy-server=a:1", "a"]), 2),
        (tbot(Telemetry::ClosedPort, &proxy_with_recorded).env("TSH", "/nonexistent/tsh"), 1),
    ] {
        let finished = run.run();
        assert_eq!((finished.status, finished.stdout.as_str()), (Some(status), ""), "{}", finished.stderr);
        assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
        reasons.push(finished.stderr);
    }
    insta::assert_snapshot!(reasons.concat());
}
