//! The fuzz target `configuration`: any file is loaded or reported. Its diagnostics are about places inside it, are rendered in
//! every format, and do not contain its secrets. What can be started with has an event, and stays the same when written again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tbot::config::{LoadOptions, LoadOutcome, ProcessContext, Purpose, load};
use tbot::diagnostic::{
    Code, Diagnostic, Report, ReportFormat, Severity, SourceFile, Terminal, render, summary,
};
use tbot::event::{BuildContext, BuiltEvent};
use tbot::untrusted::is_printable;
use tbot::yaml;

/// A token in the inputs of the corpus, which no report may contain.
const CANARY: &str = "c0ffee5ec4e7c0ffee5ec4e7c0ffee00";

fn load_for(text: &str, purpose: Purpose) -> LoadOutcome {
    let process = ProcessContext {
        working_directory: PathBuf::from("/work"),
        pod_namespace: None,
        resolve_links: None,
    };
    load(Some(text), &[], LoadOptions { purpose, process: Some(process) })
}

/// Checks every diagnostic of a file and its reports.
fn check_report(text: &str, outcome: &LoadOutcome) {
    let disclosure = outcome.disclosure();
    let source = SourceFile::new("tbot.yaml", text, &disclosure);
    for diagnostic in &outcome.diagnostics {
        let message = &diagnostic.message;
        assert!(!message.is_empty() && message.chars().all(is_printable), "{diagnostic:?}");
        let targets = [Some(&diagnostic.target), diagnostic.related.as_ref().map(|(_, target)| target)];
        for span in targets.into_iter().flatten().filter_map(|target| source.locate(target)) {
            assert!(text.get(span.start.byte..span.end.byte).is_some(), "{diagnostic:?}");
        }
    }
    let reports = [Report::new(&source, outcome.diagnostics.clone())];
    let rendered = |format, colour, columns| {
        let mut out = String::new();
        render(&mut out, format, Terminal { colour, columns }, &reports).unwrap();
        assert!(!out.contains(CANARY), "{out}");
        out
    };
    for columns in [20, 80] {
        let report = rendered(ReportFormat::Human, false, columns);
        assert!(report.chars().all(|shown| shown == '\n' || is_printable(shown)), "{report:?}");
        rendered(ReportFormat::Human, true, columns);
    }
    for format in [ReportFormat::Json, ReportFormat::Sarif] {
        let report = rendered(format, false, 80);
        assert!(report.is_empty() || serde_json::from_str::<Value>(&report).is_ok(), "{report}");
    }
    rendered(ReportFormat::Github, false, 80);
    assert!(!summary(&reports).is_empty());
}

/// Checks that the configuration has an event, and is the same after it was written.
fn check_effective(outcome: &LoadOutcome) {
    let Some(effective) = &outcome.effective else { return };
    let context = BuildContext { version: "1.2.3", environment: &|_| None };
    let event = BuiltEvent::for_config(effective, context).unwrap();
    assert!(event.request_body("00000000-0000-4000-8000-000000000000").unwrap().is_object());
    // The effective configuration has the parts of a join URI twice.
    if effective.value().get("join_uri").is_none()
        && let Ok(text) = yaml::emit(effective.value())
    {
        let again = load_for(&text, Purpose::Start).effective;
        assert_eq!(again.as_ref().map(|again| again.value()), Some(effective.value()), "{text}");
    }
}

#[test]
fn any_file_is_loaded_or_reported() {
    let files = tbot_fuzz::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"), "yaml");
    tbot_fuzz::fuzz("configuration", files, |bytes| {
        let text = match yaml::decode(bytes) {
            Ok(text) => text,
            Err(problem) => return BTreeSet::from([Diagnostic::from(problem).code]),
        };
        let outcomes = [Purpose::Validate, Purpose::Start].map(|purpose| load_for(&text, purpose));
        let is_error = |diagnostic: &Diagnostic| diagnostic.severity == Severity::Error;
        for outcome in &outcomes {
            assert_eq!(outcome.effective.is_none(), outcome.diagnostics.iter().any(is_error));
            check_report(&text, outcome);
        }
        let [validated, started] = &outcomes;
        assert!(validated.effective.is_some() || started.effective.is_none(), "valid only to start with");
        check_effective(started);
        started.diagnostics.iter().map(|diagnostic| diagnostic.code).collect::<BTreeSet<Code>>()
    });
}
