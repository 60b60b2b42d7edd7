//! Files that nobody writes by hand: each gets a clear answer, in bounded time and memory.

use std::fmt::Write as _;

use tbot::config::{Purpose, load};
use tbot::diagnostic::ReportFormat;
use tbot::yaml::{self, MAX_BYTES};

use crate::cases::said;

fn said_of(text: &str) -> String {
    said(text.as_bytes(), Purpose::Validate, ReportFormat::Human)
}

/// A file with as many outputs, each of these lines with its own number for `N`.
fn outputs(count: usize, output: &str) -> String {
    let mut text = "version: v2\noutputs:\n".to_owned();
    for number in 0..count {
        writeln!(text, "{}", output.replace('N', &number.to_string())).unwrap();
    }
    text
}

#[test]
fn ten_megabytes() {
    let text = format!("version: v2\n{}", "# padding\n".repeat(1 << 20));
    insta::assert_snapshot!("ten_megabytes", said_of(&text));
}

#[test]
fn ten_thousand_outputs() {
    let text = outputs(10_000, "  - {type: identity, destination: {type: directory, path: /opt/N}}");
    let loaded = load(yaml::decode(text.as_bytes()).ok(), &[], Purpose::Validate);
    assert_eq!(loaded.diagnostics, []);
    assert_eq!(loaded.effective.unwrap().config().services().count(), 10_000);
}

#[test]
fn ten_thousand_outputs_that_are_all_wrong() {
    // Structure: one mistake in each. Meaning: each writes where the first one does, and has its name.
    for (output, found) in [
        ("  - {type: identity, cluser: N, destination: {type: memory}}", 10_000),
        ("  - {type: identity, name: same, destination: {type: directory, path: /opt}}", 2 * 9_999),
    ] {
        let loaded = load(Some(&outputs(10_000, output)), &[], Purpose::Validate);
        assert_eq!(loaded.diagnostics.len(), found);
        // As much is said of the last one as of the first.
        let said_of = |count| said_of(&outputs(count, output)).len();
        let (few, many) = (said_of(50), said_of(500));
        assert!(many < 11 * few, "{few} bytes for 50, {many} for 500");
    }
}

#[test]
fn too_many_values() {
    let text = format!("version: v2\nservices: [{}]\n", "1,".repeat(yaml::MAX_NODES + 1));
    assert!(text.len() < MAX_BYTES);
    insta::assert_snapshot!("too_many_values", said_of(&text));
}

#[test]
fn aliases_of_aliases() {
    let mut text = "version: v2\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = format!("*a{}, ", level - 1).repeat(10);
        writeln!(text, "a{level}: &a{level} [{}]", inner.trim_end_matches(", ")).unwrap();
    }
    insta::assert_snapshot!("aliases_of_aliases", said_of(&text));
}

#[test]
fn a_long_line() {
    let text = format!("version: v2\nproxy_server: {}\nwidget: 1\n", "a".repeat(1 << 20));
    insta::assert_snapshot!("a_long_line", said_of(&text));
}

#[test]
fn a_long_key() {
    let text = format!("version: v2\n{}: 1\n", "a".repeat(1000));
    insta::assert_snapshot!("a_long_key", said_of(&text));
}

#[test]
fn brackets_without_end() {
    insta::assert_snapshot!("brackets_without_end", said_of(&"[".repeat(1 << 20)));
}
