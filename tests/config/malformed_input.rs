//! Malformed and oversized files. Each is reported clearly, in bounded time and memory.

use std::fmt::Write as _;

use tbot::config::{Purpose, load};
use tbot::diagnostic::{Code, Diagnostic, Report, ReportFormat, Severity, SourceFile};
use tbot::yaml::{self, MAX_BYTES};

use crate::cases::load_and_render;

fn rendered_report(contents: &str) -> String {
    load_and_render(contents.as_bytes(), Purpose::Validate, ReportFormat::Human)
}

/// Returns a file with `count` outputs. Each is the line `output`, with `N` replaced by its number.
fn file_with_outputs(count: usize, output: &str) -> String {
    let mut text = "version: v2\noutputs:\n".to_owned();
    for number in 0..count {
        writeln!(text, "{}", output.replace('N', &number.to_string())).unwrap();
    }
    text
}

#[test]
fn a_file_of_ten_megabytes_is_rejected() {
    let text = format!("version: v2\n{}", "# padding\n".repeat(1 << 20));
    insta::assert_snapshot!("ten_megabytes", rendered_report(&text));
}

#[test]
fn ten_thousand_outputs_are_accepted() {
    let text =
        file_with_outputs(10_000, "  - {type: identity, destination: {type: directory, path: /opt/N}}");
    let loaded = load(Some(&text), &[], Purpose::Validate);
    assert!(loaded.diagnostics.iter().all(|diagnostic| diagnostic.severity == Severity::Note));
    assert_eq!(loaded.effective.unwrap().config().services().count(), 10_000);
}

#[test]
fn ten_thousand_invalid_outputs_are_all_reported() {
    // The first has one structural error per output. In the second, every output has the destination and the name of
    // the first one.
    for (output, expected) in [
        ("  - {type: identity, cluser: leaf-N, destination: {type: memory}}", 10_000),
        ("  - {type: identity, name: same, destination: {type: directory, path: /opt}}", 2 * 9_999),
    ] {
        let outcome = load(Some(&file_with_outputs(10_000, output)), &[], Purpose::Validate);
        let is_problem = |diagnostic: &&Diagnostic| diagnostic.severity != Severity::Note;
        assert_eq!(outcome.diagnostics.iter().filter(is_problem).count(), expected);
        // The report grows in proportion to the number of outputs.
        let report_len = |count| rendered_report(&file_with_outputs(count, output)).len();
        let (few, many) = (report_len(50), report_len(500));
        assert!(many < 11 * few, "{few} bytes for 50, {many} for 500");
    }
}

#[test]
fn a_file_with_too_many_values_is_rejected() {
    let text = format!("version: v2\nservices: [{}]\n", "1,".repeat(yaml::MAX_NODES + 1));
    assert!(text.len() < MAX_BYTES);
    insta::assert_snapshot!("too_many_values", rendered_report(&text));
}

#[test]
fn exponential_aliases_are_rejected() {
    let mut text = "version: v2\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = format!("*a{}, ", level - 1).repeat(10);
        writeln!(text, "a{level}: &a{level} [{}]", inner.trim_end_matches(", ")).unwrap();
    }
    insta::assert_snapshot!("aliases_of_aliases", rendered_report(&text));
}

#[test]
fn a_long_line_is_truncated_in_the_report() {
    let text = format!("version: v2\nproxy_server: {}\nwidget: 1\n", "a".repeat(1 << 20));
    insta::assert_snapshot!("a_long_line", rendered_report(&text));
}

#[test]
fn a_long_key_is_hidden_in_the_report() {
    let text = format!("version: v2\n{}: 1\n", "a".repeat(1000));
    insta::assert_snapshot!("a_long_key", rendered_report(&text));
}

#[test]
fn a_million_unclosed_brackets_are_rejected() {
    insta::assert_snapshot!("unclosed_brackets", rendered_report(&"[".repeat(1 << 20)));
}

#[test]
fn hints_are_computed_only_for_the_diagnostics_of_a_report() {
    const SHOWN: usize = 1_000;
    let kinds = [
        // An unknown key, an unknown value, a missing key, and a wrong type in each output.
        "  - {type: identity, cluser: leaf-N, destination: {type: memory}}",
        "  - {type: identiti, destination: {type: memory}}",
        "  - {type: identity, name: output-N}",
        "  - {type: identity, name: N, destination: {type: memory}}",
    ];
    let many_keys = (0..3 * SHOWN).map(|number| format!("unknown-{number}: 1\n")).collect::<String>();
    let files = kinds.map(|output| file_with_outputs(3 * SHOWN, output));
    for text in files.into_iter().chain([format!("version: v2\n{many_keys}")]) {
        let outcome = load(Some(&text), &[], Purpose::Validate);
        let is_error = |diagnostic: &&Diagnostic| diagnostic.severity == Severity::Error;
        let errors: Vec<_> = outcome.diagnostics.iter().filter(is_error).collect();
        assert_eq!(errors.len(), 3 * SHOWN, "{:?}", errors.first());
        assert_eq!(errors.iter().filter(|error| error.help.is_some()).count(), SHOWN, "{:?}", errors.first());
        let disclosure = outcome.disclosure();
        let source = SourceFile::new("tbot.yaml", &text, &disclosure);
        let report = Report::new(&source, outcome.diagnostics);
        assert!(report.diagnostics().all(|diagnostic| diagnostic.help.is_some()));
        assert_eq!(report.count(Severity::Error), 3 * SHOWN);
    }
}

#[test]
fn many_notes_hide_neither_an_error_nor_that_a_file_is_not_supported() {
    let deprecated =
        "  - {type: identity, certificate_ttl: 1h, renewal_interval: 20m, destination: {type: memory}}";
    let unsupported = "  - {type: identity/key-agent, destination: {type: directory, path: /opt/N}}\n";
    for (last, code) in [("fipss: true\n", Code::UnknownKey), ("fips: true\n", Code::NotSupported)] {
        let text = file_with_outputs(1_500, deprecated) + unsupported + last;
        let outcome = load(Some(&text), &[], Purpose::Validate);
        let disclosure = outcome.disclosure();
        let source = SourceFile::new("tbot.yaml", &text, &disclosure);
        let report = Report::new(&source, outcome.diagnostics);
        assert!(report.omitted() > 0 && !report.is_supported());
        assert!(report.diagnostics().any(|diagnostic| diagnostic.code == code), "{code}");
    }
}

#[test]
fn the_contents_of_a_file_are_decoded() {
    let codes = |contents: &[u8]| {
        let outcome = load(Some(contents), &[], Purpose::Validate);
        let codes: Vec<Code> = outcome.diagnostics.iter().map(|found| found.code).collect();
        (codes, outcome.effective.is_some())
    };
    assert_eq!(codes("\u{feff}version: v2\n".as_bytes()), codes(b"version: v2\n"));
    assert!(codes(b"version: v2\n").1);
    let utf_16: Vec<u8> = "\u{feff}version: v2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(codes(&utf_16), codes(b"version: v2\n"));
    assert_eq!(codes(&utf_16[..utf_16.len() - 1]), (vec![Code::NotUtf8], false));
    assert_eq!(codes(b"version: v2\0"), (vec![Code::BinaryFile], false));
    assert_eq!(codes(&vec![b' '; MAX_BYTES + 1]), (vec![Code::FileTooLarge], false));

    // Excerpts of the same bytes show what the diagnostics refer to.
    let file = "\u{feff}version: v2\nserivces: []\n".as_bytes();
    let outcome = load(Some(file), &[], Purpose::Validate);
    let disclosure = outcome.disclosure();
    let source = SourceFile::new("tbot.yaml", file, &disclosure);
    let span = source.locate(&outcome.diagnostics[0].target).unwrap();
    assert_eq!(&source.text()[span.start.byte..span.end.byte], "serivces");
}
