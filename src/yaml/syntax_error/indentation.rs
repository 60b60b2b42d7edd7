//! Finds a key or a text that is not indented as its surroundings require.

use super::line::{Line, is_block};
use super::{Finding, SyntaxError, TAB};

impl<'a> SyntaxError<'_, 'a> {
    /// Finds the tab that the parser complains about at the value before or at the key after it.
    pub(super) fn tab(&self) -> Option<Finding> {
        let first = self.is("tab").then(|| self.index.position(self.byte).line)?;
        let mut lines = (first..).map_while(|number| self.line(number));
        let is_blank = |before: &str| before.trim_matches([' ', '\t']).is_empty();
        let tab = |line: Line<'_>| {
            let tab = line.text.find('\t').filter(|tab| is_blank(&line.text[..*tab]))?;
            Some(line.start + tab)
        };
        let (message, help) = TAB;
        Some(Finding { byte: lines.find_map(tab).unwrap_or(self.byte), message, help })
    }

    /// Finds the key of a block, `key: |`, whose text is not indented. The parser takes the text for a key.
    pub(super) fn block_not_indented(&self) -> Option<Finding> {
        let mut lines = self.lines_before().skip_while(|line| line.start >= self.byte || line.has_key());
        let mut first_line_of_text = lines.next()?;
        let (start, value) = lines.find_map(|line| {
            let content = line.without_dashes();
            let key = content.key();
            if key.is_none() {
                first_line_of_text = line;
            }
            key.map(|key| (content.start, key.value))
        })?;
        (is_block(value) && self.column(first_line_of_text.start) <= self.column(start)).then_some(Finding {
            byte: start,
            message: "the text of this block is not indented",
            help: "indent each line of the text more than the key",
        })
    }

    /// Finds a key that is indented as if it belonged to the value of the key on the line above.
    pub(super) fn key_below_a_value(&self) -> Option<Finding> {
        let mut lines = self.lines_before();
        let line = lines.next().filter(|_| self.is("mapping values are not allowed"))?;
        let above = lines.next()?.without_dashes();
        let is_key = line.key().is_some_and(|key| line.start + key.name.len() >= self.byte);
        let has_value = above.text.split_once(": ").is_some_and(|(_, value)| !value.trim().is_empty());
        (is_key && has_value && self.column(above.start) < self.column(line.start)).then_some(Finding {
            byte: line.start,
            message: "this key is indented more than the one above it, which has a value",
            help: "align it with the other keys of its map",
        })
    }

    /// Finds a key that is indented differently than those of every open map.
    pub(super) fn misaligned_key(&self) -> Option<Finding> {
        let line = self.lines_before().next()?;
        let byte = line.start;
        if byte + line.key()?.name.len() < self.byte {
            None
        } else if self.is("expected key") || (self.is("expected '-'") && self.is_within_entry(byte)) {
            let message = "this key is not aligned with those above it";
            Some(Finding { byte, message, help: "align it with the other keys of its map" })
        } else if self.is("expected '-'") && self.is_aligned_with_entry(byte) {
            let message = "this key is aligned with the entries of the list above it";
            let help = if self.column(byte) == 1 {
                "indent it more if it belongs to the last entry"
            } else {
                "indent it more if it belongs to the last entry, and otherwise less"
            };
            Some(Finding { byte, message, help })
        } else {
            None
        }
    }

    /// Returns whether the last entry of a list before a byte begins in the same column.
    fn is_aligned_with_entry(&self, byte: usize) -> bool {
        self.entry_before(byte).is_some_and(|entry| self.column(entry.start) == self.column(byte))
    }

    /// Returns whether a byte is right of the `-` of the last entry of a list before it, and left of the first key of that entry.
    fn is_within_entry(&self, byte: usize) -> bool {
        self.entry_before(byte).is_some_and(|entry| {
            let first_key = entry.without_dashes();
            (self.column(entry.start) + 1..self.column(first_key.start)).contains(&self.column(byte))
        })
    }

    /// Returns the line of the last entry of a list before a byte.
    fn entry_before(&self, byte: usize) -> Option<Line<'a>> {
        self.lines_before().find(|line| line.start < byte && line.is_entry())
    }
}
