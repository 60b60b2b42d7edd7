//! Creates an excerpt: one line of a file, masked, truncated to fit, with the position of the underline. Depends on
//! `source_file`. Everything not known to be harmless is masked; comments are dropped, because they may contain secrets.

use std::ops::Range;

use super::source_file::{Disclosure, SourceFile, Visibility};
use super::terminal::{columns_of, printable};
use crate::yaml::Span;
use crate::yaml::internal::{Leaf, LeafRole, MASK, Positions};
use crate::yaml::steps;

/// The number of bytes considered on either side of the start of the underline, which bounds the time for a long line.
const CONTEXT: usize = 512;

/// A line of a file, ready to be shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// The line number, counted from 1.
    pub(super) line: usize,
    /// The masked and truncated text.
    pub(super) text: String,
    /// The number of terminal columns before the underline.
    pub(super) indent: usize,
    /// The number of terminal columns of the underline; at least one.
    pub(super) length: usize,
}

/// Returns an excerpt of the first line of `span`, at most `width` columns wide; `None` if the file has no such line.
pub(super) fn excerpt(source: &SourceFile<'_>, span: Span, width: usize) -> Option<Excerpt> {
    let positions = source.positions();
    let (start, end) = positions.line(span.start.line)?;
    let focus = span.start.byte.clamp(start, end);
    let mut line = Line { text: source.text(), cells: Vec::new() };
    let window = floor_char_boundary(source.text(), focus.saturating_sub(CONTEXT).max(start))
        ..floor_char_boundary(source.text(), focus.saturating_add(CONTEXT).min(end));
    if positions.is_incomplete() {
        line.mask_unparsed(source.disclosure(), start, window, focus);
    } else {
        line.mask_parsed(source.disclosure(), positions, start..end, window);
    }
    let underline = line.cells_of(focus..span.end.byte.clamp(focus, end));
    let (text, indent, length) = line.fit(underline, width);
    Some(Excerpt { line: span.start.line, text, indent, length })
}

fn floor_char_boundary(text: &str, mut byte: usize) -> usize {
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// A displayed character and the bytes of the file that it represents.
struct Cell {
    shown: char,
    bytes: Range<usize>,
}

struct Line<'a> {
    text: &'a str,
    cells: Vec<Cell>,
}

impl Line<'_> {
    /// Fills the line from the leaves: shows keys, visible scalars, and the punctuation between them.
    fn mask_parsed(
        &mut self,
        disclosure: &dyn Disclosure,
        positions: &Positions<'_>,
        line: Range<usize>,
        window: Range<usize>,
    ) {
        let mut at = positions.end_before(window.start).max(line.start);
        for leaf in positions.leaves(at, window.end) {
            self.push_separators(at..leaf.start.max(at));
            let part = leaf.start.max(at)..leaf.end.min(line.end);
            at = part.end.max(at);
            if !may_show(disclosure, positions, &leaf) {
                self.hide(part);
            } else {
                let part = self.without_comment(&leaf, part);
                self.show(part.start.max(window.start)..part.end.min(window.end.max(part.start)));
            }
        }
        self.push_separators(at..window.end);
    }

    /// Reduces the first line of a block scalar to its `|` or `>`, because a comment may follow.
    fn without_comment(&self, leaf: &Leaf<'_>, part: Range<usize>) -> Range<usize> {
        let text = &self.text[part.clone()];
        if part.start == leaf.start && text.starts_with(['|', '>']) {
            return part.start..part.start + text.find(char::is_whitespace).unwrap_or(text.len());
        }
        part
    }

    /// Fills the line if a syntax error makes the leaves unreliable: shows whitespace, a known key at the start, and the
    /// single punctuation character that the error points to.
    fn mask_unparsed(
        &mut self,
        disclosure: &dyn Disclosure,
        start: usize,
        window: Range<usize>,
        focus: usize,
    ) {
        let mut at = window.start;
        if at == start {
            let line = &self.text[window.clone()];
            let rest = line.trim_start_matches([' ', '-']);
            let key = rest.split(':').next().unwrap_or("");
            let markers = line.len() - rest.len();
            let well_formed = line[..markers].split(' ').all(|part| part.is_empty() || part == "-");
            if well_formed {
                at += markers;
                if rest[key.len()..].starts_with(':') && disclosure.is_property_name(key) {
                    at += key.len() + 1;
                }
                self.show(start..at);
            }
        }
        let mut hidden = at;
        for (offset, character) in self.text[at..window.end].char_indices() {
            let here = at + offset;
            if character.is_whitespace() || (here == focus && character.is_ascii_punctuation()) {
                self.hide(hidden..here);
                hidden = here + character.len_utf8();
                self.show(here..hidden);
            }
        }
        self.hide(hidden..window.end);
    }

    /// Adds the text between two leaves: shows whitespace and indicators, hides anchors and tags, drops a comment.
    fn push_separators(&mut self, range: Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            let rest = &self.text[at..range.end];
            let spaces = rest.len() - rest.trim_start().len();
            let indicators = rest[spaces..].len() - rest[spaces..].trim_start_matches(is_indicator).len();
            self.show(at..at + spaces + indicators);
            at += spaces + indicators;
            let rest = &self.text[at..range.end];
            if rest.starts_with('#') {
                // The comment extends to the end of the line.
                return;
            }
            let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
            self.hide(at..at + word);
            at += word;
        }
    }

    fn show(&mut self, range: Range<usize>) {
        steps::count(range.len());
        for (offset, character) in self.text[range.clone()].char_indices() {
            let bytes = range.start + offset..range.start + offset + character.len_utf8();
            match character {
                '\t' => self.cells.extend((0..4).map(|_| Cell { shown: ' ', bytes: bytes.clone() })),
                _ => self.cells.push(Cell { shown: printable(character), bytes }),
            }
        }
    }

    /// Adds the leading whitespace, then the mask for the rest.
    fn hide(&mut self, range: Range<usize>) {
        let text = &self.text[range.clone()];
        let start = range.start + text.len() - text.trim_start_matches([' ', '\t']).len();
        self.show(range.start..start);
        if start < range.end {
            self.cells.extend(MASK.chars().map(|shown| Cell { shown, bytes: start..range.end }));
        }
    }

    /// Returns the cells that represent these bytes; empty after the last cell.
    fn cells_of(&self, bytes: Range<usize>) -> Range<usize> {
        let start = self.cells.partition_point(|cell| cell.bytes.end <= bytes.start);
        let end = self.cells.partition_point(|cell| cell.bytes.start < bytes.end.max(bytes.start + 1));
        start..end.max(start)
    }

    /// Truncates the line to `columns`. Returns the text, and the indentation and length of the underline.
    fn fit(&self, underline: Range<usize>, columns: usize) -> (String, usize, usize) {
        let columns = columns.max(20);
        let used = self.cells.iter().rposition(|cell| cell.shown != ' ').map_or(0, |last| last + 1);
        let column = |cell: &Cell| columns_of(cell.shown);
        let width =
            |range: Range<usize>| -> usize { self.cells.get(range).into_iter().flatten().map(column).sum() };
        let mut from = 0;
        if width(0..used) > columns && width(0..underline.end) + 1 > columns {
            // Keep some text before the underlined part, as far as there is room.
            from = underline.start;
            let mut spare = (columns - 2).saturating_sub(width(underline.clone())).min(columns / 2);
            while let Some(cell) = self.cells[..from].last()
                && column(cell) <= spare
            {
                from -= 1;
                spare -= column(cell);
            }
        }
        let lead = usize::from(from > 0);
        let mut to = from;
        let mut shown = lead;
        while to < used && shown + column(&self.cells[to]) <= columns - usize::from(to + 1 < used) {
            shown += column(&self.cells[to]);
            to += 1;
        }
        let mut text = String::new();
        text.extend((from > 0).then_some('…'));
        text.extend(self.cells[from..to.max(from)].iter().map(|cell| cell.shown));
        text.extend((to < used).then_some('…'));
        let indent = lead + width(from..underline.start.min(self.cells.len()));
        let length = width(underline.start..underline.end.min(to.max(underline.start))).max(1);
        (text, indent, length)
    }
}

/// Returns whether a leaf may be shown as written.
fn may_show(disclosure: &dyn Disclosure, positions: &Positions<'_>, leaf: &Leaf<'_>) -> bool {
    match leaf.role {
        LeafRole::Key(key) => {
            let maps = positions.containers(leaf);
            maps.is_some_and(|maps| maps.iter().all(|map| disclosure.shows_key(map.as_str(), key)))
        }
        LeafRole::Alias => false,
        // An alias puts a scalar in several places. One that may not show it takes precedence.
        LeafRole::Value(string) => positions.pointers(leaf).is_some_and(|pointers| {
            pointers.iter().all(|pointer| match disclosure.visibility(pointer.as_str(), string) {
                Some(visibility) => visibility == Visibility::Visible,
                None => string.is_some_and(|string| disclosure.is_known_word(string)),
            })
        }),
    }
}

const fn is_indicator(character: char) -> bool {
    matches!(character, '-' | ':' | ',' | '[' | ']' | '{' | '}' | '?')
}
