//! `tbot validate`: several files, standard input, formats, statuses. What is wrong in a file is the library's tests' matter.

use super::run::{Telemetry, tbot};

const GOOD: &str = "version: v2\n";
const BAD: &str = "version: v2\nonbording: {}\n";
const OLD: &str = "version: v2\ncertificate_ttl: 1h\n";

#[test]
fn a_good_file_is_0() {
    let ended = tbot(Telemetry::Nowhere, &["validate", "good.yaml"]).file("good.yaml", GOOD).end();
    assert_eq!(ended.status, Some(0));
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("no problems in good.yaml\n", ""));
}

#[test]
fn a_bad_file_is_3_in_every_format() {
    for format in ["human", "json", "github"] {
        let ended = tbot(Telemetry::Nowhere, &["validate", "--format", format, "good.yaml", "bad.yaml"])
            .file("good.yaml", GOOD)
            .file("bad.yaml", BAD)
            .end();
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(3), ""));
        insta::assert_snapshot!(format, ended.stdout);
    }
}

#[test]
fn a_warning_fails_only_where_that_is_asked_for() {
    for (arguments, status) in
        [(&["validate", "old.yaml"][..], 0), (&["validate", "--strict", "old.yaml"], 3)]
    {
        let ended = tbot(Telemetry::Nowhere, arguments).file("old.yaml", OLD).end();
        assert_eq!(ended.status, Some(status), "{}", ended.stdout);
        assert!(ended.stdout.contains("warning[deprecated]"), "{}", ended.stdout);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_2_and_the_others_are_checked() {
    let ended =
        tbot(Telemetry::Nowhere, &["validate", "missing.yaml", "bad.yaml"]).file("bad.yaml", BAD).end();
    assert_eq!(ended.status, Some(2));
    assert!(ended.stderr.starts_with("error: cannot read missing.yaml: No such file"), "{}", ended.stderr);
    assert!(ended.stdout.contains("error[unknown-key]"), "{}", ended.stdout);
}

#[test]
fn standard_input_is_a_file() {
    let ended = tbot(Telemetry::Nowhere, &["validate", "-"]).input(BAD).end();
    assert_eq!(ended.status, Some(3));
    assert!(ended.stdout.contains("--> standard input:2:1"), "{}", ended.stdout);
}

#[test]
fn what_is_no_text_is_invalid_and_not_unreadable() {
    let ended = tbot(Telemetry::Nowhere, &["validate", "-"]).input([0xff; 8]).end();
    assert_eq!(ended.status, Some(3), "{}", ended.stderr);
    assert!(ended.stdout.contains("error[not-utf8]"), "{}", ended.stdout);
}
