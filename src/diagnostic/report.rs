//! A file and its diagnostics, sorted by position. Depends on `source_file`.

use std::collections::HashSet;

use super::code::{Code, Severity};
use super::source_file::SourceFile;
use super::{Diagnostic, Target};
use crate::yaml::Span;

/// The maximum number of diagnostics of a file that are shown. A file with more has a common cause for them.
pub(crate) const MAX_SHOWN: usize = 1_000;

/// A file and its diagnostics, sorted by position.
pub struct Report<'a> {
    source: &'a SourceFile<'a>,
    /// At most [`MAX_SHOWN`] diagnostics.
    located: Vec<LocatedDiagnostic>,
    /// The severities of the other diagnostics.
    omitted: Vec<Severity>,
    is_supported: bool,
}

/// A diagnostic and its position in the file, if it has one.
pub(super) struct LocatedDiagnostic {
    pub(super) diagnostic: Diagnostic,
    pub(super) span: Option<Span>,
}

impl<'a> Report<'a> {
    /// Sorts the diagnostics by position. Errors of the file as a whole come first, and its warnings and notes after those that have
    /// a position; those of overrides come last. Removes duplicates, such as those of an aliased value, to which several pointers
    /// lead. Keeps the 1,000 most severe, of equally severe ones those that come first in `diagnostics`, and counts the others.
    #[must_use]
    pub fn new(source: &'a SourceFile<'a>, diagnostics: Vec<Diagnostic>) -> Self {
        let mut seen = HashSet::new();
        let mut located = Vec::new();
        for diagnostic in diagnostics {
            let span = source.locate(&diagnostic.target);
            let position = span.ok_or_else(|| diagnostic.target.clone());
            if seen.insert((diagnostic.code, diagnostic.message.clone(), position)) {
                located.push(LocatedDiagnostic { diagnostic, span });
            }
        }
        let is_supported = located.iter().all(|located| located.diagnostic.code != Code::NotSupported);
        if located.len() > MAX_SHOWN {
            located.sort_by_key(|located| located.diagnostic.severity);
        }
        let omitted = located.split_off(located.len().min(MAX_SHOWN));
        let omitted = omitted.iter().map(|located| located.diagnostic.severity).collect();
        located.sort_by_key(|LocatedDiagnostic { diagnostic, span }| {
            let group = match (&diagnostic.target, span) {
                (Target::Override(_), _) => 3,
                (_, Some(_)) => 1,
                (_, None) if diagnostic.severity == Severity::Error => 0,
                (_, None) => 2,
            };
            (group, span.map(|span| (span.start.byte, span.end.byte)))
        });
        Self { source, located, omitted, is_supported }
    }

    /// Returns the file.
    #[must_use]
    pub const fn source(&self) -> &'a SourceFile<'a> {
        self.source
    }

    /// Iterates over the diagnostics that are shown, in order.
    pub fn diagnostics(&self) -> impl ExactSizeIterator<Item = &Diagnostic> {
        self.located.iter().map(|located| &located.diagnostic)
    }

    /// Returns the number of diagnostics of a severity, including those that are not shown.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let shown = self.diagnostics().map(|diagnostic| diagnostic.severity);
        shown.chain(self.omitted.iter().copied()).filter(|found| *found == severity).count()
    }

    /// Returns the number of diagnostics that are not shown.
    #[must_use]
    pub const fn omitted(&self) -> usize {
        self.omitted.len()
    }

    /// Returns whether the file has no errors.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    /// Returns whether this version of tbot can run everything in the file.
    #[must_use]
    pub const fn is_supported(&self) -> bool {
        self.is_supported
    }

    pub(super) fn located(&self) -> &[LocatedDiagnostic] {
        &self.located
    }
}
