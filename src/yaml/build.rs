//! Builds a [`Tree`] from saphyr-parser's events and collects problems. Never recurses, and never creates more than
//! `MAX_NODES` nodes or `MAX_PROBLEMS` problems.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::extent::{
    anchor_name, end_of_brackets, is_property_end, scalar_length, skip_blank, skip_indicators,
    skip_properties,
};
use super::line_index::LineIndex;
use super::problem::{MAX_DEPTH, MAX_NODES, MAX_PROBLEMS, Problem, ProblemKind};
use super::scalar::{MERGE_KEY, ScalarType, plain_scalar_type};
use super::tree::{Node, NodeId, NodeKind, Slot, Tree};

/// Builds the tree of the first document.
pub(crate) fn build<'a>(index: &LineIndex<'a>) -> Tree<'a> {
    let mut builder = Builder::new(index);
    let mut parser = Parser::new_from_str(index.text());
    loop {
        match parser.next_event() {
            None | Some(Ok((Event::DocumentEnd | Event::StreamEnd, _))) => break,
            Some(Ok((event, span))) => {
                let start = index.byte_of_char(span.start.index());
                let end = index.byte_of_char(span.end.index());
                if let Err(LimitReached { kind, byte }) = builder.push_event(event, start, end.max(start)) {
                    builder.stop(Problem::from(kind).with_span(index.char_at(byte)));
                    break;
                }
            }
            Some(Err(error)) => {
                let byte = index.byte_of_char(error.marker().index());
                let problem = match error.info().contains("recursion limit") {
                    true => Problem::from(ProblemKind::TooDeep),
                    false => Problem::syntax(error.info(), index.text()[byte..].chars().next()),
                };
                builder.stop(problem.with_span(index.char_at(byte)));
                break;
            }
        }
    }
    builder.tree
}

/// A limit was reached at this byte.
struct LimitReached {
    kind: ProblemKind,
    byte: usize,
}

/// A list or map that is not closed yet.
struct OpenNode {
    id: NodeId,
    /// The key that has no value yet.
    key: Option<NodeId>,
    /// Whether a bracket opened it, so that a bracket closes it.
    bracket: bool,
}

struct Builder<'i, 'a> {
    index: &'i LineIndex<'a>,
    tree: Tree<'a>,
    open: Vec<OpenNode>,
    /// Maps saphyr-parser's number of an anchor to its node.
    anchors: HashMap<usize, NodeId>,
    /// Maps the name of an anchor to its latest position.
    anchor_names: HashMap<&'a str, (usize, usize)>,
    /// The end of the last non-empty token.
    last: usize,
}

impl<'i, 'a> Builder<'i, 'a> {
    fn new(index: &'i LineIndex<'a>) -> Self {
        Self {
            index,
            tree: Tree::default(),
            open: Vec::new(),
            anchors: HashMap::new(),
            anchor_names: HashMap::new(),
            last: 0,
        }
    }

    fn stop(&mut self, problem: Problem) {
        self.tree.problems.push(problem);
        self.tree.incomplete = true;
        while let Some(open) = self.open.pop() {
            self.close(&open, self.last);
        }
    }

    fn report(&mut self, kind: ProblemKind, start: usize, end: usize) {
        let span = self.index.span(start, end);
        self.push_problem(Problem::from(kind).with_span(span));
    }

    fn push_problem(&mut self, problem: Problem) {
        if self.tree.problems.len() < MAX_PROBLEMS {
            self.tree.problems.push(problem);
        }
    }

    fn push_event(&mut self, event: Event<'a>, start: usize, end: usize) -> Result<(), LimitReached> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(text, style, anchor, tag.as_deref(), start, end)
            }
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor).copied();
                self.add(NodeKind::Alias(target), start, end, false).map(drop)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", start);
                self.open(NodeKind::Sequence(Vec::new()), anchor, tag.is_some(), start, end)
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", start);
                let kind = NodeKind::Mapping { entries: Vec::new(), merges: Vec::new() };
                self.open(kind, anchor, tag.is_some(), start, end)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let end = if open.bracket {
                        end_of_brackets(self.index.text(), self.last, end)
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
    ) -> Result<(), LimitReached> {
        self.check_tag(tag, "str", start);
        let is_plain = style == ScalarStyle::Plain;
        let has_properties = anchor != 0 || tag.is_some();
        let (from, to) = if is_plain && text.is_empty() && !has_properties {
            let at = skip_indicators(self.index.text(), self.last, start);
            (at, at)
        } else {
            let mut from =
                if has_properties { skip_properties(self.index.text(), start, end) } else { start };
            if !has_properties && matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
                // The event starts after the `|` or `>`.
                from = skip_blank(self.index.text(), skip_indicators(self.index.text(), self.last, start))
                    .min(start);
            }
            (from, from + scalar_length(&self.index.text()[from..end.max(from)]))
        };
        let scalar_type =
            if is_plain && tag.is_none() { plain_scalar_type(&text) } else { ScalarType::String };
        let id = self.add(NodeKind::Scalar(text), from, to, anchor != 0)?;
        self.record_anchor(anchor, id, start, from);
        match (self.tree.nodes[id as usize].slot, scalar_type) {
            (Slot::Key, ScalarType::String) => self.index_key(id),
            (Slot::Key, _) => self.report(ProblemKind::KeyNotString, from, to),
            (_, ScalarType::NotFinite) => self.report(ProblemKind::NotFinite, from, to),
            _ => {}
        }
        Ok(())
    }

    /// Adds a key to the index, or reports it as a duplicate.
    fn index_key(&mut self, id: NodeId) {
        let node = &self.tree.nodes[id as usize];
        let (NodeKind::Scalar(text), Some(map)) = (&node.kind, node.parent) else { return };
        let NodeKind::Mapping { entries, .. } = &self.tree.nodes[map as usize].kind else { return };
        let map_and_key = (map, text.clone());
        match self.tree.keys.get(&map_and_key) {
            None => {
                self.tree.keys.insert(map_and_key, entries.len());
            }
            Some(first) => {
                let Some(first) = entries.get(*first).map(|(key, _)| &self.tree.nodes[*key as usize]) else {
                    return;
                };
                let problem = Problem::duplicate_key(text)
                    .with_span(self.index.span(node.start, node.end))
                    .with_related(self.index.span(first.start, first.end));
                self.push_problem(problem);
            }
        }
    }

    fn open(
        &mut self,
        kind: NodeKind<'a>,
        anchor: usize,
        tagged: bool,
        start: usize,
        end: usize,
    ) -> Result<(), LimitReached> {
        let text = self.index.text();
        let from = match anchor != 0 || tagged {
            true => skip_properties(text, start, text.len()),
            false => start,
        };
        if self.open.len() == MAX_DEPTH {
            return Err(LimitReached { kind: ProblemKind::TooDeep, byte: from });
        }
        let bracket = text[from..].starts_with(['[', '{']) && (from < end || anchor != 0 || tagged);
        let id = self.add(kind, from, from, anchor != 0)?;
        self.record_anchor(anchor, id, start, from);
        if self.tree.nodes[id as usize].slot == Slot::Key {
            self.report(ProblemKind::KeyNotString, from, from + 1);
        }
        if bracket {
            self.last = from + 1;
        }
        self.open.push(OpenNode { id, key: None, bracket });
        Ok(())
    }

    fn close(&mut self, open: &OpenNode, end: usize) {
        let node = &mut self.tree.nodes[open.id as usize];
        node.end = end.max(node.start);
        self.last = self.last.max(node.end);
    }

    /// Adds a node as a child of the innermost open one.
    fn add(
        &mut self,
        kind: NodeKind<'a>,
        start: usize,
        end: usize,
        anchored: bool,
    ) -> Result<NodeId, LimitReached> {
        let id = match NodeId::try_from(self.tree.nodes.len()) {
            Ok(id) if self.tree.nodes.len() < MAX_NODES => id,
            _ => return Err(LimitReached { kind: ProblemKind::TooManyNodes, byte: start }),
        };
        let is_alias = matches!(kind, NodeKind::Alias(_));
        let parent = self.open.last().map(|open| open.id);
        let anchored = anchored || parent.is_some_and(|parent| self.tree.nodes[parent as usize].anchored);
        let slot = self.attach(id);
        self.tree.nodes.push(Node { kind, parent, slot, start, end, anchored });
        self.last = self.last.max(end);
        if is_alias && slot == Slot::Key {
            self.report(ProblemKind::KeyNotString, start, end);
        }
        if let (Slot::Value(key), Some(map)) = (slot, parent) {
            self.record_merge(map, key, id);
        }
        Ok(id)
    }

    /// Attaches the node `id`, which is about to be added, to the innermost open node.
    fn attach(&mut self, id: NodeId) -> Slot {
        let Some(open) = self.open.last_mut() else { return Slot::Root };
        match &mut self.tree.nodes[open.id as usize].kind {
            NodeKind::Sequence(items) => {
                items.push(id);
                Slot::Item(items.len() - 1)
            }
            NodeKind::Mapping { entries, .. } => match open.key.take() {
                None => {
                    open.key = Some(id);
                    Slot::Key
                }
                Some(key) => {
                    entries.push((key, id));
                    Slot::Value(key)
                }
            },
            NodeKind::Scalar(_) | NodeKind::Alias(_) => Slot::Root,
        }
    }

    /// Records `value` as merged if `key` is `<<`.
    fn record_merge(&mut self, map: NodeId, key: NodeId, value: NodeId) {
        if !matches!(&self.tree.nodes[key as usize].kind, NodeKind::Scalar(text) if text == MERGE_KEY) {
            return;
        }
        if let NodeKind::Mapping { merges, .. } = &mut self.tree.nodes[map as usize].kind {
            merges.push(value);
        }
    }

    fn record_anchor(&mut self, anchor: usize, id: NodeId, start: usize, end: usize) {
        if anchor == 0 {
            return;
        }
        self.anchors.insert(anchor, id);
        let Some((from, to)) = anchor_name(self.index.text(), start, end) else { return };
        // serde_yaml can resolve an alias to the wrong anchor once a name is reused.
        if let Some((first_from, first_to)) =
            self.anchor_names.insert(&self.index.text()[from..to], (from, to))
        {
            let problem = Problem::from(ProblemKind::AnchorRedefined)
                .with_span(self.index.span(from, to))
                .with_related(self.index.span(first_from, first_to));
            self.push_problem(problem);
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
