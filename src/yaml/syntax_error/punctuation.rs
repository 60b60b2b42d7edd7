//! Finds a character of the syntax that is missing, or that a value contains.

use super::line::{Key, Line};
use super::parser_messages::MISSING_COLON_HELP;
use super::{Finding, SyntaxError};

impl SyntaxError<'_, '_> {
    /// Finds an entry whose `-` is not followed by a space, or is another kind of dash. The parser takes it for a value, and notices
    /// the error at the next key.
    pub(super) fn dash_without_space(&self) -> Option<Finding> {
        if !self.expects_no_key() {
            return None;
        }
        let line = self.lines_before().nth(1)?;
        let rest = line.text.strip_prefix(['-', '\u{2013}', '\u{2014}'])?;
        let is_hyphen = line.text.starts_with('-');
        let is_below_entry = self
            .lines_before()
            .nth(2)
            .is_some_and(|above| above.is_entry() && self.column(above.start) == self.column(line.start));
        let is_entry = is_below_entry || Key::of(rest.trim_start()).is_some();
        if !is_entry || (is_hyphen && rest.starts_with([' ', '-'])) {
            return None;
        }
        let (message, help) = if is_hyphen {
            ("missing space after `-`", "put a space after the `-`")
        } else {
            ("a long dash in the place of a `-`", "type the `-` again")
        };
        Some(Finding { byte: line.start, message, help })
    }

    /// Returns whether the parser has found a `:` where no key can be.
    fn expects_no_key(&self) -> bool {
        self.is("simple key") || self.is("mapping values are not allowed")
    }

    /// Finds a key without a `:`, or without a space after it. The parser takes it for a value that continues on the next line, and
    /// notices the error at the key there, or after it.
    pub(super) fn missing_colon(&self) -> Option<Finding> {
        if !self.expects_no_key() {
            // A comment ends the value, so the parser does not take the next key for a part of it.
            let is_after_comment = |line: &Line<'_>| {
                self.is("comment intercepting")
                    || (self.is("expected '-'") && self.index.text()[line.start..self.byte].contains(" #"))
            };
            return self.lines_before().take(2).filter(is_after_comment).find_map(missing_space);
        }
        let mut lines = self.lines_before().filter(|line| line.start < self.byte);
        let mut line = lines.next()?;
        if line.has_key() {
            // A second `:` on the line is a mistake of its own.
            if self.index.text()[line.start..self.byte].contains(": ") {
                return None;
            }
            line = lines.find(|above| self.column(above.start) <= self.column(line.start))?;
        }
        if let Some(found) = missing_space(line) {
            return Some(found);
        }
        if line.has_key() {
            return None;
        }
        // The value continues over all lines without a key, except those that end another value.
        let ends_a_value = |line: Line<'_>| line.is_entry() || line.text.ends_with([']', '}', '"', '\'']);
        let above = lines.take_while(|line| !line.has_key() && !ends_a_value(*line));
        let first = above.filter(|above| self.column(above.start) <= self.column(line.start)).last();
        let line = first.unwrap_or(line);
        missing_space(line).or_else(|| {
            let content = line.without_dashes();
            let is_key = !content.text.starts_with(['"', '\'', '[', '{']);
            is_key.then_some(Finding {
                byte: content.start,
                message: "missing `:` after a key",
                help: MISSING_COLON_HELP,
            })
        })
    }

    /// Finds a variable such as `${NAME}` in a list or a map in brackets, where its brackets end the value.
    pub(super) fn variable_in_brackets(&self) -> Option<Finding> {
        let line = self.line_of_error()?;
        // The parser may notice the bracket of the variable itself.
        let before = line.text.get(..=self.byte.checked_sub(line.start)?)?;
        let at = before.rfind("${").filter(|at| !before[*at..].contains(['"', '\'']))?;
        before[..at].contains(['{', '[']).then_some(Finding {
            byte: line.start + at,
            message: "`${` in brackets without quotes",
            help: "put quotes around the value, and note that variables are not expanded",
        })
    }
}

/// Finds the `:` of a key that is not followed by a space.
fn missing_space(line: Line<'_>) -> Option<Finding> {
    let content = line.without_dashes();
    let colon = content.colon_without_space()?;
    let is_entry = content.start != line.start;
    let (name, value) = (&content.text[..colon], &content.text[colon + 1..]);
    // The entry of a list can be an address with a port, or a pin.
    let is_value = name == "sha256" || value.bytes().all(|byte| byte.is_ascii_digit());
    (!is_entry || !is_value).then_some(Finding {
        byte: content.start + colon,
        message: "missing space after `:`",
        help: MISSING_COLON_HELP,
    })
}
