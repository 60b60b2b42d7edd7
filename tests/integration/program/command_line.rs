//! The command line as a whole: help, version, schemas, exit statuses.

use regex::Regex;

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
        "explain",
        "wait",
        "completions",
        "version",
        "schema",
        "telemetry",
        "telemetry status",
        "telemetry preview",
        "start application",
        "telemetry explain",
    ] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let finished = tbot(Telemetry::ClosedPort, &arguments).run();
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
        insta::assert_snapshot!(format!("help {command}").trim().replace(' ', "-"), finished.stdout);
    }
}

#[test]
fn help_is_also_a_command() {
    for (command, flag) in [(&["help"][..], &["--help"][..]), (&["help", "start"], &["start", "--help"])] {
        let [command, flag] = [command, flag].map(|arguments| tbot(Telemetry::ClosedPort, arguments).run());
        assert_eq!((command.status, command.stdout), (Some(0), flag.stdout));
    }
}

#[test]
fn the_version_is_that_of_the_package_and_programs_for_the_go_agent_find_one_that_they_accept() {
    let finished = tbot(Telemetry::ClosedPort, &["version"]).run();
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
    let own = finished.stdout.strip_prefix("tbot ").unwrap();
    assert!(own.starts_with(&format!("{}, ", env!("CARGO_PKG_VERSION"))), "{own}");
    assert_eq!(tbot(Telemetry::ClosedPort, &["--version"]).run().stdout, finished.stdout);

    // The pattern of Teleport's GitHub Actions. They parse the group strictly.
    let pattern = Regex::new("Teleport (?:Enterprise )?v(?P<version>[^ ]*)").unwrap();
    let found = pattern.captures(&finished.stdout).unwrap()["version"].to_owned();
    let newest = *tbot::agent::SUPPORTED_VERSIONS.end();
    assert!(newest >= 16, "the actions require 16.0.0");
    assert_eq!(found, format!("{newest}.0.0"));
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
        (&["start", "--storage", "kubernetes_secret:///bot"], &[]),
        (&["-c", "tbot.yaml"], &[]),
        (&["telemetry", "-c", "tbot.yaml"], &[]),
        (&["configure", "--config-string", "b"], &[]),
        (&["validate"], &[]),
        (&["migrate"], &[]),
        (&["validte", "tbot.yaml"], &[]),
        (&["start", "--onshot"], &[]),
        (&["start", "--log-format", "jsn"], &[]),
        (&["completions"], &[]),
        (&["completions", "powershell"], &[]),
        (&["keypair", "create"], &[]),
        (&["keypair", "create", "--fips", "--proxy-server", "a:443"], &[]),
        (&["proxy", "--fips", "--destination-dir", "out", "--proxy-server", "a:443", "ssh"], &[]),
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
fn without_a_file_the_help_names_flags() {
    for (arguments, codes, flags) in [
        (
            &["start"][..],
            &["error[missing-address]", "error[missing-join-method]", "note[nothing-to-deliver]"][..],
            &["--proxy-server", "--join-method token", "identity --destination"][..],
        ),
        (
            &["configure", "--proxy-server=a:443", "--destination-dir=out"],
            &["error[missing-join-method]"],
            &["--join-method token"],
        ),
        (
            &["start", "identity", "--destination=out", "--token=a-token", "--proxy-server=a:443"],
            &["error[missing-join-method]"],
            &["--join-method token"],
        ),
        (
            &["start", "--proxy-server=a:443", "--join-method=github", "--destination-dir=out"],
            &["error[missing-token]"],
            &["--token"],
        ),
    ] {
        let finished = tbot(Telemetry::ClosedPort, arguments).run();
        assert_eq!(
            (finished.status, finished.diagnostic_codes()),
            (Some(3), codes.to_vec()),
            "{arguments:?}"
        );
        assert!(!finished.stderr.contains("help: write"), "{}", finished.stderr);
        for flag in flags {
            assert!(finished.stderr.contains(flag), "{flag}: {}", finished.stderr);
        }
    }
}

#[test]
fn an_error_in_a_flag_is_not_counted_as_one_in_the_file() {
    let run = |flags: &[&str]| {
        let line = [&["start", "-c", "tbot.yaml"], flags].concat();
        let finished =
            tbot(Telemetry::ClosedPort, &line).file("tbot.yaml", "version: v2\nproxy_server: a:443\n").run();
        assert_eq!(finished.status, Some(3), "{}", finished.stderr);
        finished.stderr
    };
    let report = run(&["--join-method=iamm", "--destination-dir=out"]);
    assert!(report.contains("error: invalid configuration: 1 error in flags and variables\n"), "{report}");
    let report = run(&["--join-method=iamm"]);
    assert!(report.contains(" in tbot.yaml\n"), "{report}");
}

#[test]
fn help_for_a_flag_names_flags() {
    let address = ["--proxy-server=a:443", "--join-method=token", "--token=a"];
    for (flags, code, help) in [
        (
            &["--storage=memory://", "identity", "--destination=out"][..],
            "warning[storage-in-memory]",
            "use `--storage DIR`",
        ),
        (&["--ca-pin=sha256:a", "--destination-dir=out"], "warning[unused-authorities]", "remove `--ca-pin`"),
        (
            &["--oneshot", "identity", "--destination=memory://"],
            "note[nothing-to-deliver]",
            "use `--destination DIR`",
        ),
        (
            &["--certificate-ttl=1h", "--renewal-interval=2h", "--destination-dir=out"],
            "warning[ttl-below-interval]",
            "set `--renewal-interval` to at most half of `--certificate-ttl`",
        ),
    ] {
        let arguments = [&["configure"], &address[..], flags].concat();
        let finished = tbot(Telemetry::ClosedPort, &arguments).run();
        assert_eq!(
            (finished.status, finished.diagnostic_codes()),
            (Some(0), vec![code]),
            "{}",
            finished.stderr
        );
        assert!(finished.stderr.contains(&format!("= help: {help}\n")), "{}", finished.stderr);
    }
    // In addition to a file, help names the flag only for the key that the flag has set.
    let file = "version: v2\nproxy_server: a:443\nonboarding: {join_method: token, token: a}\nservices: []\n";
    let start = ["start", "-c", "tbot.yaml", "--oneshot", "--auth-server=b:3025"];
    let finished = tbot(Telemetry::ClosedPort, &start).file("tbot.yaml", file).run();
    let message = "`--auth-server` is ignored because `proxy_server` is set";
    assert!(finished.stderr.contains(message), "{}", finished.stderr);

    // Help about the file names the flag that the file cannot change.
    let tunnel = "services: [{type: application-tunnel, app_name: a, listen: \"tcp://127.0.0.1:0\"}]";
    let file = |oneshot: &str| format!("version: v2\nproxy_server: a:443\n{oneshot}{tunnel}\n");
    for (flags, file, setting) in
        [(&["--oneshot"][..], file(""), "`--oneshot`"), (&[], file("oneshot: true\n"), "`oneshot: true`")]
    {
        let arguments = [&["start", "-c", "tbot.yaml"], flags].concat();
        let finished = tbot(Telemetry::ClosedPort, &arguments).file("tbot.yaml", file).run();
        let codes = ["error[missing-join-method]", "warning[not-in-oneshot]"];
        assert_eq!((finished.status, finished.diagnostic_codes()), (Some(3), codes.to_vec()));
        let help = format!("= help: remove it, or remove {setting}\n");
        assert!(finished.stderr.contains(&help), "{}", finished.stderr);
    }
}

#[test]
fn a_start_without_a_configuration_mentions_the_file_that_it_has_not_read() {
    let start = || tbot(Telemetry::ClosedPort, &["start", "--proxy-server", "a:443"]);
    let finished = start().file("tbot.yaml", "version: v2\n").run();
    assert_eq!(finished.status, Some(3), "{}", finished.stderr);
    insta::assert_snapshot!(finished.stderr.lines().last().unwrap(), @"hint: tbot.yaml was not read: name it with --config");
    let without_file = start().run();
    assert_eq!(without_file.status, Some(3), "{}", without_file.stderr);
    assert!(!without_file.stderr.contains("tbot.yaml"), "{}", without_file.stderr);
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
    // `base64` of GNU breaks lines; some tools write CR LF.
    let broken: Vec<&str> = encoded.as_bytes().chunks(7).map(|line| str::from_utf8(line).unwrap()).collect();
    let status = ["telemetry", "status"];
    for encoded in [encoded.clone(), broken.join("\n"), broken.join("\r\n") + "\r\n"] {
        for (run, source) in [
            (tbot(Telemetry::ClosedPort, &status).env("TBOT_CONFIG", &encoded), "(TBOT_CONFIG:2)"),
            (
                tbot(Telemetry::ClosedPort, &[&status[..], &["--config-string", &encoded]].concat()),
                "(--config-string:2)",
            ),
        ] {
            let finished = run.run();
            let mut rows = finished.stdout.lines();
            let row = rows.find(|line| line.starts_with("anonymous_telemetry_opt_in ")).unwrap();
            assert_eq!(row.split_whitespace().last(), Some(source), "{row}");
        }
    }
}

#[test]
fn the_log_begins_with_the_version_and_the_configuration() {
    let flags = ["-c", "tbot.yaml", "--log-format", "json"];
    for (yaml, status) in [("version: v2\n", 1), ("version: v2\nfrob: 1\n", 3)] {
        let finished =
            tbot(Telemetry::ClosedPort, &[&FAILING_START[..], &flags].concat()).file("tbot.yaml", yaml).run();
        assert_eq!(finished.status, Some(status), "{}", finished.stderr);
        let first: serde_json::Value = serde_json::from_str(finished.stderr.lines().next().unwrap()).unwrap();
        assert_eq!(
            (&first["level"], &first["version"], &first["configuration"]),
            (&"info".into(), &env!("CARGO_PKG_VERSION").into(), &"tbot.yaml".into())
        );
    }
}
