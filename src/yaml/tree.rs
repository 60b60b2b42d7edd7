//! A text's first document as an arena of nodes that know where they stand, and what is wrong in it. Depends on
//! saphyr-parser's events. Never recurses; never holds more than `MAX_NODES` nodes and `MAX_PROBLEMS` problems.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::problem::{Problem, ProblemKind, duplicate, syntax};
use super::text::Index;
use super::value::{MERGE, Plain, plain};
use super::{MAX_DEPTH, MAX_NODES, MAX_PROBLEMS};

/// A node's place in the arena.
pub(crate) type Id = u32;

/// How a node hangs on its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is the document.
    Root,
    /// It is the item at this index.
    Item(usize),
    /// It is a key.
    Key,
    /// It is the value of this key.
    Value(Id),
}

#[derive(Debug)]
pub(crate) enum Kind<'a> {
    Scalar(Cow<'a, str>),
    /// Names the node that it stands for, unless that is unknown.
    Alias(Option<Id>),
    Sequence(Vec<Id>),
    Mapping {
        entries: Vec<(Id, Id)>,
        /// The values of `<<`.
        merges: Vec<Id>,
    },
}

#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) kind: Kind<'a>,
    pub(crate) parent: Option<Id>,
    pub(crate) step: Step,
    /// In bytes, without anchor and tag.
    pub(crate) start: usize,
    /// In bytes; before the white space that follows.
    pub(crate) end: usize,
    /// Whether this node, or one around it, has an anchor: then it has more pointers than one.
    pub(crate) anchored: bool,
}

/// The arena, in the order of the text.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    /// From a map and a key to the entry's place in the map. The first of two equal keys is here.
    pub(crate) keys: HashMap<(Id, Cow<'a, str>), usize>,
    /// Everything that is wrong, in the order of the text. A syntax error is the last one: nothing is known behind it.
    pub(crate) problems: Vec<Problem>,
    /// Whether the end of the document was not reached.
    pub(crate) broken: bool,
}

/// Reads the events of the first document.
pub(crate) fn build<'a>(index: &Index<'a>) -> Tree<'a> {
    let mut builder = Builder::new(index);
    let mut parser = Parser::new_from_str(index.text());
    loop {
        match parser.next_event() {
            None | Some(Ok((Event::DocumentEnd | Event::StreamEnd, _))) => break,
            Some(Ok((event, span))) => {
                let start = index.byte_of_char(span.start.index());
                let end = index.byte_of_char(span.end.index());
                if let Err(Stop(kind, at)) = builder.take(event, start, end.max(start)) {
                    builder.stop(Problem::of(kind).at(index.char_at(at)));
                    break;
                }
            }
            Some(Err(error)) => {
                let at = index.char_at(index.byte_of_char(error.marker().index()));
                let problem = match error.info().contains("recursion limit") {
                    true => Problem::of(ProblemKind::TooDeep),
                    false => syntax(error.info()),
                };
                builder.stop(problem.at(at));
                break;
            }
        }
    }
    builder.tree
}

/// A limit is reached, at this byte.
struct Stop(ProblemKind, usize);

/// A list or a map that is not closed yet.
struct Open {
    id: Id,
    /// The key that waits for its value.
    key: Option<Id>,
    /// Opened by a bracket, and so closed by one.
    bracket: bool,
}

struct Builder<'i, 'a> {
    index: &'i Index<'a>,
    tree: Tree<'a>,
    open: Vec<Open>,
    /// From saphyr's number of an anchor to its node.
    anchors: HashMap<usize, Id>,
    names: HashMap<&'a str, (usize, usize)>,
    /// Behind the last token that is not empty.
    last: usize,
}

impl<'i, 'a> Builder<'i, 'a> {
    fn new(index: &'i Index<'a>) -> Self {
        let tree = Tree { nodes: Vec::new(), keys: HashMap::new(), problems: Vec::new(), broken: false };
        Self { index, tree, open: Vec::new(), anchors: HashMap::new(), names: HashMap::new(), last: 0 }
    }

    fn stop(&mut self, problem: Problem) {
        self.tree.problems.push(problem);
        self.tree.broken = true;
        while let Some(open) = self.open.pop() {
            self.close(&open, self.last);
        }
    }

    fn report(&mut self, kind: ProblemKind, start: usize, end: usize) {
        let span = self.index.span(start, end);
        self.tell(Problem::of(kind).at(span));
    }

    fn tell(&mut self, problem: Problem) {
        if self.tree.problems.len() < MAX_PROBLEMS {
            self.tree.problems.push(problem);
        }
    }

    fn take(&mut self, event: Event<'a>, start: usize, end: usize) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(text, style, anchor, tag.as_deref(), start, end)
            }
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor).copied();
                self.add(Kind::Alias(target), start, end, false).map(drop)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", start);
                self.start(Kind::Sequence(Vec::new()), anchor, tag.is_some(), start, end)
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", start);
                let kind = Kind::Mapping { entries: Vec::new(), merges: Vec::new() };
                self.start(kind, anchor, tag.is_some(), start, end)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let end = if open.bracket { self.after_bracket(end) } else { self.last };
                    self.close(&open, end);
                }
                Ok(())
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'a, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        start: usize,
        end: usize,
    ) -> Result<(), Stop> {
        self.check_tag(tag, "str", start);
        let is_plain = style == ScalarStyle::Plain;
        let has_properties = anchor != 0 || tag.is_some();
        let (from, to) = if is_plain && text.is_empty() && !has_properties {
            let at = self.after_indicator(start);
            (at, at)
        } else {
            let mut from = self.skip_properties(has_properties, start, end);
            if !has_properties && matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
                // The event starts behind the `|`.
                from = skip_blank(self.index.text(), self.after_indicator(start)).min(start);
            }
            (from, from + scalar_length(&self.index.text()[from..end.max(from)]))
        };
        let meaning = if is_plain && tag.is_none() { plain(&text) } else { Plain::String };
        let id = self.add(Kind::Scalar(text), from, to, anchor != 0)?;
        self.anchor(anchor, id, start, from);
        match (self.tree.nodes[id as usize].step, meaning) {
            (Step::Key, Plain::String) => self.key(id),
            (Step::Key, _) => self.report(ProblemKind::KeyNotString, from, to),
            (_, Plain::NotFinite) => self.report(ProblemKind::NotFinite, from, to),
            _ => {}
        }
        Ok(())
    }

    /// Puts a key into the index, unless it is there.
    fn key(&mut self, id: Id) {
        let node = &self.tree.nodes[id as usize];
        let (Kind::Scalar(text), Some(map)) = (&node.kind, node.parent) else { return };
        let Kind::Mapping { entries, .. } = &self.tree.nodes[map as usize].kind else { return };
        let slot = (map, text.clone());
        match self.tree.keys.get(&slot) {
            None => {
                self.tree.keys.insert(slot, entries.len());
            }
            Some(first) => {
                let Some(first) = entries.get(*first).map(|(key, _)| &self.tree.nodes[*key as usize]) else {
                    return;
                };
                let problem = duplicate(text)
                    .at(self.index.span(node.start, node.end))
                    .beside(self.index.span(first.start, first.end));
                self.tell(problem);
            }
        }
    }

    fn start(
        &mut self,
        kind: Kind<'a>,
        anchor: usize,
        tagged: bool,
        start: usize,
        end: usize,
    ) -> Result<(), Stop> {
        let text = self.index.text();
        let from = self.skip_properties(anchor != 0 || tagged, start, text.len());
        if self.open.len() == MAX_DEPTH {
            return Err(Stop(ProblemKind::TooDeep, from));
        }
        let bracket = text[from..].starts_with(['[', '{']) && (from < end || anchor != 0 || tagged);
        let id = self.add(kind, from, from, anchor != 0)?;
        self.anchor(anchor, id, start, from);
        if self.tree.nodes[id as usize].step == Step::Key {
            self.report(ProblemKind::KeyNotString, from, from + 1);
        }
        if bracket {
            self.last = from + 1;
        }
        self.open.push(Open { id, key: None, bracket });
        Ok(())
    }

    fn close(&mut self, open: &Open, end: usize) {
        let node = &mut self.tree.nodes[open.id as usize];
        node.end = end.max(node.start);
        self.last = self.last.max(node.end);
    }

    /// Adds a node below the innermost open one.
    fn add(&mut self, kind: Kind<'a>, start: usize, end: usize, anchored: bool) -> Result<Id, Stop> {
        let id = match Id::try_from(self.tree.nodes.len()) {
            Ok(id) if self.tree.nodes.len() < MAX_NODES => id,
            _ => return Err(Stop(ProblemKind::TooManyNodes, start)),
        };
        let is_alias = matches!(kind, Kind::Alias(_));
        let parent = self.open.last().map(|open| open.id);
        let anchored = anchored || parent.is_some_and(|parent| self.tree.nodes[parent as usize].anchored);
        let step = self.hang(id);
        self.tree.nodes.push(Node { kind, parent, step, start, end, anchored });
        self.last = self.last.max(end);
        if is_alias && step == Step::Key {
            self.report(ProblemKind::KeyNotString, start, end);
        }
        if let (Step::Value(key), Some(map)) = (step, parent) {
            self.merge(map, key, id);
        }
        Ok(id)
    }

    /// Hangs the node `id`, which is about to be added, on the innermost open node.
    fn hang(&mut self, id: Id) -> Step {
        let Some(open) = self.open.last_mut() else { return Step::Root };
        match &mut self.tree.nodes[open.id as usize].kind {
            Kind::Sequence(items) => {
                items.push(id);
                Step::Item(items.len() - 1)
            }
            Kind::Mapping { entries, .. } => match open.key.take() {
                None => {
                    open.key = Some(id);
                    Step::Key
                }
                Some(key) => {
                    entries.push((key, id));
                    Step::Value(key)
                }
            },
            Kind::Scalar(_) | Kind::Alias(_) => Step::Root,
        }
    }

    /// Notes `value` when `key` is `<<`.
    fn merge(&mut self, map: Id, key: Id, value: Id) {
        if !matches!(&self.tree.nodes[key as usize].kind, Kind::Scalar(text) if text == MERGE) {
            return;
        }
        if let Kind::Mapping { merges, .. } = &mut self.tree.nodes[map as usize].kind {
            merges.push(value);
        }
    }

    fn anchor(&mut self, anchor: usize, id: Id, start: usize, end: usize) {
        if anchor == 0 {
            return;
        }
        self.anchors.insert(anchor, id);
        let Some((from, to)) = anchor_name(self.index.text(), start, end) else { return };
        // serde_yaml can take one anchor for another once a name is given again.
        if let Some((first_from, first_to)) = self.names.insert(&self.index.text()[from..to], (from, to)) {
            let problem = Problem::of(ProblemKind::AnchorRedefined)
                .at(self.index.span(from, to))
                .beside(self.index.span(first_from, first_to));
            self.tell(problem);
        }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, allowed: &str, start: usize) {
        let Some(tag) = tag else { return };
        if !(tag.is_yaml_core_schema() && tag.suffix == allowed) {
            let rest = &self.index.text()[start..];
            let from = start + rest.find('!').unwrap_or(0);
            let length = self.index.text()[from..].find(is_property_end).unwrap_or(rest.len());
            self.report(ProblemKind::Tag, from, from + length);
        }
    }

    /// Where the content starts behind anchor and tag.
    fn skip_properties(&self, any: bool, start: usize, end: usize) -> usize {
        if !any {
            return start;
        }
        let text = &self.index.text()[..end];
        let mut at = skip_blank(text, start);
        while text[at..].starts_with(['&', '!']) {
            at += text[at..].find(is_property_end).unwrap_or(text.len() - at);
            at = skip_blank(text, at);
        }
        at
    }

    /// Where the list or map that the innermost bracket opened ends. `end` is what the event says, which can be too early.
    fn after_bracket(&self, end: usize) -> usize {
        let text = self.index.text();
        let mut at = skip_blank(text, self.last);
        if text[at..].starts_with(',') {
            at = skip_blank(text, at + 1);
        }
        if text[at..].starts_with([']', '}']) { at + 1 } else { end }
    }

    /// Where a value that is not written would stand: behind the last indicator before `limit`.
    fn after_indicator(&self, limit: usize) -> usize {
        let text = self.index.text();
        let mut found = self.last;
        let mut at = skip_blank(text, found);
        // At the limit itself only the `:` is ours: a `-` there starts the next item.
        while at < limit && text[at..].starts_with(['-', '?']) || at <= limit && text[at..].starts_with(':') {
            found = at + 1;
            at = skip_blank(text, found);
        }
        found
    }
}

/// How long the scalar at the start of `text` is. An event of a quoted one ends behind the comment that follows it.
fn scalar_length(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    match text.chars().next() {
        Some('"') => {
            while let Some((at, found)) = chars.next() {
                match found {
                    '"' => return at + 1,
                    '\\' => drop(chars.next()),
                    _ => {}
                }
            }
        }
        Some('\'') => {
            while let Some((at, found)) = chars.next() {
                if found == '\'' && chars.next_if(|(_, next)| *next == '\'').is_none() {
                    return at + 1;
                }
            }
        }
        _ => {}
    }
    text.trim_end().len()
}

/// The anchor's name among the properties in `start..end`, without the `&`.
fn anchor_name(text: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    let mut at = skip_blank(text, start);
    while at < end {
        let length = text[at..].find(is_property_end).unwrap_or(text.len() - at);
        if text[at..].starts_with('&') {
            return Some((at + 1, at + length));
        }
        at = skip_blank(text, at + length.max(1));
    }
    None
}

/// Behind white space and comments.
fn skip_blank(text: &str, mut at: usize) -> usize {
    loop {
        at = text.len() - text[at..].trim_start_matches([' ', '\t', '\n', '\r']).len();
        if !text[at..].starts_with('#') {
            return at;
        }
        at += text[at..].find(['\n', '\r']).unwrap_or(text.len() - at);
    }
}

fn is_property_end(found: char) -> bool {
    matches!(found, ' ' | '\t' | '\n' | '\r' | ',' | '[' | ']' | '{' | '}')
}
