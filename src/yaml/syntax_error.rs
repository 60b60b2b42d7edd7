//! Describes a syntax error: the message, the help, and the position at which a user would look for it, which can be before
//! the position at which the parser noticed it. Depends on `line_index` and `problem`. Never uses the parser's message itself,
//! which may quote values of the file and thus secrets.

mod indentation;
mod line;
mod misaligned_entry;
mod parser_messages;
mod pasted;
mod punctuation;

use super::line_index::LineIndex;
use super::problem::{Problem, ProblemKind};
use line::Line;

/// Translates a syntax error of saphyr-parser, noticed at `byte`.
pub(crate) fn describe_syntax_error(parser_message: &str, index: &LineIndex<'_>, byte: usize) -> Problem {
    if parser_message.contains("recursion limit") {
        return Problem::from(ProblemKind::TooDeep).with_span(index.char_at(byte));
    }
    let error = SyntaxError { parser_message, index, byte };
    if let Some(byte) = error.template() {
        return Problem::from(ProblemKind::Template).with_span(index.char_at(byte));
    }
    if let Some(problem) = error.misaligned_entry() {
        return problem;
    }
    let Finding { byte, message, help } = error
        .conflict_marker()
        .or_else(|| error.tab())
        .or_else(|| error.no_break_space())
        .or_else(|| error.markdown_fence())
        .or_else(|| error.end_of_here_document())
        .or_else(|| error.block_not_indented())
        .or_else(|| error.dash_without_space())
        .or_else(|| error.missing_colon())
        .or_else(|| error.key_below_a_value())
        .or_else(|| error.variable_in_brackets())
        .or_else(|| error.misaligned_key())
        .unwrap_or_else(|| error.other());
    Problem::new(ProblemKind::Syntax, message, help).with_span(index.char_at(byte))
}

/// The message and help for a tab in the indentation.
pub(crate) const TAB: (&str, &str) = ("tab used for indentation", "use spaces");

/// The cause of an error, in our own words.
struct Finding {
    /// Where a user would look for it.
    byte: usize,
    message: &'static str,
    help: &'static str,
}

struct SyntaxError<'e, 'a> {
    parser_message: &'e str,
    index: &'e LineIndex<'a>,
    byte: usize,
}

impl<'a> SyntaxError<'_, 'a> {
    fn is(&self, pattern: &str) -> bool {
        self.parser_message.contains(pattern)
    }

    /// Returns a line, counted from 1.
    fn line(&self, number: usize) -> Option<Line<'a>> {
        let (start, end) = self.index.line(number)?;
        Some(Line { start, text: &self.index.text()[start..end] })
    }

    fn line_of_error(&self) -> Option<Line<'a>> {
        self.line(self.index.position(self.byte).line)
    }

    /// Iterates backwards over the lines up to the error that are not empty and not only a comment, without the spaces around them.
    fn lines_before(&self) -> impl Iterator<Item = Line<'a>> {
        let last = self.index.position(self.byte).line;
        let lines = (1..=last).rev().filter_map(|number| self.line(number)).map(Line::trim);
        lines.filter(|line| line.start <= self.byte && !line.text.is_empty() && !line.text.starts_with('#'))
    }

    fn column(&self, byte: usize) -> usize {
        self.index.position(byte).column
    }
}
