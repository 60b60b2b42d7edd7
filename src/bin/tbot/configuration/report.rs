//! Reports the diagnostics of configurations: as text for people and programs, or one by one for the log.

use std::collections::HashSet;

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

/// The diagnostics of a configuration, and what is needed to show them.
pub(crate) struct ConfigurationDiagnostics {
    name: String,
    diagnostics: Vec<Diagnostic>,
    /// The text of the file. Empty without diagnostics, because nothing is shown then.
    yaml: String,
    disclosure: Box<dyn Disclosure>,
}

impl From<Configuration> for ConfigurationDiagnostics {
    fn from(Configuration { name, yaml, loaded, .. }: Configuration) -> Self {
        if loaded.diagnostics.is_empty() {
            // The schema is not needed, and need not be parsed.
            return Self {
                name,
                diagnostics: Vec::new(),
                yaml: String::new(),
                disclosure: Box::new(|_: &str| None),
            };
        }
        let disclosure = Box::new(loaded.disclosure());
        Self { name, diagnostics: loaded.diagnostics, yaml, disclosure }
    }
}

/// Renders all diagnostics, in the order of the configurations. `terminal` applies only to [`ReportFormat::Human`].
pub(crate) fn render(
    configurations: &[ConfigurationDiagnostics],
    format: ReportFormat,
    terminal: Terminal,
) -> RenderedReport {
    let sources: Vec<SourceFile<'_>> = configurations
        .iter()
        .map(|one| SourceFile::new(&one.name, &one.yaml, one.disclosure.as_ref()))
        .collect();
    let reports: Vec<Report<'_>> = configurations
        .iter()
        .zip(&sources)
        .map(|(one, source)| Report::new(source, one.diagnostics.clone()))
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
    let report = render(&[configuration.into()], ReportFormat::Human, cx.stderr_terminal());
    cx.flush_stdout();
    let conclusion = report.conclusion(&format!("error: invalid configuration: {}", report.summary));
    write!(cx.stderr, "{}{conclusion}", report.text)?;
    Err(Failure::Reported(ExitStatus::Invalid))
}

/// Reports what `tbot validate` would report about a valid configuration on standard error, after what was written to standard output.
pub(crate) fn report_valid(configuration: Configuration, cx: &mut Context<'_>) -> Result<(), Failure> {
    let report = render(&[configuration.into()], ReportFormat::Human, cx.stderr_terminal());
    cx.flush_stdout();
    if !report.text.is_empty() {
        write!(cx.stderr, "{}{}", report.text, report.conclusion(&report.summary))?;
    }
    Ok(())
}

impl Configuration {
    /// Returns every diagnostic with its location, such as `tbot.yaml:4:3` or `--join-method`, without duplicates.
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
        let located = self.loaded.diagnostics.iter().map(|diagnostic| (diagnostic, locate(diagnostic)));
        let mut seen = HashSet::new();
        let is_new = |(diagnostic, place): &(&Diagnostic, String)| {
            seen.insert((diagnostic.code, diagnostic.message.clone(), place.clone()))
        };
        located.filter(is_new).collect()
    }
}
