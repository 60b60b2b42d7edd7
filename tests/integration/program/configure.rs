//! `tbot configure` and `tbot migrate`: their output is what `tbot start` runs, and a file is written only after all checks.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::fixture::{Finished, Telemetry, tbot};

const CONFIGURE: [&str; 12] = [
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

const VERSION_1: &str = "\
# gone
auth_server: auth.example:443
onboarding: {join_method: token, token: 'null'}
destinations:
  - {directory: /opt/app, app: a}
  - {directory: /opt/machine-id}
";

fn assert_valid(yaml: &str) {
    let finished = tbot(Telemetry::ClosedPort, &["validate", "--strict", "-"]).stdin(yaml).run();
    assert_eq!(finished.status, Some(0), "{yaml}\n{}", finished.stdout);
}

/// Asserts that a run failed with this status and printed no configuration.
fn assert_failed(finished: &Finished, status: i32) {
    assert_eq!((finished.status, finished.stdout.as_str()), (Some(status), ""), "{}", finished.stderr);
}

#[test]
fn the_flags_become_a_valid_configuration() {
    // `tbot configure` reads no file, not even one that the environment names.
    let finished = tbot(Telemetry::ClosedPort, &CONFIGURE).env("TBOT_CONFIG_PATH", "missing.yaml").run();
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
    assert_valid(&finished.stdout);
    insta::assert_snapshot!(finished.stdout);
}

#[test]
fn warnings_of_validate_are_on_standard_error() {
    let join = ["--join-method=token", "--token=abc"];
    for (arguments, codes) in [
        (
            &["ssh-multiplexer", "--proxy-server=proxy.example:443", "--destination=out"][..],
            &["warning[not-supported]"][..],
        ),
        (
            &["identity", "--proxy-server=proxy.example", "--destination=out"],
            &["warning[address-without-port]"],
        ),
        (
            &["identity", "--auth-server=auth.example:3025", "--destination=out"],
            &["warning[unverified-auth-server]"],
        ),
        (&["noop", "--proxy-server=proxy.example:443"], &["note[nothing-to-deliver]"]),
        (&["identity", "--destination=out"], &["note[missing-address]"]),
    ] {
        let finished = tbot(Telemetry::ClosedPort, &[&["configure"], arguments, &join].concat()).run();
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        assert_eq!(finished.diagnostic_codes(), codes, "{}", finished.stderr);
        let validated = tbot(Telemetry::ClosedPort, &["validate", "-"]).stdin(finished.stdout.as_str()).run();
        assert_eq!(validated.status, Some(0), "{}", validated.stdout);
    }
}

#[test]
fn diagnostics_name_flags_and_never_mistake_a_value_for_one() {
    let bot = ["--proxy-server", "p.example:443", "--join-method", "token", "--token", "a"];
    let identity = ["identity", "--destination", "/out"];
    let with_bot = |arguments: &[&'static str]| [arguments, &bot].concat();
    let mut reports = String::new();
    for arguments in [
        // Values that are also the names of flags.
        [&identity[..], &bot[..2], &["--token", "a", "--join-method", "Token"]].concat(),
        [&identity[..], &bot[..2], &["--token", "a", "--join-method", "foo"]].concat(),
        [&identity[..], &bot[..2], &["--token", "a", "--join-method", "storage"]].concat(),
        [&identity[..], &["--join-uri", "tbot+proxy+tokn://t@p:443"]].concat(),
        [&["database", "--destination", "/out", "--service", "a", "--username", "b"][..], &bot]
            .concat()
            .into_iter()
            .chain(["--database", "c", "--format", "database"])
            .collect(),
        with_bot(&["application", "--destination", "/out", "--app", "a", "--scoped"]),
        // Keys whose flags have other names.
        with_bot(&["application", "--destination", "/out", "--app", ""]),
        with_bot(&[
            "workload-identity-jwt",
            "--destination",
            "/out",
            "--name-selector",
            "",
            "--audience",
            "",
        ]),
        with_bot(&["kubernetes/v2", "--destination", "/out", "--name-selector", ""]),
        with_bot(&["kubernetes/v2", "--destination", "/out", "--name-selector", "", "--label-selector", ""]),
        [&identity[..], &bot[..2], &["--token", "a", "--join-method", "iam", "--registration-secret", "x"]]
            .concat(),
        [&identity[..], &bot, &["--auth-server", "a.example:3025", "--ca-pin", "sha256:x"]].concat(),
        [&identity[..], &bot[2..], &["--auth-server", "a.example:3025"]].concat(),
        [&identity[..], &["--join-uri", "tbot+auth+gitlab://t@a.example:3025"]].concat(),
        [&identity[..], &["--join-uri", "tbot+proxy+gitlab://t@p.example:443"], &bot[2..4]].concat(),
        [&identity[..], &bot[2..], &["--auth-server", "a.example:3025", "--ca-pin", "x", "--insecure"]]
            .concat(),
        [&identity[..], &bot, &["--certificate-ttl", "1h", "--renewal-interval", "2h"]].concat(),
        [&identity[..], &bot, &["--storage", "/out"]].concat(),
        [&identity[..], &bot, &["--storage", "/out/storage"]].concat(),
        with_bot(&["identity", "--destination", "/var/lib/teleport/bot"]),
        with_bot(&["identity", "--destination", "/var/lib/teleport/bot/out"]),
    ] {
        let finished = tbot(Telemetry::ClosedPort, &[&["configure"], &arguments[..]].concat()).run();
        reports.push_str(&format!("$ {}\n{}\n", arguments.join(" "), finished.stderr));
    }
    let end = |line: &&str| !line.starts_with("help: run") && !line.contains("`tbot explain");
    insta::assert_snapshot!(reports.lines().filter(end).collect::<Vec<_>>().join("\n"));

    // Empty flags of a service count as not set if it has what it needs without them.
    for (flags, expected) in [
        (&["kubernetes/v2", "--label-selector=a=b", "--name-selector="][..], "- labels:"),
        (&["kubernetes/v2", "--name-selector=a", "--name-selector=", "--label-selector="], "- name: a\n"),
        (&["workload-identity-x509", "--name-selector=a", "--label-selector="], "name: a\n"),
        (
            &[
                "workload-identity-jwt",
                "--label-selector=a=b",
                "--name-selector=",
                "--audience=",
                "--audience=c",
            ],
            "- c\n",
        ),
    ] {
        let line = [&["configure"], flags, &["--destination=/out"], &bot].concat();
        let finished = tbot(Telemetry::ClosedPort, &line).run();
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""), "{flags:?}");
        assert!(finished.stdout.contains(expected), "{}", finished.stdout);
        assert!(!finished.stdout.contains("''") && !finished.stdout.contains("\"\""), "{}", finished.stdout);
    }
    let line = [&identity[..], &bot, &["--reader-user", "", "--cluster", "", "--reader-group", "g"]].concat();
    let finished = tbot(Telemetry::ClosedPort, &[&["configure"], &line[..]].concat()).run();
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
    assert!(
        finished.stdout.contains("- group: g\n") && !finished.stdout.contains("cluster"),
        "{}",
        finished.stdout
    );

    // Outside of a pod, a Secret needs a namespace.
    let secret = ["start", "identity", "--destination", "kubernetes-secret:///out"];
    let finished = tbot(Telemetry::ClosedPort, &[&secret, &bot[..]].concat()).run();
    assert_eq!(finished.diagnostic_codes(), ["error[missing-namespace]"], "{}", finished.stderr);
    assert!(finished.stderr.contains("`kubernetes-secret://NAMESPACE/NAME`"), "{}", finished.stderr);
}

#[test]
fn values_that_variables_can_supply_may_be_missing() {
    let flags = ["configure", "identity", "--destination=out", "--join-method=github"];
    let finished = tbot(Telemetry::ClosedPort, &flags).run();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert_eq!(finished.diagnostic_codes(), ["note[missing-address]", "note[missing-token]"]);

    let start = tbot(Telemetry::ClosedPort, &["start", "-c", "tbot.yaml"]).file("tbot.yaml", finished.stdout);
    let refused = start.run();
    assert_eq!(refused.status, Some(3), "{}", refused.stderr);
    assert_eq!(refused.diagnostic_codes(), ["error[missing-address]", "error[missing-token]"]);
}

#[test]
fn flags_of_the_program_are_written_or_named() {
    let flags = [&CONFIGURE[..], &["--anonymous-telemetry-opt-in"]].concat();
    let finished = tbot(Telemetry::ClosedPort, &flags).run();
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
    assert!(finished.stdout.ends_with("\nanonymous_telemetry_opt_in: true\n"), "{}", finished.stdout);

    let flags = [&CONFIGURE[..], &["--pid-file", "tbot.pid"]].concat();
    let finished = tbot(Telemetry::ClosedPort, &flags).run();
    assert_eq!(finished.stdout, tbot(Telemetry::ClosedPort, &CONFIGURE).run().stdout);
    assert_eq!(finished.status, Some(0));
    insta::assert_snapshot!(finished.stderr, @"note: --pid-file is not part of a configuration: give it to `tbot start`");
}

#[test]
fn a_file_is_private_and_written_only_after_all_checks() {
    let to_file = [&CONFIGURE[..], &["-o", "tbot.yaml"]].concat();
    let finished = tbot(Telemetry::ClosedPort, &to_file).run();
    assert_eq!((finished.status, finished.stdout.as_str(), finished.stderr.as_str()), (Some(0), "", ""));
    let printed = tbot(Telemetry::ClosedPort, &CONFIGURE).run().stdout;
    assert_eq!(finished.read_file("tbot.yaml"), printed);
    assert_eq!(finished.metadata("tbot.yaml").permissions().mode() & 0o777, 0o600);

    let with_invalid_interval = [&to_file[..], &["--renewal-interval", "1d"]].concat();
    let finished = tbot(Telemetry::ClosedPort, &with_invalid_interval).file("tbot.yaml", "mine").run();
    assert_failed(&finished, 3);
    assert_eq!(finished.diagnostic_codes(), ["error[invalid-format]"]);
    assert_eq!(finished.read_file("tbot.yaml"), "mine");

    let with_file = [&to_file[..], &["-c", "old.yaml"]].concat();
    let finished = tbot(Telemetry::ClosedPort, &with_file).file("tbot.yaml", "mine").run();
    assert_failed(&finished, 2);
    insta::assert_snapshot!(finished.stderr, @"error: `tbot configure` does not read a configuration: to write it to a file, use --output instead of --config");
    assert_eq!(finished.read_file("tbot.yaml"), "mine");

    let finished = tbot(Telemetry::ClosedPort, &["configure", "noop", "-o", "new.yaml"]).run();
    assert_failed(&finished, 3);
    assert_eq!(
        finished.diagnostic_codes(),
        ["error[missing-join-method]", "note[missing-address]", "note[nothing-to-deliver]"]
    );
    assert!(!finished.has_file("new.yaml"));

    let to_missing_directory = [&CONFIGURE[..], &["-o", "missing/tbot.yaml"]].concat();
    let finished = tbot(Telemetry::ClosedPort, &to_missing_directory).run();
    assert_failed(&finished, 1);
    insta::assert_snapshot!(finished.stderr, @"error: cannot write missing/tbot.yaml: No such file or directory (os error 2)");
}

#[test]
fn an_existing_file_is_replaced_as_a_whole_or_not_at_all() {
    let too_large = format!("{} --ca-pin sha256:{}", CONFIGURE.join(" "), "0".repeat(64).repeat(100));
    let script = format!("trap '' XFSZ; ulimit -f 4; exec tbot {too_large} -o tbot.yaml");
    let finished =
        tbot(Telemetry::ClosedPort, &[]).file("tbot.yaml", "mine").with_script(&["sh", "-c"], &script).run();
    assert_failed(&finished, 1);
    assert_eq!(finished.read_file("tbot.yaml"), "mine");
    assert!(!finished.has_file("tbot.yaml.tbot-new"));

    let printed = tbot(Telemetry::ClosedPort, &CONFIGURE).run().stdout;
    let to_file = |name| tbot(Telemetry::ClosedPort, &[&CONFIGURE[..], &["-o", name]].concat());
    let existing = |name: &str| {
        let run = to_file("tbot.yaml").file(name, "x".repeat(10_000));
        fs::set_permissions(run.path().join(name), Permissions::from_mode(0o640)).unwrap();
        run
    };
    let finished = existing("tbot.yaml").run();
    assert_eq!((finished.status, finished.read_file("tbot.yaml")), (Some(0), printed.clone()));
    assert_eq!(finished.metadata("tbot.yaml").permissions().mode() & 0o777, 0o640);

    // A link to a file that exists, and to one that does not.
    for name in ["real.yaml", "missing.yaml"] {
        let run = existing("real.yaml");
        symlink(name, run.path().join("tbot.yaml")).unwrap();
        let finished = run.run();
        assert_eq!((finished.status, finished.read_file(name)), (Some(0), printed.clone()), "{name}");
        assert!(fs::symlink_metadata(finished.path().join("tbot.yaml")).unwrap().is_symlink());
    }

    // A second name, such as that of a backup, still leads to the same file.
    let run = existing("real.yaml");
    fs::hard_link(run.path().join("real.yaml"), run.path().join("tbot.yaml")).unwrap();
    let finished = run.run();
    assert_eq!((finished.status, finished.read_file("real.yaml")), (Some(0), printed));
    assert_eq!(finished.metadata("tbot.yaml").nlink(), 2);
}

#[test]
fn an_open_file_and_a_pipe_are_written_to() {
    let printed = tbot(Telemetry::ClosedPort, &CONFIGURE).run().stdout;
    let configure = format!("tbot {} -o", CONFIGURE.join(" "));
    for script in [
        format!("{configure} /dev/stdout"),
        format!("{configure} /dev/stdout > file; cat file"),
        format!("{configure} /dev/fd/5 5> file; cat file"),
        format!("ln -s /dev/stdout link; {configure} link > file; cat file"),
        format!("mkfifo pipe; {configure} pipe & cat pipe; wait $!"),
    ] {
        let finished = tbot(Telemetry::ClosedPort, &[]).with_script(&["sh", "-c"], &script).run();
        assert_eq!((finished.status, &finished.stdout), (Some(0), &printed), "{script}: {}", finished.stderr);
    }
    let appended = format!("echo a > file; {configure} /dev/stdout >> file; cat file");
    let finished = tbot(Telemetry::ClosedPort, &[]).with_script(&["sh", "-c"], &appended).run();
    assert_eq!((finished.status, finished.stdout), (Some(0), format!("a\n{printed}")));
}

#[test]
fn version_1_is_migrated_with_a_note_about_lost_comments() {
    let finished =
        tbot(Telemetry::ClosedPort, &["migrate", "-c", "old.yaml"]).file("old.yaml", VERSION_1).run();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    assert_valid(&finished.stdout);
    insta::assert_snapshot!(finished.stdout);
    // Not that the file uses version 1.
    assert_eq!(finished.diagnostic_codes(), ["note[deprecated]"]);
    let migrate = |arguments: &[&str]| tbot(Telemetry::ClosedPort, &[&["migrate"], arguments].concat());
    for same in [
        migrate(&["old.yaml"]).file("old.yaml", VERSION_1),
        migrate(&[]).file("old.yaml", VERSION_1).env("TBOT_CONFIG_PATH", "old.yaml"),
        migrate(&[]).file("tbot.yaml", VERSION_1),
        migrate(&["-"]).stdin(VERSION_1),
    ] {
        assert_eq!(same.run().stdout, finished.stdout);
    }
    insta::assert_snapshot!(finished.stderr.lines().last().unwrap(), @"comments were not copied to the new file");
}

#[test]
fn a_failed_migration_writes_nothing() {
    let mut reasons = Vec::new();
    let in_place =
        tbot(Telemetry::ClosedPort, &["migrate", "-o", "tbot.yaml"]).file("tbot.yaml", VERSION_1).run();
    assert_failed(&in_place, 2);
    assert_eq!(in_place.read_file("tbot.yaml"), VERSION_1);
    for (file, arguments) in [
        (VERSION_1, &["-c", "old.yaml", "-o", "old.yaml"][..]),
        (VERSION_1, &["old.yaml", "-o", "./old.yaml"]),
        ("version: v2\n", &["-c", "old.yaml"]),
    ] {
        let arguments = [&["migrate"], arguments].concat();
        let finished = tbot(Telemetry::ClosedPort, &arguments).file("old.yaml", file).run();
        assert_failed(&finished, 2);
        assert_eq!(finished.read_file("old.yaml"), file);
        reasons.push(finished.stderr);
    }
    insta::assert_snapshot!(reasons.concat(), @r"
    error: --output is the file to convert: choose another path
    error: --output is the file to convert: choose another path
    error: old.yaml is already version 2
    ");

    let invalid = "version: v1\ndestinations: [{}]\n";
    let arguments = ["migrate", "-c", "old.yaml", "-o", "new.yaml"];
    let finished = tbot(Telemetry::ClosedPort, &arguments).file("old.yaml", invalid).run();
    assert_failed(&finished, 3);
    let codes = finished.diagnostic_codes();
    assert!(codes.contains(&"error[invalid-v1]") && codes.contains(&"note[version-1]"), "{codes:?}");
    assert_eq!(finished.read_file("old.yaml"), invalid);
    assert!(!finished.has_file("new.yaml"));
}

#[test]
fn a_migration_whose_yaml_would_be_read_differently_says_what_to_look_for() {
    let file = VERSION_1.replace("app: a", r#"app: "a\u2028b""#);
    let finished = tbot(Telemetry::ClosedPort, &["migrate", "old.yaml"]).file("old.yaml", &file).run();
    assert_failed(&finished, 1);
    insta::assert_snapshot!(finished.stderr, @"
    error: the configuration would change when written as YAML
    hint: if it has the key `<<`, rename that key; if a string contains U+2028 or U+2029, remove the character
    ");
}

#[test]
fn a_service_command_has_the_short_names_of_the_go_agent() {
    let bot = ["--proxy-server=proxy.example:443", "--join-method=token", "--token=a-token"];
    let configure = |command: &str, flags: &[&str]| {
        tbot(Telemetry::ClosedPort, &[&["configure", command], flags, &bot].concat()).run()
    };
    let destination = "--destination=/out";
    let database = ["--service=a", "--username=b", "--database=c"];
    let listen = "--listen=tcp://127.0.0.1:1";
    for (name, short, flags) in [
        ("identity", "ssh", &[destination, "--cluster=leaf"][..]),
        ("identity", "id", &[destination]),
        ("application", "app", &[destination, "--app=a"]),
        ("application-tunnel", "app-tunnel", &[listen, "--app=a"]),
        ("application-proxy", "app-proxy", &[listen]),
        ("database", "db", &[&[destination][..], &database].concat()),
        ("database-tunnel", "db-tunnel", &[&[listen][..], &database].concat()),
        ("kubernetes", "k8s", &[destination, "--kubernetes-cluster=a"]),
        ("kubernetes/v2", "k8s/v2", &[destination, "--name-selector=a"]),
        ("noop", "no-op", &[]),
    ] {
        let expected = configure(name, flags);
        assert_eq!(expected.status, Some(0), "{name}: {}", expected.stderr);
        let finished = configure(short, flags);
        assert_eq!((finished.status, finished.stdout), (Some(0), expected.stdout), "{short}");
        // Both commands that take a service have its short names; help lists only the full one.
        let help = tbot(Telemetry::ClosedPort, &["start", short, "--help"]).run();
        assert_eq!(help.status, Some(0), "{short}");
        assert!(help.stdout.contains(&format!("Usage: tbot start {name} ")), "{short}: {}", help.stdout);
    }
}
