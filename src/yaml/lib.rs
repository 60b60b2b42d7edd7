//! Reads and writes YAML. One pass of one parser over the text finds values, positions and all problems of the first
//! document. [`parse`] keeps the value; [`Positions`](internal::Positions) repeats the pass when there is something to
//! show, so that the positions are not kept in memory otherwise. A file that is plain JSON is read by a faster parser.
//!
//! May depend on saphyr-parser for reading, serde_yaml for writing, and serde_json for values and JSON. The only part of the program
//! that does. A crate of its own, because the release build compiles it for speed, unlike the rest of the program, which is
//! compiled for size.
//!
//! A problem of one part of the document does not hide the rest: a duplicate key or anchor, a value that cannot be read, a key
//! that is not a string, or a merge that is not possible. After a syntax error there is no document: the parser does not know
//! where the broken part ends, and guessing would report mistakes that nobody made. The same is true of tabs used for
//! indentation. Where indentation is missing below a key, the rest of its map becomes its value. If this is not enough, or a `-`
//! is missing, the map has no value, because the keys of different maps are mixed up in it.
//!
//! Must never know the schema of a configuration, panic, or put a value of the file into a message. Any file, even a
//! malformed or malicious one, is handled in bounded time and memory: the `MAX_` constants are the bounds.
//!
//! The reader is meant to accept what the Go agent accepts, whose library, yaml.v3, is a port of libyaml, and to read the same values. A
//! test compares it with serde_yaml, another port, and lists each difference with its reason. Differences from yaml.v3 itself that are
//! known: it refuses `\/` in double quotes, `%YAML 1.2`, a tab after the `-` of an entry, and a line that contains only a tab.

#![warn(missing_docs)]

mod duplicate_keys;
mod extent;
mod json;
mod lenient_input;
mod line_index;
pub mod pointer;
mod positions;
mod problem;
mod reader;
mod scalar;
#[doc(hidden)]
pub mod steps;
mod syntax_error;
mod tree;
mod unreadable;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use serde_json::Value;

use line_index::LineIndex;
use reader::read;
use tree::{NodeKind, take_value};
use unreadable::Unreadable;

pub use line_index::{Span, TextPosition};
pub use pointer::display_key;
pub use problem::{MAX_BYTES, MAX_DEPTH, MAX_NODES, MAX_PROBLEMS, Problem, ProblemKind};

/// Items that only the programs of this repository and their tests use. Not part of the public API, and may change at any time.
#[doc(hidden)]
pub mod internal {
    pub use super::parse_with_problems;
    pub use super::pointer::MASK;
    pub use super::positions::{Leaf, LeafRole, Positions};
    pub use super::unreadable::Unreadable;
}

/// The first document of a file. Its `Debug` output does not contain the value, which may contain secrets.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Parsed {
    /// A map with its keys in the order of the file. Merged keys (`<<`) come after the map's own.
    pub value: Value,
    /// Whether the file contains further documents, which are not read.
    pub documents_ignored: bool,
}

impl fmt::Debug for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsed").field("documents_ignored", &self.documents_ignored).finish_non_exhaustive()
    }
}

/// Decodes a file as UTF-8, or as UTF-16 if it starts with the byte order mark of UTF-16, and strips the byte order mark.
///
/// # Errors
///
/// Returns [`TooLarge`](ProblemKind::TooLarge) if the file or its text exceeds [`MAX_BYTES`], [`Binary`](ProblemKind::Binary) if it
/// contains a NUL, and [`NotUtf8`](ProblemKind::NotUtf8) if it is neither UTF-8 nor UTF-16.
#[expect(clippy::result_large_err, reason = "returned at most once per file")]
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Problem> {
    check_size(bytes.len())?;
    let text = match utf16(bytes) {
        Some(text) => Cow::Owned(text?),
        None if bytes.contains(&0) => return Err(ProblemKind::Binary.into()),
        None => Cow::Borrowed(std::str::from_utf8(bytes).map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            not_utf8(format!("invalid UTF-8 on line {line}"))
        })?),
    };
    check_size(text.len())?;
    Ok(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Cow::Owned(text) => Cow::Owned(text),
    })
}

/// Decodes UTF-16 without its byte order mark. Returns `None` for any other file.
fn utf16(bytes: &[u8]) -> Option<Result<String, Problem>> {
    let (mark, rest) = bytes.split_at_checked(2)?;
    let decode_unit = match mark {
        // The mark of UTF-32 starts in the same way.
        [0xff, 0xfe] if !rest.starts_with(&[0, 0]) => u16::from_le_bytes,
        [0xfe, 0xff] => u16::from_be_bytes,
        _ => return None,
    };
    let (units, odd) = rest.as_chunks::<2>();
    let text: Result<String, _> = char::decode_utf16(units.iter().map(|unit| decode_unit(*unit))).collect();
    Some(match text {
        Ok(text) if odd.is_empty() && text.contains('\0') => Err(ProblemKind::Binary.into()),
        Ok(text) if odd.is_empty() => Ok(text),
        _ => Err(not_utf8("the file starts like UTF-16, but is not valid UTF-16".to_owned())),
    })
}

fn not_utf8(message: String) -> Problem {
    Problem::new(ProblemKind::NotUtf8, message, "save the file as UTF-8")
}

#[expect(clippy::result_large_err, reason = "returned at most once per file")]
fn check_size(bytes: usize) -> Result<(), Problem> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(Problem::new(
        ProblemKind::TooLarge,
        format!("the file has {bytes} bytes; the limit is {} MiB", MAX_BYTES >> 20),
        "check the path, or split the services across several agents",
    ))
}

/// Parses the first document of a text returned by [`decode`].
///
/// Aliases and merges (`<<`, also with a list of maps) are resolved. A map's own key takes precedence over a merged one.
///
/// # Errors
///
/// Returns the YAML problems in the order of the file, up to [`MAX_PROBLEMS`]; never an empty list.
pub fn parse(text: &str) -> Result<Parsed, Vec<Problem>> {
    match parse_with_problems(text) {
        (Some((parsed, _)), problems) if problems.is_empty() => Ok(parsed),
        (_, problems) => Err(problems),
    }
}

/// Like [`parse`], but also returns the document if each problem is about one part of it. Unreadable values are null, and maps
/// lack the entries that cannot be read. Of equal keys, the first one counts.
pub fn parse_with_problems(text: &str) -> (Option<(Parsed, Unreadable)>, Vec<Problem>) {
    if let Some(problem) = disallowed_character(text) {
        return (None, vec![problem]);
    }
    match json::read(text) {
        Some(value) => {
            (Some((Parsed { value, documents_ignored: false }, Unreadable::default())), Vec::new())
        }
        None => parse_yaml(text),
    }
}

fn parse_yaml(text: &str) -> (Option<(Parsed, Unreadable)>, Vec<Problem>) {
    let index = LineIndex::new(text);
    let mut tree = read(&index);
    let mut problems = std::mem::take(&mut tree.problems);
    if tree.incomplete || !problems.iter().all(Problem::is_about_one_part) {
        return (None, problems);
    }
    let unreadable = if problems.is_empty() { Some(Unreadable::default()) } else { unreadable::find(&tree) };
    let value = match tree.node(0).map(|root| &root.kind) {
        _ if tree.node(0).is_some_and(|root| root.unreadable) => return (None, problems),
        None | Some(NodeKind::Null) if tree.documents_ignored => Err(Problem::empty_first_document()),
        None | Some(NodeKind::Null) => Err(ProblemKind::Empty.into()),
        Some(NodeKind::Mapping) => take_value(&mut tree)
            .map_err(|(kind, node)| Problem::from(kind).with_span(tree.span(node, &index))),
        Some(_) => Err(Problem::from(ProblemKind::RootNotMap).with_span(tree.span(0, &index))),
    };
    let parsed = match value {
        Ok(mut value) => unreadable.map(|unreadable| {
            for pointer in &unreadable.values {
                if let Some(part) = value.pointer_mut(pointer.as_str()) {
                    *part = Value::Null;
                }
            }
            (Parsed { value, documents_ignored: tree.documents_ignored }, unreadable)
        }),
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    (parsed, problems)
}

/// Writes a map as YAML that [`parse`] reads back as the same map. Ends with a line feed.
///
/// # Errors
///
/// Returns an error for a value that is not a map, for a map with the key `<<`, which would be read as a merge, and for a string with
/// U+2028 or U+2029, which would be written without an escape.
pub fn emit(value: &Value) -> Result<String, EmitError> {
    let text = serde_yaml::to_string(value).map_err(|error| EmitError::Serialize(error.into()))?;
    match parse(&text) {
        Ok(parsed) if parsed.value == *value => Ok(text),
        _ => Err(EmitError::Ambiguous),
    }
}

/// A value cannot be written as YAML.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The YAML crate failed.
    #[error("the configuration cannot be written as YAML")]
    Serialize(#[source] Box<dyn Error + Send + Sync>),
    /// The YAML would not be read as the same value.
    #[error("the configuration would change when written as YAML")]
    Ambiguous,
}

/// Returns a problem for the first character that YAML does not allow, or that only some versions of YAML treat as a line
/// break.
fn disallowed_character(text: &str) -> Option<Problem> {
    // Most files contain nothing else.
    if text.bytes().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~')) {
        return None;
    }
    let allowed = |found: char| {
        matches!(found, '\t' | '\n' | '\r' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
            && !matches!(found, '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    let (at, found) = text.char_indices().find(|(_, found)| !allowed(*found))?;
    let span = LineIndex::new(text).char_at(at);
    let message = format!("character U+{:04X} is not allowed", u32::from(found));
    let help = match found {
        '\u{feff}' => "remove it: it was the byte order mark of a file that was appended",
        _ => "remove it, or write it as an escape in double quotes",
    };
    Some(Problem::new(ProblemKind::Syntax, message, help).with_span(span))
}
