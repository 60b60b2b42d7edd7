//! The terminal that a report is written for: its colours and its width. Makes text safe for it, measures text and wraps
//! it. Depends on `untrusted`, anstyle and unicode-width.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::code::Severity;
use crate::untrusted::is_printable;

/// The terminal that text for people is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Whether it shows colours.
    pub colour: bool,
    /// The number of columns of a line.
    pub columns: usize,
}

/// A terminal without colours, of the usual 80 columns.
impl Default for Terminal {
    fn default() -> Self {
        Self { colour: false, columns: 80 }
    }
}

/// The style of headings and labels.
pub(super) const BOLD: Style = Style::new().bold();

/// The style of line numbers, arrows and everything else around an excerpt.
pub(super) const FRAME: Style = AnsiColor::Blue.on_default().bold();

/// Returns the style of a severity and of what it underlines.
pub(super) const fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Error => AnsiColor::Red.on_default().bold(),
        Severity::Warning => AnsiColor::Yellow.on_default().bold(),
        Severity::Note => FRAME,
    }
}

impl Terminal {
    /// Returns text in a style if the terminal shows colours.
    pub(super) fn paint<'t>(&self, style: Style, text: &'t str) -> Cow<'t, str> {
        if self.colour { Cow::Owned(format!("{style}{text}{style:#}")) } else { Cow::Borrowed(text) }
    }

    /// Breaks text between words so that it fits, if it starts at column `start` and later lines are indented by `indent`
    /// columns. Keeps line breaks, and does not break within backquotes: what they contain can be copied.
    pub(super) fn wrap(&self, text: &str, start: usize, indent: usize) -> String {
        let mut wrapped = String::new();
        let mut column = start;
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                push_line_break(&mut wrapped, indent);
                column = indent;
            }
            for (number, word) in words(line).enumerate() {
                let space = usize::from(number > 0);
                if column + space + width(word) > self.columns && column > indent {
                    push_line_break(&mut wrapped, indent);
                    column = indent;
                } else if space > 0 {
                    wrapped.push(' ');
                    column += 1;
                }
                wrapped.push_str(word);
                column += width(word);
            }
        }
        wrapped
    }
}

fn push_line_break(text: &mut String, indent: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n(' ', indent));
}

/// Splits a line at the spaces that are not within backquotes.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    line.split(move |character| {
        is_quoted ^= character == '`';
        character == ' ' && !is_quoted
    })
}

/// Replaces characters that could move a terminal's cursor or change the text direction. Keeps line feeds.
pub(super) fn sanitize(text: &str) -> Cow<'_, str> {
    let keep = |character: char| if character == '\n' { character } else { printable(character) };
    if text.chars().all(|character| keep(character) == character) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().map(keep).collect())
    }
}

/// Returns the character, or a replacement character if it could move the cursor or change the text direction.
pub(super) fn printable(character: char) -> char {
    if is_printable(character) { character } else { '\u{fffd}' }
}

/// Returns the number of columns that text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Returns the number of columns that a printable character takes.
pub(super) fn columns_of(character: char) -> usize {
    character.width().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(columns: usize, text: &str, start: usize, indent: usize) -> Vec<String> {
        let terminal = Terminal { colour: false, columns };
        terminal.wrap(text, start, indent).lines().map(str::to_owned).collect()
    }

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrapped(10, "one two three", 0, 0), ["one two", "three"]);
        assert_eq!(wrapped(13, "one two three", 0, 0), ["one two three"]);
        assert_eq!(wrapped(10, "one two three", 4, 2), ["one", "  two", "  three"]);
        assert_eq!(wrapped(10, "one\ntwo three four", 4, 2), ["one", "  two", "  three", "  four"]);
        assert_eq!(wrapped(10, "", 4, 2), [""; 0]);
    }

    #[test]
    fn a_long_word_moves_to_a_separate_line() {
        assert_eq!(wrapped(10, "one verylongword two", 0, 1), ["one", " verylongword", " two"]);
        assert_eq!(wrapped(10, "verylongword", 4, 2), ["", "  verylongword"]);
        assert_eq!(wrapped(0, "one two", 0, 0), ["one", "two"]);
    }

    #[test]
    fn text_in_backquotes_is_not_broken() {
        assert_eq!(wrapped(12, "use `a: 1, b: 2` here", 0, 0), ["use", "`a: 1, b: 2`", "here"]);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(wrapped(8, "時間 時間", 0, 0), ["時間", "時間"]);
        assert_eq!(wrapped(9, "時間 時間", 0, 0), ["時間 時間"]);
        assert_eq!(["時", "🦀", "e\u{301}", "é"].map(width), [2, 2, 1, 1]);
    }
}
