//! Diagnostics: what is wrong in a configuration, where, and what to do; rendered for people, programs and GitHub. Depends
//! on `yaml` for positions. Must never print, and knows no key: it asks a [`Disclosure`] what may be shown.
//!
//! A diagnostic names a place and carries no text of the file but what its author put into the message; excerpts are made,
//! and masked, when it is rendered.

mod code;
mod excerpt;
mod github;
mod human;
mod json;
mod report;
mod source;
mod suggest;

#[cfg(test)]
mod tests;

pub use code::{Code, Judge, Severity};
pub use report::{Format, Report, render, summary};
pub use source::{Disclosure, Source, Visibility};
pub use suggest::suggest;

pub use crate::yaml::display_key;

use crate::pointer::Pointer;
use crate::yaml::{Problem, ProblemKind, Span};

/// What a diagnostic is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// The key of the value at this pointer.
    Key(Pointer),
    /// The value at this pointer.
    Value(Pointer),
    /// A range of the text.
    Span(Span),
    /// A flag or an environment variable, as the user writes it: `--join-method`, `TELEPORT_PROXY`.
    Input(String),
    /// The file as a whole.
    File,
}

impl Place {
    /// The pointer, if the place has one.
    #[must_use]
    pub const fn pointer(&self) -> Option<&Pointer> {
        match self {
            Self::Key(pointer) | Self::Value(pointer) => Some(pointer),
            Self::Span(_) | Self::Input(_) | Self::File => None,
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// What kind of thing.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: lower case, no full stop, never a value that may be a secret.
    pub message: String,
    /// What to do, in the same style.
    pub help: Option<String>,
    /// Where it is.
    pub place: Place,
    /// Another place it is about, and what is there.
    pub related: Option<(String, Place)>,
}

impl Diagnostic {
    /// A diagnostic of the code's own severity.
    pub fn new(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self { code, severity: code.severity(), message: message.into(), help: None, place, related: None }
    }

    /// With what to do.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With another place, and what is there.
    #[must_use]
    pub fn with_related(mut self, what: impl Into<String>, place: Place) -> Self {
        self.related = Some((what.into(), place));
        self
    }

    /// With another severity than the code's.
    #[must_use]
    pub const fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

impl From<ProblemKind> for Code {
    fn from(kind: ProblemKind) -> Self {
        match kind {
            ProblemKind::NotUtf8 => Self::NotUtf8,
            ProblemKind::Binary => Self::BinaryFile,
            ProblemKind::TooLarge => Self::FileTooLarge,
            ProblemKind::TooDeep => Self::NestedTooDeep,
            ProblemKind::TooManyNodes => Self::TooManyValues,
            ProblemKind::Empty => Self::EmptyFile,
            ProblemKind::RootNotMap => Self::RootNotMap,
            ProblemKind::Syntax => Self::YamlSyntax,
            ProblemKind::DuplicateKey => Self::DuplicateKey,
            ProblemKind::KeyNotString => Self::KeyNotString,
            ProblemKind::Tag => Self::YamlTag,
            ProblemKind::NotFinite => Self::NumberNotFinite,
            ProblemKind::Merge => Self::YamlMerge,
            ProblemKind::AnchorRedefined => Self::AnchorRedefined,
        }
    }
}

impl From<Problem> for Diagnostic {
    fn from(problem: Problem) -> Self {
        let place = problem.span.map_or(Place::File, Place::Span);
        let mut diagnostic = Self::new(problem.kind.into(), place, problem.message);
        diagnostic.help = problem.help;
        diagnostic.related =
            problem.related.map(|span| ("the first one is here".to_owned(), Place::Span(span)));
        diagnostic
    }
}
