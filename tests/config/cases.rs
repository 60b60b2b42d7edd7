//! The diagnostics of a file. Each directory under `tests/cases/validate` is one case: it is named after the rule, and
//! contains a file and the snapshots of its report.

use std::fs;
use std::path::{Path, PathBuf};

use tbot::config::{LoadOptions, ProcessContext, Purpose, load};
use tbot::diagnostic::{
    Code, Diagnostic, Report, ReportFormat, Severity, SourceFile, Terminal, render, summary,
};
use tbot::yaml;

/// The cases that also have snapshots of the JSON and GitHub formats.
const OTHER_FORMATS: [&str; 4] =
    ["destination-shared", "join-uri-conflict", "top-level-unknown-key", "version-1-templates"];

/// Loads a file with the given contents and renders its report. Asserts that there is an effective configuration
/// exactly if there is no error.
pub(crate) fn load_and_render(bytes: &[u8], purpose: Purpose, format: ReportFormat) -> String {
    load_and_render_some(bytes, purpose, format, |_| true)
}

fn load_and_render_some(
    bytes: &[u8],
    purpose: Purpose,
    format: ReportFormat,
    is_shown: impl Fn(&Diagnostic) -> bool,
) -> String {
    let process = ProcessContext {
        working_directory: PathBuf::from("/work"),
        pod_namespace: None,
        resolve_links: None,
    };
    let outcome = load(Some(bytes), &[], LoadOptions { purpose, process: Some(process) });
    let disclosure = outcome.disclosure();
    let has_errors = outcome.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(
        outcome.effective.is_none(),
        has_errors,
        "an effective configuration exactly if there is no error"
    );
    let shown = outcome.diagnostics.into_iter().filter(is_shown).collect();
    let text = yaml::decode(bytes).unwrap_or_default();
    render_report(&SourceFile::new("tbot.yaml", &*text, &disclosure), shown, format)
}

fn render_report<'a>(
    source: &'a SourceFile<'a>,
    diagnostics: Vec<Diagnostic>,
    format: ReportFormat,
) -> String {
    let report = Report::new(source, diagnostics);
    let reports = [report];
    let mut out = String::new();
    // Messages are not wrapped, so that a changed one is a single line of a diff.
    render(&mut out, format, Terminal { colour: false, columns: 1_000 }, &reports).unwrap();
    if format == ReportFormat::Human {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&summary(&reports));
        out.push('\n');
    }
    out
}

/// Returns whether a diagnostic only says that a part of the configuration is missing, or that nothing is delivered. Most cases
/// contain nothing but what their rule needs.
fn is_about_a_missing_part(diagnostic: &Diagnostic) -> bool {
    diagnostic.severity == Severity::Note
        && matches!(
            diagnostic.code,
            Code::MissingAddress | Code::MissingJoinMethod | Code::MissingToken | Code::NothingToDeliver
        )
}

fn cases_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/validate")
}

#[test]
fn every_case_matches_its_snapshots() {
    insta::glob!("../cases/validate", "*/tbot.yaml", |path| {
        let case = path.parent().unwrap();
        let name = case.file_name().unwrap().to_str().unwrap();
        // The name of a case for a rule that applies only to `tbot start` begins with `start-`.
        let purpose = if name.starts_with("start-") { Purpose::Start } else { Purpose::Validate };
        let shows_missing_parts = name.starts_with("incomplete");
        let is_shown = |diagnostic: &Diagnostic| shows_missing_parts || !is_about_a_missing_part(diagnostic);
        let bytes = fs::read(path).unwrap();
        let rendered = |format| load_and_render_some(&bytes, purpose, format, is_shown);
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(case);
        settings.set_prepend_module_to_snapshot(false);
        settings.remove_snapshot_suffix();
        settings.remove_input_file();
        settings.set_omit_expression(true);
        settings.bind(|| {
            insta::assert_snapshot!("human", rendered(ReportFormat::Human));
            if OTHER_FORMATS.contains(&name) {
                insta::assert_snapshot!("json", rendered(ReportFormat::Json));
                insta::assert_snapshot!("github", rendered(ReportFormat::Github));
            }
        });
    });
    for name in OTHER_FORMATS {
        assert!(cases_directory().join(name).is_dir(), "there is no case {name}");
    }
}

#[test]
fn every_code_has_a_case() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cases = fs::read_dir(cases_directory()).unwrap().map(|case| case.unwrap().path().join("human.snap"));
    let malformed =
        fs::read_dir(root.join("tests/config/snapshots")).unwrap().map(|file| file.unwrap().path());
    let snapshots: Vec<String> =
        cases.chain(malformed).map(|path| fs::read_to_string(path).unwrap()).collect();
    let is_shown = |code: &&Code| snapshots.iter().any(|snapshot| snapshot.contains(&format!("[{code}]: ")));
    // Only the program, which reads the files, reports that one cannot be read.
    let missing: Vec<&Code> =
        Code::ALL.iter().filter(|code| **code != Code::Unreadable && !is_shown(code)).collect();
    assert!(
        missing.is_empty(),
        "add cases with {missing:?} to tests/cases/validate: each is a directory with a tbot.yaml"
    );
}
