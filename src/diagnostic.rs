//! Diagnostics: what is wrong in a configuration, where, and how to fix it, rendered for people, programs and GitHub. Depends
//! on `yaml` for positions. Never prints, and does not know the properties of the configuration: a [`Disclosure`]
//! decides what may be shown.
//!
//! A diagnostic refers to a target and contains nothing from the file except what a check put into the message. Excerpts
//! of the file are created, and masked, when it is rendered.

mod code;
mod excerpt;
mod explain;
mod explanation;
mod github;
mod human;
mod json;
mod render;
mod report;
mod sarif;
mod source_file;
mod suggest;
mod terminal;

#[cfg(test)]
mod tests;

pub use code::{Code, Phase, Severity};
pub use explain::{explain, list_codes};
pub use explanation::{Example, ExampleKind, Explanation};
pub use render::{ReportFormat, footer, render, summary};
pub(crate) use report::MAX_SHOWN;
pub use report::Report;
pub use source_file::{Disclosure, SourceFile, Visibility};
pub use suggest::suggest;
pub use terminal::Terminal;

pub use crate::yaml::display_key;

use std::fmt;

use crate::pointer::Pointer;
use crate::untrusted::escape_uncut;
use crate::yaml::{Problem, ProblemKind, Span};

/// What a diagnostic refers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// The key of the value at this pointer.
    Key(Pointer),
    /// The value at this pointer.
    Value(Pointer),
    /// A range of the file.
    Span(Span),
    /// A flag, environment variable or command that overrides the file, as the user writes it: `--join-method`,
    /// `TELEPORT_PROXY`.
    Override(String),
    /// The file as a whole.
    File,
}

impl Target {
    /// Returns the pointer of a key or value.
    #[must_use]
    pub const fn pointer(&self) -> Option<&Pointer> {
        match self {
            Self::Key(pointer) | Self::Value(pointer) => Some(pointer),
            Self::Span(_) | Self::Override(_) | Self::File => None,
        }
    }
}

/// A single finding about a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The kind of finding.
    pub code: Code,
    /// How serious it is.
    pub severity: Severity,
    /// What is wrong: in lower case, without a full stop, and never a value that may be a secret.
    pub message: String,
    /// What the user can do about it, in the same style.
    pub help: Option<String>,
    /// What it refers to.
    pub target: Target,
    /// A second target that the finding involves, and a description of it.
    pub related: Option<(String, Target)>,
    /// The properties that the texts above name in backticks. What else is in backticks is a value, or something to write.
    pub properties: Vec<NamedProperty>,
}

/// A property of the configuration that the texts of a diagnostic name, so that a program can name the flag that sets it instead.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct NamedProperty {
    /// Where it is in the effective configuration.
    pub pointer: Pointer,
    /// The flag or environment variable that sets it, if one does.
    pub set_by: Option<String>,
}

impl NamedProperty {
    /// Returns whether this is how a text names the property: by its last key, or by several with `.` between them.
    #[must_use]
    pub fn is_named(&self, text: &str) -> bool {
        let path = self.pointer.as_str().replace('/', ".");
        path.strip_suffix(text).is_some_and(|rest| rest.ends_with('.'))
    }
}

impl Diagnostic {
    /// Creates a diagnostic with the default severity of its code.
    pub fn new(code: Code, target: Target, message: impl Into<String>) -> Self {
        let (severity, message) = (code.severity(), message.into());
        Self { code, severity, message, help: None, target, related: None, properties: Vec::new() }
    }

    /// Sets what the user can do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Sets a second target and its description.
    #[must_use]
    pub fn with_related(mut self, description: impl Into<String>, target: Target) -> Self {
        self.related = Some((description.into(), target));
        self
    }

    /// Adds a property that the texts name. [`load`](crate::config::load) adds the targets itself.
    #[must_use]
    pub fn naming(mut self, pointer: Pointer) -> Self {
        self.properties.push(NamedProperty { pointer, set_by: None });
        self
    }

    /// Overrides the default severity of the code.
    #[must_use]
    pub const fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

/// One line, for a log: the severity, the code, the message and the help, without the place in the file. [`render`] shows that
/// as well.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: {}", self.severity, self.code, escape_uncut(&self.message))?;
        match &self.help {
            Some(help) => write!(f, "; {}", escape_uncut(help)),
            None => Ok(()),
        }
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
            ProblemKind::MissingIndentation => Self::MissingIndentation,
            ProblemKind::MissingDash => Self::MissingDash,
            ProblemKind::Template => Self::Placeholder,
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
        let target = problem.span.map_or(Target::File, Target::Span);
        let mut diagnostic = Self::new(problem.kind.into(), target, problem.message);
        // A problem prevents the file from being read.
        diagnostic.severity = Severity::Error;
        diagnostic.help = problem.help;
        diagnostic.related =
            problem.related.map(|span| ("first defined here".to_owned(), Target::Span(span)));
        diagnostic
    }
}
