//! From bytes and characters to lines and columns. Depends on nothing; every query costs little more than a binary search,
//! however long the text and its lines are.

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// Offset in bytes from the start of the text.
    pub byte: usize,
    /// Line, from 1. A line ends with `\n`, `\r\n` or `\r`.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
}

/// A range of a text: from `start` up to, not including, `end`. It may be empty, where something should stand but does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The first character.
    pub start: Mark,
    /// One behind the last character.
    pub end: Mark,
}

/// A character count is kept for every so many bytes.
const STEP: usize = 256;

/// The lines and characters of one text.
#[derive(Debug)]
pub(crate) struct Index<'a> {
    text: &'a str,
    /// Where each line starts, in bytes.
    lines: Vec<usize>,
    /// How many characters start before byte `n * STEP`.
    chars: Vec<usize>,
    /// Whether every character is one byte.
    is_ascii: bool,
}

impl<'a> Index<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let mut lines = vec![0];
        let mut chars = Vec::with_capacity(bytes.len() / STEP + 1);
        let mut count = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if at.is_multiple_of(STEP) {
                chars.push(count);
            }
            count += usize::from(starts_char(*byte));
            if *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')) {
                lines.push(at + 1);
            }
        }
        if bytes.len().is_multiple_of(STEP) {
            chars.push(count);
        }
        Self { text, lines, chars, is_ascii: count == bytes.len() }
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn mark(&self, byte: usize) -> Mark {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        let line = self.lines.partition_point(|start| *start <= byte).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        Mark { byte, line, column: self.chars_before(byte) - self.chars_before(start) + 1 }
    }

    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        Span { start: self.mark(start), end: self.mark(end.max(start)) }
    }

    /// The one character at `byte`, or nothing of it at the end of a line.
    pub(crate) fn char_at(&self, byte: usize) -> Span {
        let start = self.mark(byte);
        let width = match self.text[start.byte..].chars().next() {
            None | Some('\n' | '\r') => 0,
            Some(found) => found.len_utf8(),
        };
        self.span(start.byte, start.byte + width)
    }

    /// Where the line (from 1) stands, in bytes, without its break.
    pub(crate) fn line(&self, line: usize) -> Option<(usize, usize)> {
        let start = *self.lines.get(line.checked_sub(1)?)?;
        let end = self.lines.get(line).copied().unwrap_or(self.text.len());
        let content = self.text[start..end].trim_end_matches(['\n', '\r']);
        Some((start, start + content.len()))
    }

    /// The byte at which the character `number`, from 0, starts.
    pub(crate) fn byte_of_char(&self, number: usize) -> usize {
        if self.is_ascii {
            return number.min(self.text.len());
        }
        let block = self.chars.partition_point(|count| *count <= number).saturating_sub(1);
        let mut left = number - self.chars.get(block).copied().unwrap_or(0);
        let bytes = self.text.as_bytes();
        let mut at = block * STEP;
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
        let block = byte / STEP;
        let from = block * STEP;
        let counted = self.chars.get(block).copied().unwrap_or(0);
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
        fn marks_agree_with_a_plain_walk(text in "[aé\u{1f600}\n\r ]{0,900}") {
            let index = Index::of(&text);
            let (mut line, mut column) = (1, 1);
            let mut chars = text.char_indices().enumerate().peekable();
            while let Some((number, (byte, found))) = chars.next() {
                prop_assert_eq!(index.mark(byte), Mark { byte, line, column });
                prop_assert_eq!(index.byte_of_char(number), byte);
                let crlf = found == '\r' && chars.peek().is_some_and(|(_, (_, next))| *next == '\n');
                if found == '\n' || (found == '\r' && !crlf) {
                    (line, column) = (line + 1, 1);
                } else {
                    column += 1;
                }
            }
            prop_assert_eq!(index.mark(text.len()), Mark { byte: text.len(), line, column });
            prop_assert_eq!(index.byte_of_char(text.chars().count()), text.len());
            prop_assert_eq!(index.line(line + 1), None);
        }
    }

    #[test]
    fn a_line_comes_without_its_break() {
        let index = Index::of("a\r\nbc\r\rd");
        let lines: Vec<_> = (1..).map_while(|line| index.line(line)).collect();
        assert_eq!(lines, [(0, 1), (3, 5), (6, 6), (7, 8)]);
    }
}
