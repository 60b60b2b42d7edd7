//! Describes the YAML problems of a file: the limits, the kinds of problems, and their messages. Depends on `line_index`.
//! Never uses the messages of the YAML crates, which may quote values of the file and thus secrets.

use std::error::Error;
use std::fmt;

use super::line_index::Span;

/// The key whose value is merged into its map.
pub(crate) const MERGE_KEY: &str = "<<";

/// The maximum size of a file, and of all strings after alias expansion, in bytes. An output takes about 150 bytes.
pub const MAX_BYTES: usize = 4 << 20;

/// The maximum number of values in a file after alias expansion. An output takes about 10.
pub const MAX_NODES: usize = 500_000;

/// The maximum nesting depth of lists and maps. A configuration needs fewer than ten levels.
pub const MAX_DEPTH: usize = 64;

/// The maximum number of problems collected for one file, not counting the one that stops the parser. Far fewer are shown.
pub const MAX_PROBLEMS: usize = 100_000;

/// The kind of a YAML problem. Each is an error, and none depends on the schema of a
/// configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// The bytes are neither UTF-8 nor UTF-16.
    NotUtf8,
    /// The file is not a text file.
    Binary,
    /// The file is larger than [`MAX_BYTES`], or its aliases expand beyond that.
    TooLarge,
    /// Lists and maps are nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// The file contains more values than [`MAX_NODES`] after alias expansion.
    TooManyNodes,
    /// The file is empty or contains only comments.
    Empty,
    /// The document is not a map.
    RootNotMap,
    /// The file does not follow the YAML grammar.
    Syntax,
    /// A map contains the same key twice.
    DuplicateKey,
    /// A key has no value, because what belongs to it is not indented.
    MissingIndentation,
    /// An entry of a list does not start with a `-`.
    MissingDash,
    /// A template was not rendered.
    Template,
    /// A key is a number, a boolean, null, a list, a map or an alias.
    KeyNotString,
    /// A value has a tag such as `!x`.
    Tag,
    /// A number is infinite or NaN.
    NotFinite,
    /// `<<` has a value that cannot be merged.
    Merge,
    /// Two anchors have the same name.
    AnchorRedefined,
}

/// A problem and its position. Neither its `Debug` output nor its message as an error contains the keys, which may be parts of
/// secrets.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The kind of the problem.
    pub kind: ProblemKind,
    /// What is wrong. Contains nothing from the file.
    pub message: String,
    /// The key that completes the message. It may be part of a secret that was written in the wrong place.
    pub key: Option<String>,
    /// For a duplicate key, the key whose value is the map that contains it, with its position.
    pub parent: Option<(String, Span)>,
    /// What the user can do about it, if known.
    pub help: Option<String>,
    /// The position; `None` for the file as a whole.
    pub span: Option<Span>,
    /// A second position that the problem involves, such as the first of two equal keys.
    pub related: Option<Span>,
    /// The problem to report instead if the key cannot contain other keys, so that no indentation is missing.
    pub otherwise: Option<Box<Self>>,
    /// Whether the document is read as it is probably meant.
    pub(crate) is_repaired: bool,
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}

/// One line: the position, the message and the help.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Span { start, .. }) = self.span {
            write!(f, "line {} column {}: ", start.line, start.column)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl Error for Problem {}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, message: impl Into<String>, help: &str) -> Self {
        let help = (!help.is_empty()).then(|| help.to_owned());
        let message = message.into();
        Self {
            kind,
            message,
            key: None,
            parent: None,
            help,
            span: None,
            related: None,
            otherwise: None,
            is_repaired: false,
        }
    }

    /// Sets the position, if it is known.
    pub(crate) fn with_span(mut self, span: impl Into<Option<Span>>) -> Self {
        self.span = span.into().or(self.span);
        self
    }

    pub(crate) fn with_related(mut self, related: impl Into<Option<Span>>) -> Self {
        self.related = related.into();
        self
    }

    /// Sets the key that the problem is about.
    pub(crate) fn with_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// Returns whether the rest of the document can be read as it is meant.
    pub(crate) fn is_about_one_part(&self) -> bool {
        self.is_repaired
            || matches!(
                self.kind,
                ProblemKind::DuplicateKey
                    | ProblemKind::AnchorRedefined
                    | ProblemKind::Tag
                    | ProblemKind::NotFinite
                    | ProblemKind::KeyNotString
                    | ProblemKind::Template
                    | ProblemKind::Merge
            )
    }

    /// Returns the problem of a file whose first document is empty, and whose others are ignored.
    pub(crate) fn empty_first_document() -> Self {
        let message = "the first YAML document is empty, and only the first is used";
        Self::new(ProblemKind::Empty, message, "remove the `---` before the configuration")
    }

    /// Returns the problem of a key that occurs twice in one map.
    pub(crate) fn duplicate_key(key: &str) -> Self {
        let help = match key {
            MERGE_KEY => "merge several maps with a list: `<<: [*one, *other]`",
            _ => "remove one of the two",
        };
        Self::new(ProblemKind::DuplicateKey, "duplicate key", help).with_key(key)
    }
}

/// Creates a problem with a general message, without details of the file.
impl From<ProblemKind> for Problem {
    fn from(kind: ProblemKind) -> Self {
        let (message, help): (String, &str) = match kind {
            ProblemKind::NotUtf8 => ("the file is neither UTF-8 nor UTF-16".into(), "save the file as UTF-8"),
            ProblemKind::Binary => (
                "the file is not a text file".into(),
                "check the path; the configuration must be YAML in UTF-8",
            ),
            ProblemKind::TooLarge => (
                format!("more than {} MiB after alias expansion", MAX_BYTES >> 20),
                "split the services across several agents",
            ),
            ProblemKind::TooDeep => {
                (format!("more than {MAX_DEPTH} nesting levels"), "check brackets and indentation")
            }
            ProblemKind::TooManyNodes => (
                format!("more than {MAX_NODES} values after alias expansion"),
                "use fewer aliases, or split the services across several agents",
            ),
            ProblemKind::Empty => ("the file contains no configuration".into(), "start with `version: v2`"),
            ProblemKind::RootNotMap => {
                ("the configuration is not a map".into(), "write `key: value` lines, such as `version: v2`")
            }
            ProblemKind::Syntax => ("invalid YAML".into(), ""),
            ProblemKind::DuplicateKey => ("duplicate key".into(), "remove one of the two"),
            ProblemKind::MissingIndentation => {
                ("nothing is indented below the key".into(), "indent what belongs to it, or remove it")
            }
            ProblemKind::MissingDash => (
                "an entry of a list must start with `- `, before the key".into(),
                "write `- ` before the first key of the next entry",
            ),
            ProblemKind::Template => {
                ("this looks like a template that was not rendered".into(), "render it, or write the value")
            }
            ProblemKind::KeyNotString => ("key is not a string".into(), "put the key in quotes"),
            ProblemKind::Tag => {
                ("YAML tags are not supported".into(), "remove the tag, which starts with `!`")
            }
            ProblemKind::NotFinite => (
                "number is not finite".into(),
                "write a finite number, or put quotes around the value to make it a string",
            ),
            ProblemKind::Merge => (
                "`<<` can merge only a map or a list of maps".into(),
                "use an alias of a map, such as `<<: *defaults`",
            ),
            ProblemKind::AnchorRedefined => {
                ("duplicate anchor name".into(), "give each anchor a unique name")
            }
        };
        Self::new(kind, message, help)
    }
}
