//! A file and what is wrong in it, in the order of the text. Depends on the renderers.

use std::collections::HashSet;
use std::fmt;

use super::{Diagnostic, Place, Severity, Source, github, human, json};
use crate::yaml::Span;

/// How to render.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// For people at a terminal.
    #[default]
    Human,
    /// One JSON object.
    Json,
    /// Workflow commands, one a line, which GitHub shows beside the change.
    Github,
}

/// One file and its diagnostics.
pub struct Report<'a> {
    source: &'a Source<'a>,
    located: Vec<Located>,
}

/// A diagnostic and where it is.
pub(super) struct Located {
    pub(super) diagnostic: Diagnostic,
    pub(super) span: Option<Span>,
}

impl<'a> Report<'a> {
    /// Sorts by position: the file as a whole first, inputs that are not in the file last. Of equal ones, one stays, also
    /// where aliases give one text several pointers.
    #[must_use]
    pub fn new(source: &'a Source<'a>, diagnostics: Vec<Diagnostic>) -> Self {
        let mut seen = HashSet::new();
        let mut located = Vec::new();
        for diagnostic in diagnostics {
            let span = source.locate(&diagnostic.place);
            let place = span.map_or_else(|| Err(diagnostic.place.clone()), Ok);
            if seen.insert((diagnostic.code, diagnostic.message.clone(), place)) {
                located.push(Located { span, diagnostic });
            }
        }
        located.sort_by_key(|one: &Located| {
            let is_input = matches!(one.diagnostic.place, Place::Input(_));
            (is_input, one.span.map(|span| (span.start.byte, span.end.byte)))
        });
        Self { source, located }
    }

    /// The file.
    #[must_use]
    pub const fn source(&self) -> &'a Source<'a> {
        self.source
    }

    /// The diagnostics, in order.
    pub fn diagnostics(&self) -> impl ExactSizeIterator<Item = &Diagnostic> {
        self.located.iter().map(|one| &one.diagnostic)
    }

    /// How many diagnostics there are of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    pub(super) fn located(&self) -> &[Located] {
        &self.located
    }
}

/// Writes the reports of a run, in the order given. `colour` is for [`Format::Human`] only.
///
/// # Errors
///
/// Only those of `out`.
pub fn render(out: &mut dyn fmt::Write, format: Format, colour: bool, reports: &[Report<'_>]) -> fmt::Result {
    match format {
        Format::Human => human::write(out, colour, reports),
        Format::Json => json::write(out, reports),
        Format::Github => github::write(out, reports),
    }
}

/// One line about a run, such as `2 errors and 1 warning in tbot.yaml`.
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
        [report] => format!("{found} in {}", human::clean(report.source().name())),
        many => format!("{found} in {}", counted(many.len(), "file")),
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
