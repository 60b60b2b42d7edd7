//! The command line as a whole: help, version, schemas, exit statuses.

use super::fixture::{FAILING_START, Telemetry, tbot};

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
        let finished = tbot(Telemetry::ClosedPort, &arguments).run();
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
        insta::assert_snapshot!(format!("help {command}").trim().replace(' ', "-"), finished.stdout);
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = format!("tbot {}\n", env!("CARGO_PKG_VERSION"));
    for arguments in [["version"], ["--version"]] {
        let finished = tbot(Telemetry::ClosedPort, &arguments).run();
        assert_eq!((finished.status, finished.stdout.as_str()), (Some(0), version.as_str()));
    }
}

#[test]
fn schemas_are_printed_as_they_are_checked_in() {
    for (name, file) in [
        ("config", "tbot.schema.json"),
        ("config-v1", "tbot-v1.schema.json"),
        ("event", "tbot.start.schema.json"),
    ] {
        let finished = tbot(Telemetry::ClosedPort, &["schema", name]).run();
        let path = format!("{}/schema/{file}", env!("CARGO_MANIFEST_DIR"));
        assert_eq!((finished.status, finished.stdout), (Some(0), std::fs::read_to_string(path).unwrap()));
    }
}

#[test]
fn wrong_usage_exits_with_2_and_a_reason() {
    let mut reasons = String::new();
    for (arguments, variables) in [
        (&["--frob"][..], &[][..]),
        (&["schema", "prehog"], &[]),
        (&["start", "-c", "missing.yaml"], &[]),
        (&["start", "-c", "."], &[]),
        (&["start", "-c", "a", "--config-string", "b"], &[]),
        (&["start"], &[("TBOT_CONFIG_PATH", "a"), ("TBOT_CONFIG", "b")]),
        (&["start", "--config-string", "no base64"], &[]),
        (&["start"], &[("TBOT_DEBUG", "maybe")]),
        (&["start", "--storage", "s3://bucket"], &[]),
    ] {
        let finished = tbot(Telemetry::ClosedPort, arguments).envs(variables).run();
        assert_eq!(
            (finished.status, finished.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}: {}",
            finished.stderr
        );
        for (name, value) in variables {
            reasons.push_str(&format!("{name}={value} "));
        }
        reasons.push_str(&format!("tbot {}\n{}\n", arguments.join(" "), finished.stderr));
    }
    insta::assert_snapshot!(reasons);
}

#[test]
fn an_invalid_configuration_exits_with_3_and_names_the_flag() {
    let arguments = ["start", "--join-method", "githib", "--proxy-server", "a:443"];
    let finished = tbot(Telemetry::ClosedPort, &arguments).run();
    assert_eq!((finished.status, finished.stdout.as_str()), (Some(3), ""));
    insta::assert_snapshot!(finished.stderr);
}

#[test]
fn a_failed_run_exits_with_1() {
    let finished = tbot(Telemetry::ClosedPort, &FAILING_START).run();
    assert_eq!((finished.status, finished.stdout.as_str()), (Some(1), ""), "{}", finished.stderr);
}

#[test]
fn the_log_names_overridden_values_without_showing_them() {
    let finished = tbot(Telemetry::ClosedPort, &[&FAILING_START[..], &["-c", "tbot.yaml"]].concat())
        .file("tbot.yaml", "version: v2\nonboarding:\n  token: hunter2\nproxy_server: a:443\n")
        .run();
    let overridden: Vec<&str> =
        finished.log().into_iter().filter(|line| line.contains("tbot.yaml:")).collect();
    insta::assert_snapshot!(overridden.join("\n"), @r"
    INFO --proxy-server overrides proxy_server in tbot.yaml:4
    INFO --token overrides onboarding.token in tbot.yaml:3
    ");
    for secret in ["hunter2", "a-token"] {
        assert!(!finished.stderr.contains(secret), "{}", finished.stderr);
    }

    let without_token: Vec<&str> =
        FAILING_START.iter().copied().filter(|argument| !["--token", "a-token"].contains(argument)).collect();
    let finished = tbot(Telemetry::ClosedPort, &[&without_token[..], &["-c", "tbot.yaml"]].concat())
        .file("tbot.yaml", "version: v2\nonboarding:\n  token: hunter2\n")
        .env("TELEPORT_BOT_TOKEN", "hunter3")
        .run();
    insta::assert_snapshot!(finished.log_at("WARN").join("\n"), @"TELEPORT_BOT_TOKEN overrides onboarding.token in tbot.yaml:3");
    assert!(!finished.stderr.contains("hunter"), "{}", finished.stderr);
}

#[test]
fn a_configuration_in_base64_is_decoded() {
    use base64::Engine as _;
    let config = "version: v2\nanonymous_telemetry_opt_in: false\n";
    let encoded = base64::engine::general_purpose::STANDARD.encode(config);
    let finished = tbot(Telemetry::ClosedPort, &["telemetry", "status"]).env("TBOT_CONFIG", &encoded).run();
    let row = finished.stdout.lines().find(|line| line.starts_with("anonymous_telemetry_opt_in ")).unwrap();
    assert_eq!(row.split_whitespace().last(), Some("(TBOT_CONFIG:2)"), "{row}");
}
