//! Finds text of another tool that was pasted into the file or left there.

use super::line::{Line, is_block, is_name};
use super::{Finding, SyntaxError};

impl SyntaxError<'_, '_> {
    /// Finds a template or a placeholder on the line of the error: `{{ name }}`, `{% if x %}`, `{# text #}`, `%NAME%` or `@NAME@`. The
    /// parser takes a line that consists of a template for a key, and misses its `:` on the next line.
    pub(super) fn template(&self) -> Option<usize> {
        let is_template = |text: &str| ["{{", "{%", "{#"].iter().any(|open| text.starts_with(open));
        let mut lines = self.lines_before().take(2).filter(|line| !self.is_in_block(line.start));
        if let Some(line) = lines.find(|line| is_template(line.without_dashes().text)) {
            return Some(line.start);
        }
        let line = self.line_of_error()?;
        let unquoted = line.unquoted();
        let action = ["{{", "{%"].iter().filter_map(|open| unquoted.find(open)).min();
        let at = self.byte.checked_sub(line.start)?;
        let named = || {
            let sign = line.text.get(at..)?.chars().next().filter(|sign| matches!(sign, '%' | '@'))?;
            let (name, _) = line.text[at + 1..].split_once(sign)?;
            (!name.is_empty() && is_name(name)).then_some(at)
        };
        Some(line.start + action.or_else(named)?)
    }

    /// Finds a marker of an unresolved git conflict.
    pub(super) fn conflict_marker(&self) -> Option<Finding> {
        let markers = ["<<<<<<< ", "||||||| ", "=======", ">>>>>>> "];
        let is_marker = |line: &Line<'_>| markers.iter().any(|marker| line.text.starts_with(marker));
        let marker = self.lines_before().filter(is_marker).last()?;
        Some(Finding {
            byte: marker.start,
            message: "unresolved git conflict",
            help: "keep one version, and remove the lines that git added",
        })
    }

    /// Finds a no-break space in the place of a space that belongs to the syntax, on the line of the error or on the one before.
    pub(super) fn no_break_space(&self) -> Option<Finding> {
        let is_no_break = |character: char| matches!(character, '\u{a0}' | '\u{202f}');
        let found = |line: Line<'_>| {
            let unquoted = line.unquoted();
            let follows_syntax = |before: &str| {
                let before = before.trim_end_matches(' ');
                before.is_empty() || before.ends_with([':', '-', ',', '{', '['])
            };
            let mut places = unquoted.match_indices(is_no_break).map(|(at, _)| at);
            Some(line.start + places.find(|at| follows_syntax(&unquoted[..*at]))?)
        };
        let number = self.index.position(self.byte).line;
        let byte = [number, number - 1].into_iter().filter_map(|number| self.line(number)).find_map(found)?;
        Some(Finding {
            byte,
            message: "no-break space in the place of a space",
            help: "type the space again",
        })
    }

    /// Finds the fence around a block of code in Markdown, copied with the block.
    pub(super) fn markdown_fence(&self) -> Option<Finding> {
        let is_fence = |line: &Line<'_>| line.text.starts_with("```") || line.text.starts_with("~~~");
        let mut lines = self.lines_before().take(2).filter(|line| !self.is_in_block(line.start));
        Some(Finding {
            byte: lines.find(is_fence)?.start,
            message: "this line belongs to a page in Markdown, not to the configuration",
            help: "remove it",
        })
    }

    /// Finds the line that ended the here-document of a script, copied with the file.
    pub(super) fn end_of_here_document(&self) -> Option<Finding> {
        let mut lines = self.lines_before().take(2).filter(|line| self.column(line.start) == 1);
        Some(Finding {
            byte: lines.find(|line| matches!(line.text, "EOF" | "EOT"))?.start,
            message: "this line belongs to a here-document of a shell, not to the configuration",
            help: "remove it",
        })
    }

    /// Returns whether a line, given by the byte at which it starts, belongs to the text of a block, `key: |`.
    fn is_in_block(&self, byte: usize) -> bool {
        let is_less_indented = |line: &Line<'_>| self.column(line.start) < self.column(byte);
        let mut above = self.lines_before().filter(|line| line.start < byte && is_less_indented(line));
        above.next().is_some_and(|line| line.text.rsplit_once(": ").is_some_and(|(_, value)| is_block(value)))
    }
}
