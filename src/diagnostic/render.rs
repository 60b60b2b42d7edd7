//! Renders the reports of a run in one of the output formats. Depends on the renderers.

use std::fmt;

use super::code::Severity;
use super::report::Report;
use super::terminal::sanitize;
use super::{github, human, json};

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
}

/// Writes the reports of a run in the given order. `colour` applies only to [`ReportFormat::Human`].
///
/// # Errors
///
/// Returns an error only if `out` does.
pub fn render(
    out: &mut dyn fmt::Write,
    format: ReportFormat,
    colour: bool,
    reports: &[Report<'_>],
) -> fmt::Result {
    match format {
        ReportFormat::Human => human::write(out, colour, reports),
        ReportFormat::Json => json::write(out, reports),
        ReportFormat::Github => github::write(out, reports),
    }
}

/// Returns a one-line summary of a run, such as `2 errors and 1 warning in tbot.yaml`.
#[must_use]
pub fn summary(reports: &[Report<'_>]) -> String {
    let errors: usize = reports.iter().map(|report| report.count(Severity::Error)).sum();
    let warnings: usize = reports.iter().map(|report| report.count(Severity::Warning)).sum();
    let found = match (errors, warnings) {
        (0, 0) => "no problems".to_owned(),
        (errors, 0) => counted(errors, "error"),
        (0, warnings) => counted(warnings, "warning"),
        (errors, warnings) => format!("{} and {}", counted(errors, "error"), counted(warnings, "warning")),
    };
    match reports {
        [] => found,
        [report] => format!("{found} in {}", sanitize(report.source().name())),
        many => format!("{found} in {}", counted(many.len(), "file")),
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
