//! Feeds a text to saphyr-parser, which then accepts two common forms that YAML 1.2 forbids but libyaml, and so the Go agent,
//! accepts: a tab after a `:`, lines in brackets that are not indented, and `\'` in double quotes. Depends on saphyr-parser only.

use std::borrow::Cow;

use saphyr_parser::input::SkipTabs;
use saphyr_parser::{Input, StrInput};

/// The character that stands for a `'` after a `\` in double quotes. It is not allowed in a file, which can only contain an escape for it.
const ESCAPED_QUOTE: char = '\u{1b}';

/// Replaces [`ESCAPED_QUOTE`] in a string by a `'` where `source`, which is the string with its double quotes, contains `\'`.
pub(super) fn restore_quotes(string: &mut Cow<'_, str>, source: &str) {
    if !source.contains("\\'") {
        return;
    }
    let mut escapes = Vec::new();
    let mut rest = source.chars();
    while let Some(found) = rest.next() {
        if found == '\\' {
            escapes.push((rest.next(), rest.as_str()));
        }
    }
    let is_hex = |digits: &str, length| {
        digits.get(..length).and_then(|digits| u32::from_str_radix(digits, 16).ok())
            == Some(ESCAPED_QUOTE.into())
    };
    let mut quotes = escapes.into_iter().filter_map(|(letter, rest)| match letter? {
        '\'' => Some(true),
        'e' => Some(false),
        'x' => is_hex(rest, 2).then_some(false),
        'u' => is_hex(rest, 4).then_some(false),
        'U' => is_hex(rest, 8).then_some(false),
        _ => None,
    });
    let restore = |found| if found == ESCAPED_QUOTE && quotes.next() == Some(true) { '\'' } else { found };
    *string = string.chars().map(restore).collect::<String>().into();
}

pub(super) struct LenientInput<'a> {
    text: StrInput<'a>,
    /// The last character that the parser consumed.
    last: char,
    /// The number of open brackets.
    brackets: usize,
}

impl<'a> LenientInput<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text: StrInput::new(text), last: ' ', brackets: 0 }
    }
}

#[rustfmt::skip]
impl Input for LenientInput<'_> {
    /// Called between tokens, and within tokens only if the difference between a space and a line break does not matter.
    ///
    /// In brackets, a line break between tokens becomes a space. The next line then counts as part of the line before, whose
    /// indentation is sufficient.
    fn look_ch(&mut self) -> char {
        match self.text.look_ch() {
            '\r' | '\n' if self.brackets > 0 => ' ',
            found => found,
        }
    }

    /// Called after certain indicators, among them each bracket.
    ///
    /// Reports a space next to each tab. The parser requires one only between a `:` and a letter.
    fn skip_ws_to_eol(&mut self, skip_tabs: SkipTabs) -> (usize, Result<SkipTabs, &'static str>) {
        match self.last {
            '[' | '{' => self.brackets += 1,
            ']' | '}' => self.brackets = self.brackets.saturating_sub(1),
            _ => {}
        }
        self.last = ' ';
        let (count, found) = self.text.skip_ws_to_eol(skip_tabs);
        (count, found.map(|found| SkipTabs::Result(found.found_tabs(), true)))
    }

    fn skip(&mut self) {
        self.last = self.text.peek();
        self.text.skip();
    }

    fn skip_while_non_breakz(&mut self) -> usize {
        self.text.skip_while_non_breakz()
    }

    /// Called with 1 to learn what a `\` in double quotes escapes. In single quotes, a `\` is a character like any other.
    fn peek_nth(&self, n: usize) -> char {
        match self.text.peek_nth(n) {
            '\'' if n == 1 && self.text.peek() == '\\' => 'e',
            found => found,
        }
    }

    fn lookahead(&mut self, count: usize) { self.text.lookahead(count); }
    fn buflen(&self) -> usize { self.text.buflen() }
    fn bufmaxlen(&self) -> usize { self.text.bufmaxlen() }
    fn raw_read_ch(&mut self) -> char { self.text.raw_read_ch() }
    fn raw_read_non_breakz_ch(&mut self) -> Option<char> { self.text.raw_read_non_breakz_ch() }
    fn skip_n(&mut self, count: usize) { self.text.skip_n(count); }
    fn peek(&self) -> char { self.text.peek() }
    fn peek_opt(&self) -> Option<char> { self.text.peek_opt() }

    // The trait's own versions of these decode a character for each question. Those of a string look at its bytes.
    fn buf_is_empty(&self) -> bool { self.text.buf_is_empty() }
    fn next_char_is(&self, expected: char) -> bool { self.text.next_char_is(expected) }
    fn nth_char_is(&self, n: usize, expected: char) -> bool { self.text.nth_char_is(n, expected) }
    fn next_2_are(&self, first: char, second: char) -> bool { self.text.next_2_are(first, second) }
    fn next_3_are(&self, first: char, second: char, third: char) -> bool { self.text.next_3_are(first, second, third) }
    fn next_is_document_indicator(&self) -> bool { self.text.next_is_document_indicator() }
    fn next_is_document_start(&self) -> bool { self.text.next_is_document_start() }
    fn next_is_document_end(&self) -> bool { self.text.next_is_document_end() }
    fn next_can_be_plain_scalar(&self, in_flow: bool) -> bool { self.text.next_can_be_plain_scalar(in_flow) }
    fn next_is_blank_or_break(&self) -> bool { self.text.next_is_blank_or_break() }
    fn next_is_blank_or_breakz(&self) -> bool { self.text.next_is_blank_or_breakz() }
    fn next_is_blank(&self) -> bool { self.text.next_is_blank() }
    fn next_is_break(&self) -> bool { self.text.next_is_break() }
    fn next_is_breakz(&self) -> bool { self.text.next_is_breakz() }
    fn next_is_z(&self) -> bool { self.text.next_is_z() }
    fn next_is_flow(&self) -> bool { self.text.next_is_flow() }
    fn next_is_digit(&self) -> bool { self.text.next_is_digit() }
    fn next_is_alpha(&self) -> bool { self.text.next_is_alpha() }
    fn skip_while_blank(&mut self) -> usize { self.text.skip_while_blank() }
    fn fetch_while_is_alpha(&mut self, out: &mut String) -> usize { self.text.fetch_while_is_alpha(out) }
    fn fetch_while_is_yaml_non_space(&mut self, out: &mut String) -> usize { self.text.fetch_while_is_yaml_non_space(out) }
}
