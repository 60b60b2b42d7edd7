//! Builds a [`Tree`] from saphyr-parser's events, and tells what is wrong on the way. Never recurses; never makes more than `MAX_NODES` nodes and `MAX_PROBLEMS` problems.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::extent::{
    anchor_name, behind_bracket, behind_indicator, behind_properties, is_property_end, scalar_length,
    skip_blank,
};
use super::problem::{Problem, ProblemKind, duplicate, syntax};
use super::text::Index;
use super::tree::{Id, Kind, Node, Step, Tree};
use super::value::{MERGE, Plain, plain};
use super::{MAX_DEPTH, MAX_NODES, MAX_PROBLEMS};

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
                    let end = if open.bracket {
                        behind_bracket(self.index.text(), self.last, end)
                    } else {
                        self.last
                    };
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
            let at = behind_indicator(self.index.text(), self.last, start);
            (at, at)
        } else {
            let mut from =
                if has_properties { behind_properties(self.index.text(), start, end) } else { start };
            if !has_properties && matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
                // The event starts behind the `|`.
                from = skip_blank(self.index.text(), behind_indicator(self.index.text(), self.last, start))
                    .min(start);
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
        let from = match anchor != 0 || tagged {
            true => behind_properties(text, start, text.len()),
            false => start,
        };
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
}
