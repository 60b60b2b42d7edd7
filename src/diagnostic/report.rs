//! A file and its diagnostics, sorted by position. Depends on `source_file`.

use std::collections::HashSet;

use super::code::{Code, Severity};
use super::source_file::SourceFile;
use super::{Diagnostic, Target};
use crate::yaml::Span;

/// A file and its diagnostics, sorted by position.
pub struct Report<'a> {
    source: &'a SourceFile<'a>,
    located: Vec<LocatedDiagnostic>,
}

/// A diagnostic and its position in the file, if it has one.
pub(super) struct LocatedDiagnostic {
    pub(super) diagnostic: Diagnostic,
    pub(super) span: Option<Span>,
}

impl<'a> Report<'a> {
    /// Sorts the diagnostics by position, after those of the file as a whole and before those of overrides. Removes
    /// duplicates, such as those of an aliased value, to which several pointers lead.
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
        located.sort_by_key(|LocatedDiagnostic { diagnostic, span }| {
            let is_override = matches!(diagnostic.target, Target::Override(_));
            (is_override, span.map(|span| (span.start.byte, span.end.byte)))
        });
        Self { source, located }
    }

    /// Returns the file.
    #[must_use]
    pub const fn source(&self) -> &'a SourceFile<'a> {
        self.source
    }

    /// Iterates over the diagnostics, in order.
    pub fn diagnostics(&self) -> impl ExactSizeIterator<Item = &Diagnostic> {
        self.located.iter().map(|located| &located.diagnostic)
    }

    /// Returns the number of diagnostics of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// Returns whether the file has no errors.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    /// Returns whether this version of tbot can run everything in the file.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        self.diagnostics().all(|diagnostic| diagnostic.code != Code::NotSupported)
    }

    pub(super) fn located(&self) -> &[LocatedDiagnostic] {
        &self.located
    }
}
