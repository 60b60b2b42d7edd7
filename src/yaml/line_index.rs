//! Converts between bytes, characters, and lines with columns. Depends on nothing; every query costs little more than a
//! binary search, however long the text and its lines are.

use std::cell::OnceCell;

use crate::steps;

/// A position in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextPosition {
    /// Offset in bytes from the start of the text.
    pub byte: usize,
    /// Line, from 1. A line ends with `\n`, `\r\n` or `\r`.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
}

/// A range of a text, from `start` up to but not including `end`. Empty if it marks the position of something missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The position of the first character.
    pub start: TextPosition,
    /// The position after the last character.
    pub end: TextPosition,
}

/// The number of bytes between two stored character counts.
const BLOCK: usize = 256;

/// An index of the lines and characters of a text.
pub(crate) struct LineIndex<'a> {
    text: &'a str,
    /// Whether every character is one byte.
    is_ascii: bool,
    /// Computed when it is first needed: most files are ASCII and have nothing to report.
    counts: OnceCell<Counts>,
}

/// The lines and characters of a text.
#[derive(Debug)]
struct Counts {
    /// The byte at which each line starts.
    lines: Vec<usize>,
    /// The number of characters that start before byte `n * BLOCK`.
    chars: Vec<usize>,
}

impl Counts {
    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut lines = vec![0];
        let mut chars = Vec::with_capacity(bytes.len() / BLOCK + 1);
        let mut count = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if at.is_multiple_of(BLOCK) {
                chars.push(count);
            }
            count += usize::from(starts_char(*byte));
            if *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')) {
                lines.push(at + 1);
            }
        }
        if bytes.len().is_multiple_of(BLOCK) {
            chars.push(count);
        }
        Self { lines, chars }
    }
}

impl<'a> LineIndex<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, is_ascii: text.is_ascii(), counts: OnceCell::new() }
    }

    fn counts(&self) -> &Counts {
        self.counts.get_or_init(|| Counts::of(self.text))
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn position(&self, byte: usize) -> TextPosition {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        let lines = &self.counts().lines;
        let line = lines.partition_point(|start| *start <= byte).max(1);
        let start = lines.get(line - 1).copied().unwrap_or(0);
        TextPosition { byte, line, column: self.chars_before(byte) - self.chars_before(start) + 1 }
    }

    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        Span { start: self.position(start), end: self.position(end.max(start)) }
    }

    /// Returns the span of the character at `byte`; empty at the end of a line.
    pub(crate) fn char_at(&self, byte: usize) -> Span {
        let start = self.position(byte);
        let width = match self.text[start.byte..].chars().next() {
            None | Some('\n' | '\r') => 0,
            Some(found) => found.len_utf8(),
        };
        self.span(start.byte, start.byte + width)
    }

    /// Returns the bytes of a line, counted from 1, without its line break.
    pub(crate) fn line(&self, line: usize) -> Option<(usize, usize)> {
        let lines = &self.counts().lines;
        let start = *lines.get(line.checked_sub(1)?)?;
        let end = lines.get(line).copied().unwrap_or(self.text.len());
        let content = self.text[start..end].trim_end_matches(['\n', '\r']);
        Some((start, start + content.len()))
    }

    /// Returns the byte at which a character, counted from 0, starts.
    pub(crate) fn byte_of_char(&self, number: usize) -> usize {
        if self.is_ascii {
            return number.min(self.text.len());
        }
        let chars = &self.counts().chars;
        let block = chars.partition_point(|count| *count <= number).saturating_sub(1);
        let mut left = number - chars.get(block).copied().unwrap_or(0);
        let bytes = self.text.as_bytes();
        let mut at = block * BLOCK;
        while at < bytes.len() {
            if starts_char(bytes[at]) {
                if left == 0 {
                    return at;
                }
                left -= 1;
            }
            at += 1;
        }
        bytes.len()
    }

    fn chars_before(&self, byte: usize) -> usize {
        let block = byte / BLOCK;
        let from = block * BLOCK;
        steps::count(byte - from);
        let counted = self.counts().chars.get(block).copied().unwrap_or(0);
        counted + self.text.as_bytes()[from..byte].iter().filter(|byte| starts_char(**byte)).count()
    }
}

const fn starts_char(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn positions_agree_with_a_linear_scan(text in "[aé\u{1f600}\n\r ]{0,900}") {
            let index = LineIndex::new(&text);
            let (mut line, mut column) = (1, 1);
            let mut chars = text.char_indices().enumerate().peekable();
            while let Some((number, (byte, found))) = chars.next() {
                prop_assert_eq!(index.position(byte), TextPosition { byte, line, column });
                prop_assert_eq!(index.byte_of_char(number), byte);
                let crlf = found == '\r' && chars.peek().is_some_and(|(_, (_, next))| *next == '\n');
                if found == '\n' || (found == '\r' && !crlf) {
                    (line, column) = (line + 1, 1);
                } else {
                    column += 1;
                }
            }
            prop_assert_eq!(index.position(text.len()), TextPosition { byte: text.len(), line, column });
            prop_assert_eq!(index.byte_of_char(text.chars().count()), text.len());
            prop_assert_eq!(index.line(line + 1), None);
        }
    }

    #[test]
    fn a_line_excludes_its_line_break() {
        let index = LineIndex::new("a\r\nbc\r\rd");
        let lines: Vec<_> = (1..).map_while(|line| index.line(line)).collect();
        assert_eq!(lines, [(0, 1), (3, 5), (6, 6), (7, 8)]);
    }
}
