//! Reads YAML: decodes bytes, parses a value, and, when there is something to show, finds positions. The only user of the
//! YAML crates (serde_yaml for values, saphyr-parser for positions). Knows nothing about the schema of a configuration.
//!
//! Any file, even a malformed or malicious one, is handled in bounded time and memory: the `MAX_` constants are the bounds.
//! Nothing here panics, and no message contains a value of the file.

mod build;
mod extent;
mod line_index;
mod positions;
mod problem;
mod scalar;
mod tree;
mod value;

#[cfg(test)]
mod tests;

use serde_json::Value;

use line_index::LineIndex;
use value::ValueError;

pub use line_index::{Span, TextPosition};
pub use positions::{Leaf, LeafRole, Positions};
pub use problem::{MAX_BYTES, MAX_DEPTH, MAX_NODES, MAX_PROBLEMS, Problem, ProblemKind, display_key};

/// The first document of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// A map with its keys in the order of the file. Merged keys (`<<`) come after the map's own.
    pub value: Value,
    /// Whether the file contains further documents, which are not read.
    pub documents_ignored: bool,
}

/// Decodes a file as UTF-8 and strips the byte order mark, if present.
///
/// # Errors
///
/// Returns [`TooLarge`](ProblemKind::TooLarge) if the file exceeds [`MAX_BYTES`], [`Binary`](ProblemKind::Binary) if it
/// contains a NUL, and [`NotUtf8`](ProblemKind::NotUtf8) if it is not UTF-8.
#[expect(clippy::result_large_err, reason = "returned at most once per file")]
pub fn decode(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > MAX_BYTES {
        return Err(Problem::new(
            ProblemKind::TooLarge,
            format!("the file has {} bytes; the limit is {} MiB", bytes.len(), MAX_BYTES >> 20),
            "check the path, or split the services across several agents",
        ));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let message = "the file is UTF-16, not UTF-8";
        return Err(Problem::new(ProblemKind::NotUtf8, message, "save the file as UTF-8"));
    }
    if bytes.contains(&0) {
        return Err(ProblemKind::Binary.into());
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            let message = format!("invalid UTF-8 on line {line}");
            Err(Problem::new(ProblemKind::NotUtf8, message, "save the file as UTF-8"))
        }
    }
}

/// Parses the first document of a text returned by [`decode`].
///
/// Aliases and merges (`<<`, also with a list of maps) are resolved. A map's own key takes precedence over a merged one.
///
/// # Errors
///
/// Returns the YAML problems in the order of the file, up to [`MAX_PROBLEMS`]; never an empty list.
pub fn parse(text: &str) -> Result<Parsed, Vec<Problem>> {
    if let Some(problem) = disallowed_character(text) {
        return Err(vec![problem]);
    }
    if needs_event_parser(text) {
        let positions = Positions::parse(text);
        if positions.has_problems() {
            return Err(positions.into_problems());
        }
    }
    let error = match value::parse_first_document(text) {
        Ok((value @ Value::Object(_), false)) => return Ok(Parsed { value, documents_ignored: false }),
        Ok((value @ Value::Object(_), true)) => {
            // The rest is either another document or a line that does not belong to the map.
            let positions = Positions::parse(text);
            if positions.has_problems() {
                return Err(positions.into_problems());
            }
            return Ok(Parsed { value, documents_ignored: true });
        }
        Ok((Value::Null, _)) => ProblemKind::Empty.into(),
        Ok(_) => ProblemKind::RootNotMap.into(),
        Err(error) => error,
    };
    Err(collect_problems(text, &error))
}

/// Writes a map as YAML that [`parse`] reads back as the same map. Ends with a line feed.
///
/// # Errors
///
/// Returns an error if there is no such YAML: for a value that is not a map, and for a map with the key `<<`, which would
/// be read as a merge.
pub fn emit(value: &Value) -> Result<String, EmitError> {
    let text = serde_yaml::to_string(value)?;
    match parse(&text) {
        Ok(parsed) if parsed.value == *value => Ok(text),
        _ => Err(EmitError::Ambiguous),
    }
}

/// A value cannot be written as YAML.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// The YAML crate failed.
    #[error("the configuration cannot be written as YAML: {0}")]
    Serialize(#[from] serde_yaml::Error),
    /// The YAML would be read as a different value.
    #[error("the configuration would change when written as YAML: if it has the key `<<`, rename that key")]
    Ambiguous,
}

/// Returns every problem of a text that has no value, with its position.
fn collect_problems(text: &str, error: &ValueError) -> Vec<Problem> {
    let positions = Positions::parse(text);
    let span = error.character.map(|number| positions.char_span(number));
    let problem = match error.kind {
        Some(ProblemKind::Empty) => return vec![ProblemKind::Empty.into()],
        Some(ProblemKind::RootNotMap) => {
            Problem::from(ProblemKind::RootNotMap).with_span(positions.root_span())
        }
        Some(kind) => Problem::from(kind).with_span(span),
        // The YAML crate has its own limits, which its message names.
        None if error.parser_message.contains("repetition limit") => ProblemKind::TooManyNodes.into(),
        None if error.parser_message.contains("recursion limit") => {
            Problem::from(ProblemKind::TooDeep).with_span(span)
        }
        None => {
            let found = error.character.and_then(|number| text.chars().nth(number));
            Problem::syntax(&error.parser_message, found).with_span(span)
        }
    };
    // The event parser finds all problems, while the value parser stops at the first, but may find one that the event parser
    // misses. If both report a syntax error, the value parser describes it better, and the earlier position is more exact.
    let mut problems = positions.into_problems();
    match problems.iter_mut().find(|other| other.kind == problem.kind) {
        Some(other) if other.kind == ProblemKind::Syntax => {
            let span = other.span.min(problem.span).or(other.span);
            *other = problem.with_span(span);
        }
        Some(_) => {}
        None => problems.push(problem),
    }
    problems
}

/// Returns whether the text must pass the event parser before the value parser. This is the case if it contains a tag or an
/// anchor, whose problems only the event parser finds, or enough indicators that it may exceed a limit, which the value
/// parser would take too long to reach.
fn needs_event_parser(text: &str) -> bool {
    // Every value follows an indicator or a bracket.
    let is_indicator = |byte: &u8| b"-:,?[{".contains(byte);
    text.contains(['&', '!'])
        || max_open_brackets(text) > MAX_DEPTH
        || text.as_bytes().iter().filter(|byte| is_indicator(byte)).count() > MAX_NODES / 2
}

/// Returns an upper bound for the number of brackets that are open at once. libyaml takes quadratic time for deeply nested
/// brackets, so it must not see them. Most files have few, each closed on its own line.
fn max_open_brackets(text: &str) -> usize {
    let (mut before, mut max) = (0, 0);
    for line in text.split('\n') {
        // A bracket in quotes or in a comment does not close anything.
        let may_close = !line.contains(['"', '\'', '#']);
        let mut open = 0_usize;
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' if may_close => open = open.saturating_sub(1),
                _ => {}
            }
            max = max.max(before + open);
        }
        before += open;
    }
    max
}

/// Returns a problem for the first character that YAML does not allow, or that only one of the two parsers treats as a line
/// break.
fn disallowed_character(text: &str) -> Option<Problem> {
    let allowed = |found: char| {
        matches!(found, '\t' | '\n' | '\r' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
            && !matches!(found, '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    let (at, found) = text.char_indices().find(|(_, found)| !allowed(*found))?;
    let span = LineIndex::new(text).char_at(at);
    let message = format!("character U+{:04X} is not allowed", u32::from(found));
    let help = "remove it, or write it as an escape in double quotes";
    Some(Problem::new(ProblemKind::Syntax, message, help).with_span(span))
}
