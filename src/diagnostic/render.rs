//! Renders the reports of a run in one of the output formats. Depends on the renderers.

use std::fmt;

use super::code::Severity;
use super::report::Report;
use super::terminal::Terminal;
use super::{Diagnostic, Target, github, human, json, sarif};
use crate::untrusted::escape;
use crate::yaml::internal::MASK;

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ReportFormat {
    /// Text with excerpts of the file, for a terminal.
    #[default]
    Human,
    /// One JSON object.
    Json,
    /// Workflow commands, one per line, which GitHub shows as annotations of the change.
    Github,
    /// One SARIF log, which GitHub's code scanning and other tools import.
    Sarif,
}

/// Writes the reports of a run in the given order. `terminal` applies only to [`ReportFormat::Human`].
///
/// # Errors
///
/// Returns an error only if `out` does.
pub fn render(
    out: &mut dyn fmt::Write,
    format: ReportFormat,
    terminal: Terminal,
    reports: &[Report<'_>],
) -> fmt::Result {
    match format {
        ReportFormat::Human => human::write(out, terminal, reports),
        ReportFormat::Json => json::write(out, reports),
        ReportFormat::Github => github::write(out, reports),
        ReportFormat::Sarif => sarif::write(out, reports),
    }
}

/// Returns what explains a whole report in [`ReportFormat::Human`]: the meaning of masked values in `rendered`, which is the
/// text of the report, and how to learn more about its codes, such as that of the first error. Empty if there is nothing to explain.
#[must_use]
pub fn footer(rendered: &str, terminal: Terminal, reports: &[Report<'_>]) -> String {
    let mut footer = String::new();
    if rendered.contains(MASK) {
        let note = format!("`{MASK}` hides a value that may be a secret or an identifier");
        footer += &(human::labelled(terminal, "note", &note) + "\n");
    }
    let diagnostics = || reports.iter().flat_map(Report::diagnostics);
    // Of equally severe ones, this is the first.
    if let Some(Diagnostic { code: first, .. }) = diagnostics().min_by_key(|diagnostic| diagnostic.severity) {
        let help = if diagnostics().all(|diagnostic| diagnostic.code == *first) {
            format!("run `tbot explain {first}` for the reason and an example")
        } else {
            format!("run `tbot explain CODE` for the reason and an example, such as `tbot explain {first}`")
        };
        footer += &(human::labelled(terminal, "help", &help) + "\n");
    }
    footer
}

/// Returns a one-line summary of a run, such as `2 errors and 1 warning in tbot.yaml`. Says so if there are valid files
/// that this version of tbot cannot start.
#[must_use]
pub fn summary(reports: &[Report<'_>]) -> String {
    let counts = [Severity::Error, Severity::Warning, Severity::Note].into_iter().filter_map(|severity| {
        let count: usize = reports.iter().map(|report| report.count(severity)).sum();
        (count > 0).then(|| counted(count, severity.name()))
    });
    let found = match counts.collect::<Vec<_>>().as_slice() {
        [] => "no problems".to_owned(),
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        [only, ..] => only.clone(),
    };
    let omitted: usize = reports.iter().map(Report::omitted).sum();
    let limit = match omitted {
        0 => String::new(),
        _ => format!("; {omitted} of them are not shown"),
    };
    let valid_only = reports.iter().filter(|report| report.is_valid() && !report.is_supported()).count();
    match reports {
        [] => found,
        [report] => {
            let mut targets = report.diagnostics().map(|diagnostic| &diagnostic.target).peekable();
            let is_about_file =
                targets.peek().is_none() || !targets.all(|target| matches!(target, Target::Override(_)));
            let name = escape(if is_about_file { report.source().name() } else { "flags and variables" });
            match valid_only {
                0 => format!("{found} in {name}{limit}"),
                _ => format!("{found} in {name}{limit}: valid, but this version of tbot cannot start it"),
            }
        }
        many => {
            let files = counted(many.len(), "file");
            match valid_only {
                0 => format!("{found} in {files}{limit}"),
                _ => format!(
                    "{found} in {files}{limit}; this version of tbot cannot start {valid_only} of the valid ones"
                ),
            }
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
