//! The command line as a whole: help, version, schemas, exit statuses.

use super::run::{ENDS_AT_ONCE, Telemetry, tbot};

#[test]
fn help_of_every_command() {
    for command in [
        "",
        "start",
        "proxy",
        "db",
        "configure",
        "migrate",
        "validate",
        "schema",
        "telemetry",
        "telemetry status",
        "telemetry preview",
    ] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let ended = tbot(Telemetry::Nowhere, &arguments).end();
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
        insta::assert_snapshot!(format!("help {command}").trim().replace(' ', "-"), ended.stdout);
    }
}

#[test]
fn the_version_is_the_package_s() {
    let version = format!("tbot {}\n", env!("CARGO_PKG_VERSION"));
    for arguments in [["version"], ["--version"]] {
        let ended = tbot(Telemetry::Nowhere, &arguments).end();
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(0), version.as_str()));
    }
}

#[test]
fn schemas_are_printed_as_they_are_checked_in() {
    for (which, file) in [
        ("config", "tbot.schema.json"),
        ("config-v1", "tbot-v1.schema.json"),
        ("event", "tbot.start.schema.json"),
    ] {
        let ended = tbot(Telemetry::Nowhere, &["schema", which]).end();
        let path = format!("{}/schema/{file}", env!("CARGO_MANIFEST_DIR"));
        assert_eq!((ended.status, ended.stdout), (Some(0), std::fs::read_to_string(path).unwrap()));
    }
}

#[test]
fn wrong_usage_is_2_and_says_what_is_wrong() {
    for (arguments, variables, said) in [
        (&["--frob"][..], &[][..], "unexpected argument '--frob'"),
        (&["schema", "prehog"], &[], "invalid value 'prehog'"),
        (&["start", "-c", "missing.yaml"], &[], "cannot read missing.yaml: No such file"),
        (&["start", "-c", "."], &[], "cannot read .: Is a directory"),
        (
            &["start", "-c", "a", "--config-string", "b"],
            &[],
            "--config and --config-string exclude each other",
        ),
        (&["start"], &[("TBOT_CONFIG_PATH", "a"), ("TBOT_CONFIG", "b")], "TBOT_CONFIG_PATH and TBOT_CONFIG"),
        (&["start", "--config-string", "no base64"], &[], "--config-string is not base64"),
        (&["start"], &[("TBOT_DEBUG", "maybe")], "TBOT_DEBUG is set to what is no bool"),
        (&["start", "--storage", "s3://bucket"], &[], "--storage: unknown kind of destination"),
    ] {
        let ended = tbot(Telemetry::Nowhere, arguments).envs(variables).end();
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn an_invalid_configuration_is_3_and_names_the_flag() {
    let ended =
        tbot(Telemetry::Nowhere, &["start", "--join-method", "githib", "--proxy-server", "a:443"]).end();
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(3), ""));
    insta::assert_snapshot!(ended.stderr);
}

#[test]
fn a_run_that_fails_is_1() {
    let ended = tbot(Telemetry::Nowhere, &ENDS_AT_ONCE).end();
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
}

#[test]
fn what_replaces_a_value_of_the_file_is_logged_without_the_value() {
    let ended = tbot(Telemetry::Nowhere, &[&ENDS_AT_ONCE[..], &["-c", "tbot.yaml"]].concat())
        .file("tbot.yaml", "version: v2\nonboarding:\n  token: hunter2\nproxy_server: a:443\n")
        .end();
    assert!(
        ended.stderr.contains("INFO --token replaces onboarding.token of tbot.yaml:3"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("INFO --proxy-server replaces proxy_server of tbot.yaml:4"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("hunter2") && !ended.stderr.contains("a-token"), "{}", ended.stderr);

    let without_token: Vec<&str> =
        ENDS_AT_ONCE.iter().copied().filter(|argument| !["--token", "a-token"].contains(argument)).collect();
    let ended = tbot(Telemetry::Nowhere, &[&without_token[..], &["-c", "tbot.yaml"]].concat())
        .file("tbot.yaml", "version: v2\nonboarding:\n  token: hunter2\n")
        .env("TELEPORT_BOT_TOKEN", "hunter3")
        .end();
    let warning = "WARN TELEPORT_BOT_TOKEN replaces onboarding.token of tbot.yaml:3";
    assert!(ended.stderr.contains(warning), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hunter"), "{}", ended.stderr);
}

#[test]
fn a_configuration_in_base64_is_read() {
    use base64::Engine as _;
    let config = "version: v2\nanonymous_telemetry_opt_in: false\n";
    let encoded = base64::engine::general_purpose::STANDARD.encode(config);
    let ended = tbot(Telemetry::Nowhere, &["telemetry", "status"]).env("TBOT_CONFIG", &encoded).end();
    assert!(ended.stdout.contains("false (TBOT_CONFIG:2)"), "{}", ended.stdout);
}
