//! YAML: from bytes to text, to a value, and, when there is something to show, to positions. The only user of the YAML
//! crates (serde_yaml for values, saphyr-parser for positions); must never know what a configuration looks like.
//!
//! A file from anywhere gets an answer in bounded time and memory: the constants below are the bounds. Nothing here panics,
//! and no message holds a value of the file.

mod build;
mod extent;
mod positions;
mod problem;
mod text;
mod tree;
mod value;

#[cfg(test)]
mod tests;

use serde_json::Value;

pub use positions::{Leaf, Positions, Role};
pub use problem::{Problem, ProblemKind, display_key};
pub use text::{Mark, Span};

/// The largest file, in bytes; also the most bytes of text that its aliases may expand to. An output takes some 150 bytes.
pub const MAX_BYTES: usize = 4 << 20;

/// The most values in a file, aliases expanded. An output takes some 10.
pub const MAX_NODES: usize = 500_000;

/// The deepest nesting of lists and maps. A configuration needs less than ten.
pub const MAX_DEPTH: usize = 64;

/// The most problems that are told of one file. A file with more has one cause for them.
pub const MAX_PROBLEMS: usize = 1_000;

/// A text's first document.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// A map, its keys in the order of the text; merged ones (`<<`) behind the map's own.
    pub value: Value,
    /// Whether there are further documents. They are not read.
    pub documents_ignored: bool,
}

/// The text of a file: UTF-8, without the byte order mark if it has one.
///
/// # Errors
///
/// [`TooLarge`](ProblemKind::TooLarge) beyond [`MAX_BYTES`], [`Binary`](ProblemKind::Binary) for what holds a NUL, and
/// [`NotUtf8`](ProblemKind::NotUtf8).
#[expect(clippy::result_large_err, reason = "made at most once a file")]
pub fn decode(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > MAX_BYTES {
        let message = format!("{} bytes, which is more than the limit of 4 MiB", bytes.len());
        return Err(Problem::new(
            ProblemKind::TooLarge,
            message,
            "check the path, or split the services over several agents",
        ));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Problem::new(ProblemKind::NotUtf8, "UTF-16, not UTF-8", "save the file as UTF-8"));
    }
    if bytes.contains(&0) {
        return Err(Problem::of(ProblemKind::Binary));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            Err(Problem::new(
                ProblemKind::NotUtf8,
                format!("not UTF-8 in line {line}"),
                "save the file as UTF-8",
            ))
        }
    }
}

/// The value of the first document of a text that [`decode`] gave.
///
/// Aliases and merges (`<<`, a list of maps too) are resolved; a map's own key wins over a merged one.
///
/// # Errors
///
/// Everything that is wrong as YAML, up to [`MAX_PROBLEMS`], in the order of the text; never an empty list.
pub fn parse(text: &str) -> Result<Parsed, Vec<Problem>> {
    if let Some(problem) = refused_character(text) {
        return Err(vec![problem]);
    }
    if needs_events(text) {
        let positions = Positions::of(text);
        if positions.has_problems() {
            return Err(positions.into_problems());
        }
    }
    let (kind, said, character) = match value::first(text) {
        Ok((value @ Value::Object(_), false)) => return Ok(Parsed { value, documents_ignored: false }),
        Ok((value @ Value::Object(_), true)) => {
            // What follows is a document, or it is a map's line that does not belong to the map.
            let positions = Positions::of(text);
            if positions.has_problems() {
                return Err(positions.into_problems());
            }
            return Ok(Parsed { value, documents_ignored: true });
        }
        Ok((Value::Null, _)) => (Some(ProblemKind::Empty), String::new(), None),
        Ok(_) => (Some(ProblemKind::RootNotMap), String::new(), None),
        Err(refused) => (refused.kind, refused.said, refused.character),
    };
    Err(explain(text, kind, &said, character))
}

/// The text of a map, which [`parse`] reads as that map again. Ends with a line feed.
///
/// # Errors
///
/// Where no such text is known: for what is no map, and for a map with the key `<<`, which reads as a merge.
pub fn emit(value: &Value) -> Result<String, EmitError> {
    let text = serde_yaml::to_string(value)?;
    match parse(&text) {
        Ok(parsed) if parsed.value == *value => Ok(text),
        _ => Err(EmitError::Different),
    }
}

/// A value has no text.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// The YAML crate refuses it.
    #[error("the configuration cannot be written as YAML: {0}")]
    Refused(#[from] serde_yaml::Error),
    /// The text would read as another value.
    #[error("the configuration would read as another one from YAML: rename the key `<<`, if it has one")]
    Different,
}

/// Every problem of a text that has no value, with its place.
fn explain(text: &str, kind: Option<ProblemKind>, said: &str, character: Option<usize>) -> Vec<Problem> {
    let positions = Positions::of(text);
    let at = character.map(|number| positions.character(number));
    let problem = match kind {
        Some(ProblemKind::Empty) => return vec![Problem::of(ProblemKind::Empty)],
        Some(ProblemKind::RootNotMap) => {
            let problem = Problem::of(ProblemKind::RootNotMap);
            positions.root().map_or(problem.clone(), |root| problem.at(root))
        }
        Some(kind) => with_span(Problem::of(kind), at),
        // The aliases' limits are the YAML crate's, and so is their name.
        None if said.contains("repetition limit") => Problem::of(ProblemKind::TooManyNodes),
        None if said.contains("recursion limit") => with_span(Problem::of(ProblemKind::TooDeep), at),
        None => with_span(problem::syntax(said), at),
    };
    // The events show every problem where the value shows one. But what they do not show is still a problem, and where
    // both refuse the grammar, one knows better what is wrong, and the one that looks less far ahead where it is.
    let mut problems = positions.into_problems();
    match problems.iter_mut().find(|other| other.kind == problem.kind) {
        Some(other) if other.kind == ProblemKind::Syntax => {
            let span = other.span.min(problem.span).or(other.span);
            *other = with_span(problem, span);
        }
        Some(_) => {}
        None => problems.push(problem),
    }
    problems
}

fn with_span(problem: Problem, span: Option<Span>) -> Problem {
    match span {
        Some(span) => problem.at(span),
        None => problem,
    }
}

/// Whether a text has something that only the events show, or that would cost the value too much: a tag, an anchor, or so
/// many indicators that there may be too many values or too many levels. For such a text both parsers have to agree.
fn needs_events(text: &str) -> bool {
    // A value stands behind an indicator or a bracket.
    let is_indicator = |byte: &u8| b"-:,?[{".contains(byte);
    text.contains(['&', '!'])
        || most_open_brackets(text) > MAX_DEPTH
        || text.as_bytes().iter().filter(|byte| is_indicator(byte)).count() > MAX_NODES / 2
}

/// At least as many brackets as can be open at once. libyaml takes quadratic time for deeply nested ones, so it must not see
/// them; most files have few, each closed in its own line.
fn most_open_brackets(text: &str) -> usize {
    let (mut before, mut most) = (0, 0);
    for line in text.split('\n') {
        // A bracket in quotes or in a comment closes nothing.
        let may_close = !line.contains(['"', '\'', '#']);
        let mut open = 0_usize;
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' if may_close => open = open.saturating_sub(1),
                _ => {}
            }
            most = most.max(before + open);
        }
        before += open;
    }
    most
}

/// The first character that YAML does not allow, or that only one of the two parsers takes for a line's end.
fn refused_character(text: &str) -> Option<Problem> {
    let allowed = |found: char| {
        matches!(found, '\t' | '\n' | '\r' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
            && !matches!(found, '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    let (at, found) = text.char_indices().find(|(_, found)| !allowed(*found))?;
    let span = text::Index::of(text).char_at(at);
    let message = format!("the character U+{:04X} is not allowed", u32::from(found));
    Some(
        Problem::new(ProblemKind::Syntax, message, "remove it, or write it as an escape in double quotes")
            .at(span),
    )
}
