//! `tbot validate`: several files, standard input, formats and exit statuses. The library's tests cover the diagnostics.

use serde_json::Value;

use super::fixture::{Finished, Telemetry, tbot};

const VALID: &str = "\
version: v2
proxy_server: teleport.example.com:443
onboarding: {join_method: token, token: a}
services:
  - {type: identity, destination: {type: directory, path: out}}
";
const INVALID: &str = "version: v2
onbording: {join_method: github, token: ci}
proxy_server: teleport.example.com:443
services: [{type: identity, destination: {type: directory, path: /opt/out}}]
";

/// The diagnostics of a run with `--format json`, each as its code, file and line.
fn diagnostics(finished: &Finished) -> Vec<(String, String, Option<u64>)> {
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    let diagnostics = report["diagnostics"].as_array().unwrap().iter();
    let string = |value: &Value| value.as_str().unwrap().to_owned();
    diagnostics.map(|one| (string(&one["code"]), string(&one["file"]), one["line"].as_u64())).collect()
}

/// zsh replaces `<(...)` by a path in `/proc/self/fd`, other shells by one in `/dev/fd`.
#[test]
fn a_file_can_be_a_pipe_that_a_shell_has_opened() {
    for (path, status) in [("/dev/fd/3", 0), ("/proc/self/fd/3", 0), ("/dev/fd/../fd/3", 2)] {
        let script = format!("printf 'version: v2\\n' | {{ tbot validate -q {path} 3<&0; }}");
        let finished = tbot(Telemetry::ClosedPort, &[]).with_script(&["sh", "-c"], &script).run();
        assert_eq!(finished.status, Some(status), "{path}: {}{}", finished.stdout, finished.stderr);
    }
}

#[test]
fn a_valid_file_exits_with_0() {
    let finished = tbot(Telemetry::ClosedPort, &["validate", "good.yaml"]).file("good.yaml", VALID).run();
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(finished.stdout, @"no problems in good.yaml");
}

#[test]
fn an_invalid_file_exits_with_3_in_every_format() {
    for format in ["human", "json", "github", "sarif"] {
        let finished =
            tbot(Telemetry::ClosedPort, &["validate", "--format", format, "good.yaml", "bad.yaml"])
                .file("good.yaml", VALID)
                .file("bad.yaml", INVALID)
                .run();
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(3), ""));
        insta::assert_snapshot!(format, finished.stdout);
    }
}

#[test]
fn a_warning_fails_only_with_strict_and_a_note_never_fails() {
    // The second is what Teleport's own GitHub action writes.
    for (line, code, strict_status) in
        [("insecure: true", "insecure-connection", 3), ("certificate_ttl: 1h", "deprecated", 0)]
    {
        for (flags, status) in [(&[][..], 0), (&["--strict"], strict_status)] {
            let arguments = [&["validate", "--format", "json", "a.yaml"], flags].concat();
            let file = format!("{VALID}{line}\n");
            let finished = tbot(Telemetry::ClosedPort, &arguments).file("a.yaml", file).run();
            assert_eq!(finished.status, Some(status), "{}", finished.stdout);
            assert_eq!(diagnostics(&finished), [(code.to_owned(), "a.yaml".to_owned(), Some(6))]);
        }
    }
}

#[test]
fn a_file_that_this_version_cannot_start_is_valid() {
    let unsupported = format!("{VALID}fips: true\n");
    let run = |arguments: &[&str]| {
        tbot(Telemetry::ClosedPort, &[&["validate"], arguments].concat())
            .file("a.yaml", &unsupported)
            .file("b.yaml", VALID)
            .run()
    };
    assert_eq!(run(&["a.yaml"]).status, Some(0));
    assert_eq!(run(&["--strict", "a.yaml"]).status, Some(3));
    let summaries = [&["a.yaml"][..], &["a.yaml", "b.yaml"]].map(|files| {
        let finished = run(files);
        finished.stdout.lines().last().unwrap().to_owned()
    });
    insta::assert_snapshot!(summaries.join("\n"));
}

#[test]
fn locations_are_compared_as_seen_from_the_working_directory_and_the_namespace_of_the_pod() {
    let storage = |storage: &str, destination: &str| {
        format!(
            "version: v2\nstorage: {storage}\nservices: [{{type: identity, destination: {destination}}}]\n"
        )
    };
    let secret = "{type: kubernetes_secret, name: bot}";
    for (file, code) in [
        (
            storage("{type: directory, path: ./a/../out}", "{type: directory, path: DIR/out/}"),
            "same-destination",
        ),
        (storage("{type: directory, path: out}", "{type: directory, path: DIR/out/a}"), "nested-destination"),
        (storage(secret, "{type: kubernetes_secret, name: bot, namespace: pod}"), "same-destination"),
    ] {
        let run = tbot(Telemetry::ClosedPort, &["validate", "--format", "json", "a.yaml"]);
        let directory = run.path().canonicalize().unwrap();
        let file = file.replace("DIR", directory.to_str().unwrap());
        let finished = run.file("a.yaml", file).env("POD_NAMESPACE", "pod").run();
        assert_eq!(finished.status, Some(3), "{}", finished.stdout);
        let codes: Vec<String> = diagnostics(&finished).into_iter().map(|(code, ..)| code).collect();
        assert!(codes.contains(&code.to_owned()), "{codes:?}");
    }
}

#[test]
fn an_unreadable_file_exits_with_2_and_the_others_are_checked() {
    let arguments = ["validate", "--format", "json", "missing.yaml", "bad.yaml"];
    let finished = tbot(Telemetry::ClosedPort, &arguments).file("bad.yaml", INVALID).run();
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(2), ""));
    assert_eq!(
        diagnostics(&finished),
        [
            ("unreadable".to_owned(), "missing.yaml".to_owned(), None),
            ("unknown-key".to_owned(), "bad.yaml".to_owned(), Some(2)),
        ]
    );
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(report["errors"], 2);
}

#[test]
fn every_format_for_programs_reports_an_unreadable_file() {
    for (format, expected) in [
        ("json", r#""file": "missing.yaml""#),
        ("github", "::error file=missing.yaml,title=unreadable::"),
        ("sarif", r#""uri": "missing.yaml""#),
    ] {
        let finished = tbot(Telemetry::ClosedPort, &["validate", "--format", format, "missing.yaml"]).run();
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(2), ""));
        assert!(
            finished.stdout.contains(expected) && finished.stdout.contains("unreadable"),
            "{}",
            finished.stdout
        );
    }
}

#[test]
fn quiet_prints_only_diagnostics() {
    let run = |flags: &[&str], file: &str| {
        let arguments = [&["validate", "--quiet"], flags, &["a.yaml"]].concat();
        tbot(Telemetry::ClosedPort, &arguments).file("a.yaml", file).run()
    };
    let valid = run(&[], VALID);
    assert_eq!((valid.status, valid.stdout.as_str(), valid.stderr.as_str()), (Some(0), "", ""));
    let invalid = run(&[], INVALID);
    assert_eq!(invalid.status, Some(3));
    insta::assert_snapshot!(invalid.stdout);
    // A program that reads JSON needs an object.
    assert!(serde_json::from_str::<Value>(&run(&["--format", "json"], VALID).stdout).is_ok());
}

#[test]
fn colours_depend_on_the_flag_and_on_variables() {
    let is_coloured = |flags: &[&str], variables: &[(&str, &str)]| {
        let arguments = [&["validate"], flags, &["a.yaml"]].concat();
        let run = tbot(Telemetry::ClosedPort, &arguments).file("a.yaml", INVALID);
        run.envs(variables).run().stdout.contains('\u{1b}')
    };
    assert!(!is_coloured(&[], &[]));
    assert!(is_coloured(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(is_coloured(&[], &[("FORCE_COLOR", "1")]));
    assert!(!is_coloured(&["--color", "never"], &[("FORCE_COLOR", "1")]));
    // Formats for programs never contain colours.
    assert!(!is_coloured(&["--color", "always", "--format", "github"], &[]));
}

#[test]
fn a_report_is_as_wide_as_the_variable_says() {
    let finished = tbot(Telemetry::ClosedPort, &["validate", "bad.yaml"])
        .file("bad.yaml", INVALID)
        .env("COLUMNS", "40")
        .run();
    assert!(finished.stdout.lines().all(|line| line.chars().count() <= 40), "{}", finished.stdout);
}

#[test]
fn a_dash_reads_standard_input() {
    let finished = tbot(Telemetry::ClosedPort, &["validate", "--format", "json", "-"]).stdin(INVALID).run();
    assert_eq!(finished.status, Some(3));
    assert_eq!(diagnostics(&finished), [("unknown-key".to_owned(), "standard input".to_owned(), Some(2))]);
}

#[test]
fn without_a_file_the_configured_one_or_the_default_is_checked() {
    use base64::Engine as _;
    let invalid = base64::engine::general_purpose::STANDARD.encode(INVALID);
    let validate = |flags: &[&str]| {
        let arguments = [&["validate", "--format", "json"], flags].concat();
        tbot(Telemetry::ClosedPort, &arguments).file("bad.yaml", INVALID).file("good.yaml", VALID)
    };
    for (run, source) in [
        (validate(&["-c", "bad.yaml"]), "bad.yaml"),
        (validate(&[]).env("TBOT_CONFIG_PATH", "bad.yaml"), "bad.yaml"),
        (validate(&[]).env("TBOT_CONFIG", invalid), "TBOT_CONFIG"),
        (validate(&[]).file("tbot.yaml", INVALID), "tbot.yaml"),
    ] {
        let finished = run.run();
        assert_eq!(finished.status, Some(3), "{}", finished.stderr);
        assert_eq!(diagnostics(&finished), [("unknown-key".to_owned(), source.to_owned(), Some(2))]);
    }
    // A named file takes precedence over the variable, and the variable over the file in the working directory.
    for run in [
        validate(&["good.yaml"]).env("TBOT_CONFIG_PATH", "bad.yaml"),
        validate(&["-c", "good.yaml"]).file("tbot.yaml", INVALID),
        validate(&[]).env("TBOT_CONFIG_PATH", "good.yaml").file("tbot.yaml", INVALID),
    ] {
        let named = run.run();
        assert_eq!((named.status, diagnostics(&named)), (Some(0), vec![]));
    }
    let missing = validate(&["-c", "missing.yaml"]).run();
    let unreadable = ("unreadable".to_owned(), "missing.yaml".to_owned(), None);
    assert_eq!((missing.status, diagnostics(&missing)), (Some(2), vec![unreadable]));
    for flags in [&[][..], &["-c", "bad.yaml", "good.yaml"]] {
        let finished = validate(flags).run();
        assert_eq!(
            (finished.status, finished.stdout.as_str()),
            (Some(2), ""),
            "{flags:?}: {}",
            finished.stderr
        );
    }
}

#[test]
fn a_file_that_is_not_utf8_is_invalid_rather_than_unreadable() {
    let finished = tbot(Telemetry::ClosedPort, &["validate", "--format", "json", "-"]).stdin([0xff; 8]).run();
    assert_eq!(finished.status, Some(3), "{}", finished.stderr);
    assert_eq!(diagnostics(&finished).remove(0).0, "not-utf8");
}

#[test]
fn the_name_of_a_file_cannot_control_the_terminal_or_the_ci_system() {
    let name = "a\n::error::\u{1b}[2J\u{202e}.yaml";
    for format in ["human", "github"] {
        let finished = tbot(Telemetry::ClosedPort, &["validate", "--format", format, name]).run();
        assert_eq!(finished.status, Some(2));
        let output = finished.stdout + &finished.stderr;
        assert!(!output.contains(['\u{1b}', '\u{202e}']), "{output}");
        assert!(!output.lines().any(|line| line.starts_with("::error::")), "{output}");
    }
    let finished = tbot(Telemetry::ClosedPort, &["start", "-c", name]).run();
    assert_eq!((finished.status, finished.stderr.lines().count()), (Some(2), 1), "{}", finished.stderr);
}
