//! Reports the diagnostics of configurations: as text for people and programs, or one by one for the log.

use tbot::diagnostic::{
    self, Diagnostic, Disclosure, Report, ReportFormat, Severity, SourceFile, Target, Terminal, footer,
    summary,
};
use tbot::untrusted::escape;

use super::Configuration;
use crate::context::Context;
use crate::exit::{ExitStatus, Failure};

/// The rendered diagnostics of one or more configurations.
pub(crate) struct RenderedReport {
    pub(crate) text: String,
    /// Explanations that apply to the whole text, for people.
    footer: String,
    /// The number of errors and warnings, in one line.
    pub(crate) summary: String,
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
}

impl RenderedReport {
    /// Returns what people read after the text: what explains it as a whole, and a last line.
    pub(crate) fn conclusion(&self, last_line: &str) -> String {
        let gap = |text: &str| if text.is_empty() { "" } else { "\n" };
        format!("{}{}{}{last_line}\n", gap(&self.text), self.footer, gap(&self.footer))
    }
}

/// Renders all diagnostics, in the order of the configurations. `terminal` applies only to [`ReportFormat::Human`].
pub(crate) fn render(
    configurations: &[Configuration],
    format: ReportFormat,
    terminal: Terminal,
) -> RenderedReport {
    let disclosures: Vec<Box<dyn Disclosure>> = configurations
        .iter()
        .map(|configuration| -> Box<dyn Disclosure> {
            // Without diagnostics nothing is shown, so the schema need not be parsed.
            match configuration.loaded.diagnostics.is_empty() {
                true => Box::new(|_: &str| None),
                false => Box::new(configuration.loaded.disclosure()),
            }
        })
        .collect();
    let sources: Vec<SourceFile<'_>> = configurations
        .iter()
        .zip(&disclosures)
        .map(|(configuration, disclosure)| {
            SourceFile::new(&configuration.name, &configuration.yaml, disclosure.as_ref())
        })
        .collect();
    let reports: Vec<Report<'_>> = configurations
        .iter()
        .zip(&sources)
        .map(|(configuration, source)| Report::new(source, configuration.loaded.diagnostics.clone()))
        .collect();
    let count = |severity| reports.iter().map(|report| report.count(severity)).sum();
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = diagnostic::render(&mut text, format, terminal, &reports);
    RenderedReport {
        footer: footer(&text, terminal, &reports),
        text,
        summary: summary(&reports),
        errors: count(Severity::Error),
        warnings: count(Severity::Warning),
    }
}

/// Reports an invalid configuration on standard error, and fails.
pub(crate) fn report_invalid(configuration: Configuration, cx: &mut Context<'_>) -> Result<(), Failure> {
    let report = render(&[configuration], ReportFormat::Human, cx.stderr_terminal());
    cx.stdout.flush()?;
    let conclusion = report.conclusion(&format!("error: invalid configuration: {}", report.summary));
    write!(cx.stderr, "{}{conclusion}", report.text)?;
    Err(Failure::Reported(ExitStatus::Invalid))
}

impl Configuration {
    /// Returns every diagnostic with its location, such as `tbot.yaml:4:3` or `--join-method`.
    pub(crate) fn located_diagnostics(&self) -> Vec<(&Diagnostic, String)> {
        if self.loaded.diagnostics.is_empty() {
            return Vec::new();
        }
        // No part of the YAML is shown here.
        let disclosure = |_: &str| None;
        let source = SourceFile::new(&self.name, &self.yaml, &disclosure);
        let name = escape(&self.name);
        let locate = |diagnostic: &Diagnostic| match (&diagnostic.target, source.locate(&diagnostic.target)) {
            (Target::Override(input), _) => input.clone(),
            (_, Some(span)) => format!("{name}:{}:{}", span.start.line, span.start.column),
            (_, None) => name.to_string(),
        };
        self.loaded.diagnostics.iter().map(|diagnostic| (diagnostic, locate(diagnostic))).collect()
    }
}
