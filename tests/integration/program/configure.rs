//! `tbot configure` and `tbot migrate`: what they print is what starts, and a file is written only after all checks.

use std::os::unix::fs::PermissionsExt as _;

use super::run::{Ended, Telemetry, tbot};

const FLAGS: [&str; 12] = [
    "configure",
    "kubernetes/v2",
    "--destination",
    "kubernetes-secret://ns/kubeconfig",
    "--label-selector",
    "region=on,tier=0001",
    "--join-uri",
    "tbot+proxy+gitlab://a-token@proxy.example:443",
    "--storage",
    "memory://",
    "--certificate-ttl",
    "30m",
];

const OLD: &str = "\
# gone
auth_server: auth.example:3025
onboarding: {join_method: token, token: 'null'}
destinations:
  - {directory: /opt/app, app: a}
  - {directory: /opt/machine-id}
";

fn is_valid(yaml: &str) {
    let ended = tbot(Telemetry::Nowhere, &["validate", "--strict", "-"]).input(yaml).end();
    assert_eq!(ended.status, Some(0), "{yaml}\n{}", ended.stdout);
}

fn failed(ended: &Ended, status: i32, said: &str) {
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(status), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}

#[test]
fn what_is_printed_is_what_the_flags_start() {
    // A file that is named elsewhere is not read.
    let ended = tbot(Telemetry::Nowhere, &FLAGS).env("TBOT_CONFIG_PATH", "missing.yaml").end();
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    is_valid(&ended.stdout);
    insta::assert_snapshot!(ended.stdout);
}

#[test]
fn a_file_is_for_its_owner_alone_and_written_only_after_all_checks() {
    let to_file = [&FLAGS[..], &["-o", "tbot.yaml"]].concat();
    let ended = tbot(Telemetry::Nowhere, &to_file).end();
    assert_eq!((ended.status, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "", ""));
    assert_eq!(ended.left("tbot.yaml"), tbot(Telemetry::Nowhere, &FLAGS).end().stdout);
    assert_eq!(ended.metadata("tbot.yaml").permissions().mode() & 0o777, 0o600);

    for (wrong, status, said) in [
        (&["--renewal-interval", "1d"][..], 3, "--renewal-interval"),
        (&["-c", "old.yaml"], 2, "`tbot configure` reads no configuration"),
    ] {
        let ended = tbot(Telemetry::Nowhere, &[&to_file[..], wrong].concat()).file("tbot.yaml", "mine").end();
        failed(&ended, status, said);
        assert_eq!(ended.left("tbot.yaml"), "mine");
    }
    let ended = tbot(Telemetry::Nowhere, &["configure", "noop", "-o", "new.yaml"]).end();
    failed(&ended, 3, "error[missing-address]");
    assert!(!ended.has_left("new.yaml"));
    let ended = tbot(Telemetry::Nowhere, &[&FLAGS[..], &["-o", "missing/tbot.yaml"]].concat()).end();
    failed(&ended, 1, "cannot write missing/tbot.yaml: No such file or directory");
}

#[test]
fn version_1_becomes_version_2_and_the_loss_of_comments_is_said() {
    let ended = tbot(Telemetry::Nowhere, &["migrate", "-c", "old.yaml"]).file("old.yaml", OLD).end();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.ends_with("the comments of the old file are not in the new one\n"),
        "{}",
        ended.stderr
    );
    is_valid(&ended.stdout);
    insta::assert_snapshot!(ended.stdout);
}

#[test]
fn what_cannot_be_converted_is_said_and_nothing_is_written() {
    for (file, arguments, status, said) in [
        (OLD, &["-c", "old.yaml", "-o", "old.yaml"][..], 2, "--output is the file to convert"),
        (OLD, &[], 2, "no file to convert: name it with --config"),
        ("version: v2\n", &["-c", "old.yaml"], 2, "old.yaml is of version 2 already"),
        ("version: v1\ndestinations: [{}]\n", &["-c", "old.yaml", "-o", "new.yaml"], 3, "error["),
    ] {
        let ended =
            tbot(Telemetry::Nowhere, &[&["migrate"], arguments].concat()).file("old.yaml", file).end();
        failed(&ended, status, said);
        assert_eq!(ended.left("old.yaml"), file);
        assert!(!ended.has_left("new.yaml"));
    }
}
