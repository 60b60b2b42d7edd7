//! `tbot explain`, and the examples of every code: the failing one is reported with the code, the fixed one is not reported.

use std::collections::BTreeSet;

use serde_json::Value;
use tbot::diagnostic::{Code, Example, ExampleKind};

use super::fixture::{Telemetry, tbot};

/// The codes that `tbot validate` reports for an example.
fn codes(example: &Example) -> BTreeSet<String> {
    let run = tbot(Telemetry::ClosedPort, &["validate", "--format", "json", "tbot.yaml"]);
    let run = match example.kind {
        ExampleKind::File => run.file("tbot.yaml", example.text),
        ExampleKind::Commands => {
            let mut shell = std::process::Command::new("sh");
            let status = shell.args(["-ec", example.text]).current_dir(run.path()).status().unwrap();
            assert!(status.success(), "{}", example.text);
            run
        }
    };
    let finished = run.run();
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    let diagnostics = report["diagnostics"].as_array().unwrap().iter();
    diagnostics.map(|diagnostic| diagnostic["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_failing_example_is_reported_with_its_code() {
    for code in Code::ALL {
        let found = codes(&code.explanation().failing);
        assert!(found.contains(code.name()), "{code}: {found:?}");
    }
}

#[test]
fn nothing_is_reported_for_a_fixed_example() {
    for code in Code::ALL {
        let mut found = codes(&code.explanation().fixed);
        // What this version cannot start may be needed to show a code, and is not a mistake.
        if *code != Code::NotSupported {
            found.remove(Code::NotSupported.name());
        }
        assert!(found.is_empty(), "{code}: {found:?}");
    }
}

#[test]
fn a_code_is_explained() {
    let finished = tbot(Telemetry::ClosedPort, &["explain", "same-destination"]).run();
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(finished.stdout);
}

#[test]
fn without_a_code_all_are_listed() {
    let finished = tbot(Telemetry::ClosedPort, &["explain"]).run();
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
    for code in Code::ALL {
        assert!(finished.stdout.contains(&format!("  {code} ")), "{code}");
    }
}

#[test]
fn an_unknown_code_is_corrected() {
    let finished = tbot(Telemetry::ClosedPort, &["explain", "unknown-keys"]).run();
    assert_eq!((finished.status, finished.stdout.as_str()), (Some(2), ""));
    insta::assert_snapshot!(finished.stderr);
    let finished = tbot(Telemetry::ClosedPort, &["explain", "frob"]).run();
    assert_eq!((finished.status, finished.stdout.as_str()), (Some(2), ""));
    insta::assert_snapshot!(finished.stderr);
}
