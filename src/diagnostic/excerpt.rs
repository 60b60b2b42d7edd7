//! One line of a file as it may be shown: masked, cut to fit, and where to underline. Depends on `source`. What is not known
//! to be harmless is masked; a comment is cut off, since people leave secrets in comments.

use std::ops::Range;

use super::source::{Disclosure, Source, Visibility};
use crate::yaml::{Leaf, Positions, Role, Span, display_key};

/// What stands for a text that is not shown.
const MASK: &str = "...";

/// How many bytes of a line are looked at on either side of what is underlined.
const REACH: usize = 512;

/// A line as it may be shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// The line's number, from 1.
    pub(super) line: usize,
    /// The text, masked and cut.
    pub(super) text: String,
    /// Columns of the terminal before the underline.
    pub(super) indent: usize,
    /// Columns under which it stands; at least one.
    pub(super) length: usize,
}

/// The first line of `span`, at most `width` columns wide. Nothing where the text has no such line.
pub(super) fn excerpt(source: &Source<'_>, span: Span, width: usize) -> Option<Excerpt> {
    let positions = source.positions();
    let (start, end) = positions.line(span.start.line)?;
    let focus = span.start.byte.clamp(start, end);
    let mut line = Line { text: source.text(), cells: Vec::new() };
    let reach = floor(source.text(), focus.saturating_sub(REACH).max(start))
        ..floor(source.text(), focus.saturating_add(REACH).min(end));
    if positions.broken() {
        line.guess(source.disclosure(), start, reach, focus);
    } else {
        line.mask(source.disclosure(), positions, start..end, reach);
    }
    let under = line.under(focus..span.end.byte.clamp(focus, end));
    let (text, indent, length) = line.fit(under, width);
    Some(Excerpt { line: span.start.line, text, indent, length })
}

fn floor(text: &str, mut byte: usize) -> usize {
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// One character of what is shown, and the bytes of the file that it stands for.
struct Cell {
    shown: char,
    bytes: Range<usize>,
}

struct Line<'a> {
    text: &'a str,
    cells: Vec<Cell>,
}

impl Line<'_> {
    /// Fills the line from the leaves: keys, known scalars, and the punctuation between them.
    fn mask(
        &mut self,
        disclosure: &dyn Disclosure,
        positions: &Positions<'_>,
        line: Range<usize>,
        reach: Range<usize>,
    ) {
        let mut at = if reach.start > line.start {
            positions.end_before(reach.start).max(line.start)
        } else {
            line.start
        };
        for leaf in positions.leaves(at, reach.end) {
            self.between(at..leaf.start.max(at));
            let part = leaf.start.max(at)..leaf.end.min(line.end);
            at = part.end.max(at);
            if !may_show(disclosure, positions, &leaf) {
                self.hide(part);
            } else {
                let part = self.without_comment(&leaf, part);
                self.show(part.start.max(reach.start)..part.end.min(reach.end.max(part.start)));
            }
        }
        if at < reach.end {
            self.between(at..reach.end);
        }
    }

    /// Of the first line of a text block, the `|` or `>` alone: a comment may follow.
    fn without_comment(&self, leaf: &Leaf<'_>, part: Range<usize>) -> Range<usize> {
        let text = &self.text[part.clone()];
        if part.start == leaf.start && text.starts_with(['|', '>']) {
            return part.start..part.start + text.find(char::is_whitespace).unwrap_or(text.len());
        }
        part
    }

    /// Fills the line where there are no leaves to trust: white space, a known key at its start, and the one character of
    /// punctuation that the error is about.
    fn guess(&mut self, disclosure: &dyn Disclosure, start: usize, reach: Range<usize>, focus: usize) {
        let mut at = reach.start;
        if at == start {
            let line = &self.text[reach.clone()];
            let rest = line.trim_start_matches([' ', '-']);
            let key = rest.split(':').next().unwrap_or("");
            let markers = line.len() - rest.len();
            let well_formed = line[..markers].split(' ').all(|part| part.is_empty() || part == "-");
            if well_formed {
                at += markers;
                if rest[key.len()..].starts_with(':') && disclosure.names_property(key) {
                    at += key.len() + 1;
                }
                self.show(start..at);
            }
        }
        let mut hidden = at;
        while at < reach.end {
            let Some(found) = self.text[at..].chars().next() else { break };
            let next = at + found.len_utf8();
            if found.is_whitespace() || (at == focus && found.is_ascii_punctuation()) {
                self.hide(hidden..at);
                self.show(at..next);
                hidden = next;
            }
            at = next;
        }
        self.hide(hidden..reach.end);
    }

    /// What stands between two leaves: white space, indicators, anchors, tags, and at the end a comment.
    fn between(&mut self, range: Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            let rest = &self.text[at..range.end];
            let blank = rest.len() - rest.trim_start().len();
            let mark = rest[blank..].len() - rest[blank..].trim_start_matches(is_indicator).len();
            self.show(at..at + blank + mark);
            at += blank + mark;
            let rest = &self.text[at..range.end];
            if rest.starts_with('#') {
                // The comment is the rest of the line, and counts as its end.
                return;
            }
            let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
            self.hide(at..at + word);
            at += word;
        }
    }

    fn show(&mut self, range: Range<usize>) {
        for (offset, found) in self.text[range.clone()].char_indices() {
            let bytes = range.start + offset..range.start + offset + found.len_utf8();
            match found {
                '\t' => self.cells.extend((0..4).map(|_| Cell { shown: ' ', bytes: bytes.clone() })),
                _ => self.cells.push(Cell { shown: printable(found), bytes }),
            }
        }
    }

    /// Puts the mask for all but the white space at the start.
    fn hide(&mut self, range: Range<usize>) {
        let text = &self.text[range.clone()];
        let start = range.start + text.len() - text.trim_start_matches([' ', '\t']).len();
        self.show(range.start..start);
        if start < range.end {
            self.cells.extend(MASK.chars().map(|shown| Cell { shown, bytes: start..range.end }));
        }
    }

    /// The cells that stand for these bytes; empty for no bytes, and for a place behind the last cell.
    fn under(&self, bytes: Range<usize>) -> Range<usize> {
        let start = self.cells.partition_point(|cell| cell.bytes.end <= bytes.start);
        let end = self.cells.partition_point(|cell| cell.bytes.start < bytes.end.max(bytes.start + 1));
        start..end.max(start)
    }

    /// The text within `columns`, and where the underline is: so much before it, so long.
    fn fit(&self, under: Range<usize>, columns: usize) -> (String, usize, usize) {
        let columns = columns.max(20);
        let used = self.cells.iter().rposition(|cell| cell.shown != ' ').map_or(0, |last| last + 1);
        let width = |range: Range<usize>| -> usize {
            self.cells.get(range).into_iter().flatten().map(|cell| columns_of(cell.shown)).sum()
        };
        let mut from = 0;
        if width(0..used) > columns && width(0..under.end) + 1 > columns {
            // Some of what is before stays, as far as the underlined part leaves room.
            from = under.start;
            let spare = (columns - 2).saturating_sub(width(under.clone())).min(columns / 2);
            while from > 0 && width(from - 1..under.start) <= spare {
                from -= 1;
            }
        }
        let lead = usize::from(from > 0);
        let mut to = from;
        while to < used && lead + width(from..to + 1) <= columns - usize::from(to + 1 < used) {
            to += 1;
        }
        let mut text = String::new();
        text.extend((from > 0).then_some('…'));
        text.extend(self.cells[from..to.max(from)].iter().map(|cell| cell.shown));
        text.extend((to < used).then_some('…'));
        let indent = lead + width(from..under.start.min(self.cells.len()));
        let length = width(under.start..under.end.min(to.max(under.start))).max(1);
        (text, indent, length)
    }
}

/// Whether a leaf may be shown as it is written.
fn may_show(disclosure: &dyn Disclosure, positions: &Positions<'_>, leaf: &Leaf<'_>) -> bool {
    match leaf.role {
        Role::Key(key) => {
            let around = positions.around(leaf);
            display_key(key) == key && around.is_none_or(|map| disclosure.shows_keys(map.as_str()))
        }
        Role::Alias => false,
        // An alias could bring it to where it is a secret.
        Role::Value if leaf.shared => false,
        Role::Value => positions
            .pointer(leaf)
            .is_some_and(|pointer| disclosure.visibility(pointer.as_str()) == Some(Visibility::Visible)),
    }
}

const fn is_indicator(found: char) -> bool {
    matches!(found, '-' | ':' | ',' | '[' | ']' | '{' | '}' | '?')
}

/// A character as a terminal may get it: none that moves the cursor, or that turns the text around.
pub(super) fn printable(found: char) -> char {
    match found {
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
            '\u{fffd}'
        }
        _ if found.is_control() => '\u{fffd}',
        _ => found,
    }
}

/// How many columns of a terminal a character takes. Only an underline depends on it, so the large blocks are enough.
fn columns_of(found: char) -> usize {
    match u32::from(found) {
        0x300..=0x36f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff => 2,
        0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}
