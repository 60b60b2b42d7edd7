//! What is said of a file: a folder a case under `tests/cases/validate`, its name the rule, its snapshots beside it.

use std::fs;
use std::path::{Path, PathBuf};

use tbot::config::{Purpose, load};
use tbot::diagnostic::{Code, Diagnostic, Report, ReportFormat, Severity, SourceFile, render, summary};
use tbot::yaml;

/// Cases whose rendering for programs and for GitHub is kept too.
const OTHER_FORMATS: [&str; 4] =
    ["destination-twice", "join-uri-conflict", "top-level-unknown-key", "version-1-templates"];

/// What a run says of one file, its bytes as they are on disk.
pub(crate) fn said(bytes: &[u8], purpose: Purpose, format: ReportFormat) -> String {
    let (text, loaded) = match yaml::decode(bytes) {
        Ok(text) => (text, load(Some(text), &[], purpose)),
        Err(problem) => {
            let nothing = |_: &str| None;
            let source = SourceFile::new("tbot.yaml", "", &nothing);
            return shown(&source, vec![Diagnostic::from(problem)], format);
        }
    };
    let disclosure = loaded.disclosure();
    let has_errors = loaded.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(loaded.effective.is_none(), has_errors, "usable exactly without an error");
    shown(&SourceFile::new("tbot.yaml", text, &disclosure), loaded.diagnostics, format)
}

fn shown<'a>(source: &'a SourceFile<'a>, diagnostics: Vec<Diagnostic>, format: ReportFormat) -> String {
    let report = Report::new(source, diagnostics);
    let reports = [report];
    let mut out = String::new();
    render(&mut out, format, false, &reports).unwrap();
    if format == ReportFormat::Human {
        let gap = if out.is_empty() { "" } else { "\n" };
        out.push_str(gap);
        out.push_str(&summary(&reports));
        out.push('\n');
    }
    out
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/validate")
}

#[test]
fn every_case() {
    insta::glob!("../cases/validate", "*/tbot.yaml", |path| {
        let case = path.parent().unwrap();
        let name = case.file_name().unwrap().to_str().unwrap();
        // A rule of `tbot start` alone says so in its name.
        let purpose = if name.starts_with("start-") { Purpose::Start } else { Purpose::Validate };
        let bytes = fs::read(path).unwrap();
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(case);
        settings.set_prepend_module_to_snapshot(false);
        settings.remove_snapshot_suffix();
        settings.remove_input_file();
        settings.set_omit_expression(true);
        settings.bind(|| {
            insta::assert_snapshot!("human", said(&bytes, purpose, ReportFormat::Human));
            if OTHER_FORMATS.contains(&name) {
                insta::assert_snapshot!("json", said(&bytes, purpose, ReportFormat::Json));
                insta::assert_snapshot!("github", said(&bytes, purpose, ReportFormat::Github));
            }
        });
    });
    for name in OTHER_FORMATS {
        assert!(folder().join(name).is_dir(), "{name} is no case");
    }
}

#[test]
fn every_code_is_in_a_snapshot() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cases = fs::read_dir(folder()).unwrap().map(|case| case.unwrap().path().join("human.snap"));
    let hostile = fs::read_dir(root.join("tests/config/snapshots")).unwrap().map(|file| file.unwrap().path());
    let shown: Vec<String> = cases.chain(hostile).map(|path| fs::read_to_string(path).unwrap()).collect();
    let is_shown = |code: &&Code| shown.iter().any(|text| text.contains(&format!("[{code}]: ")));
    let missing: Vec<&Code> = Code::ALL.iter().filter(|code| !is_shown(code)).collect();
    assert!(missing.is_empty(), "no case shows {missing:?}");
}
