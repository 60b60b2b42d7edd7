//! What can be wrong with a text as YAML. Depends on `text`. A message is always ours: the YAML crates' own messages
//! may carry what stands in the file, and that may be a secret.

use super::text::Span;
use super::value::MERGE;

/// The kinds of problems. Each stops the file from being read; none depends on what a configuration looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The bytes are no text at all.
    Binary,
    /// The file is larger than [`MAX_BYTES`](super::MAX_BYTES), or its aliases expand beyond that.
    TooLarge,
    /// Lists and maps are nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    TooDeep,
    /// There are more values than [`MAX_NODES`](super::MAX_NODES), aliases expanded.
    TooManyNodes,
    /// There is nothing in the file, or nothing but comments.
    Empty,
    /// The document is not a map.
    RootNotMap,
    /// The text does not follow YAML's grammar.
    Syntax,
    /// A key stands twice in one map.
    DuplicateKey,
    /// A key is a number, a bool, a null, a list, a map or an alias.
    KeyNotString,
    /// A value has a tag such as `!x`.
    Tag,
    /// A number is infinite or not a number.
    NotFinite,
    /// `<<` has a value that cannot be merged.
    Merge,
    /// One anchor's name is given twice.
    AnchorRedefined,
}

/// One problem, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem.
    pub kind: ProblemKind,
    /// What is wrong, without anything from the file but the names of keys.
    pub message: String,
    /// What to do, where there is something to do.
    pub help: Option<String>,
    /// Where, unless it is the file as a whole.
    pub span: Option<Span>,
    /// The other place it is about, such as the first of two equal keys.
    pub related: Option<Span>,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, message: impl Into<String>, help: &str) -> Self {
        let help = (!help.is_empty()).then(|| help.to_owned());
        Self { kind, message: message.into(), help, span: None, related: None }
    }

    pub(crate) fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    pub(crate) fn beside(mut self, related: Span) -> Self {
        self.related = Some(related);
        self
    }

    /// The problem of `kind`, in words that fit any file.
    pub(crate) fn of(kind: ProblemKind) -> Self {
        let (message, help) = match kind {
            ProblemKind::NotUtf8 => ("not UTF-8", "save the file as UTF-8"),
            ProblemKind::Binary => {
                ("not a text file", "check the path: a configuration is YAML, as UTF-8 text")
            }
            ProblemKind::TooLarge => {
                ("more than 4 MiB, aliases expanded", "split the services over several agents")
            }
            ProblemKind::TooDeep => {
                ("nested deeper than 64 levels", "check the brackets and the indentation")
            }
            ProblemKind::TooManyNodes => (
                "more than 500000 values, aliases expanded",
                "write fewer aliases, or split the services over several agents",
            ),
            ProblemKind::Empty => ("no configuration in this file", "start with `version: v2`"),
            ProblemKind::RootNotMap => {
                ("the configuration is not a map", "write `key: value` lines, such as `version: v2`")
            }
            ProblemKind::Syntax => ("not valid YAML", ""),
            ProblemKind::DuplicateKey => ("a key stands twice in one map", "remove one of the two"),
            ProblemKind::KeyNotString => ("a key that is not a string", "write the key in quotes"),
            ProblemKind::Tag => ("a tag is not supported here", "remove the `!` and what follows it"),
            ProblemKind::NotFinite => {
                ("a number that is not finite", "write a finite number, or quotes around a text")
            }
            ProblemKind::Merge => (
                "`<<` can merge only a map, or a list of maps",
                "write an alias of a map, such as `<<: *defaults`",
            ),
            ProblemKind::AnchorRedefined => {
                ("this anchor's name is already taken", "give each anchor a name of its own")
            }
        };
        Self::new(kind, message, help)
    }
}

/// The problem of a key that stands twice.
pub(crate) fn duplicate(key: &str) -> Problem {
    let message = format!("key `{}` stands twice in one map", display_key(key));
    let help = match key {
        MERGE => "merge several maps as a list: `<<: [*one, *other]`",
        _ => "remove one of the two",
    };
    Problem::new(ProblemKind::DuplicateKey, message, help)
}

/// A key as it may be shown: as it is, or `...` where it does not look like a name. A key can be a slip of the space in
/// `token:secret`.
#[must_use]
pub fn display_key(key: &str) -> &str {
    let is_part = |found: char| found.is_ascii_alphanumeric() || "_-./*<".contains(found);
    if (1..=64).contains(&key.len()) && key.chars().all(is_part) { key } else { "..." }
}

/// What a YAML crate said about a text that does not follow the grammar, in our words. Nothing of `said` is taken over.
pub(crate) fn syntax(said: &str) -> Problem {
    let known = SYNTAX.iter().find(|(pattern, ..)| said.contains(pattern));
    let (message, help) = known.map_or(("this is not valid YAML", ""), |(_, message, help)| (message, help));
    Problem::new(ProblemKind::Syntax, message, help)
}

/// From a part of what libyaml or saphyr says to our message and our help. The first that fits is taken.
const SYNTAX: &[(&str, &str, &str)] = &[
    (
        "mapping values are not allowed",
        "a `:` cannot stand here",
        "start the keys of one map in one column, put a space behind a key's `:`, and quotes around a value that holds `: `",
    ),
    (
        "sequence entries are not allowed",
        "a `- ` cannot stand here",
        "put each item on a line of its own, in the column of its neighbours",
    ),
    ("tab", "a tab cannot indent", "indent with spaces"),
    (
        "while scanning a quoted scalar",
        "a quoted text is not closed as it should be",
        "close the quotes; a `\\` in double quotes needs to be `\\\\`",
    ),
    ("unexpected end of stream", "the file ends inside of a quoted text", "close the quotes"),
    ("escape", "an unknown escape in double quotes", "write `\\\\` for a `\\`, or use single quotes"),
    (
        "cannot start any token",
        "no value can start with this character",
        "put quotes around the value; indent with spaces, never with tabs",
    ),
    (
        "expected ','",
        "a `[` list or a `{` map is not closed, or a `,` is missing",
        "close each bracket, put a `,` between the items",
    ),
    (
        "flow",
        "a `[` list or a `{` map is not written as it should be",
        "close each bracket, put a `,` between the items",
    ),
    ("expected ':'", "a `:` is missing behind a key", "write `key: value`, with a space behind the `:`"),
    (
        "did not find expected key",
        "a key should stand here",
        "start the keys of one map in one column; put quotes around a value that starts with a special character",
    ),
    ("expected '-'", "a `- ` should stand here", "start the items of one list in one column"),
    (
        "unknown anchor",
        "an alias whose anchor is not defined above",
        "put quotes around a value that starts with `*`",
    ),
    (
        "while scanning an anchor",
        "an anchor or an alias without a name",
        "put quotes around a value that starts with `&` or `*`",
    ),
    (
        "while scanning an alias",
        "an anchor or an alias without a name",
        "put quotes around a value that starts with `&` or `*`",
    ),
    (
        "block scalar",
        "a text block after `|` or `>` is not written as it should be",
        "indent each of its lines with spaces",
    ),
    (
        "directive",
        "a `%` line is not supported here",
        "remove the line, or put quotes around a value that starts with `%`",
    ),
    ("tag", "a tag is not written as it should be", "put quotes around a value that starts with `!`"),
    (
        "expected <document start>",
        "this does not belong to the map above it",
        "start the keys of one map in one column",
    ),
    ("node content", "a value is missing, or starts with a special character", "put quotes around the value"),
    ("indent", "the indentation does not fit", "start the keys of one map in one column"),
];
