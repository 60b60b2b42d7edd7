//! Reads the first document of a file in one pass over saphyr-parser's events: builds a [`Tree`] with values and positions,
//! and collects problems. Depends on the other files of this directory except `positions`. Never recurses, and never creates
//! more than `MAX_NODES` nodes or `MAX_PROBLEMS` problems.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::duplicate_keys;
use super::extent::{
    end_of_brackets, is_property_end, scalar_length, skip_blank, skip_indicators, skip_properties,
};
use super::lenient_input::{LenientInput, restore_quotes};
use super::line_index::{LineIndex, Span};
use super::problem::{MAX_DEPTH, MAX_NODES, MAX_PROBLEMS, MERGE_KEY, Problem, ProblemKind};
use super::scalar::plain_scalar;
use super::syntax_error::{TAB, describe_syntax_error};
use super::tree::{Node, NodeId, NodeKind, Slot, Tree};
use crate::steps;

/// Reads the first document.
pub(crate) fn read<'a>(index: &LineIndex<'a>) -> Tree<'a> {
    let text = index.text();
    let mut reader = Reader {
        index,
        // Most files have fewer nodes than that, so the list of nodes is allocated once.
        tree: Tree { nodes: Vec::with_capacity((text.len() / 8).min(MAX_NODES)), ..Tree::default() },
        open: Vec::new(),
        anchors: HashMap::new(),
        anchor_names: HashMap::new(),
        start: 0,
        end: 0,
        last: 0,
        has_tabs: text.contains('\t'),
    };
    let mut parser = Parser::new(LenientInput::new(text));
    loop {
        match parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => break,
            Some(Ok((Event::DocumentEnd, _))) => {
                let next = parser.next_event();
                reader.tree.documents_ignored = !matches!(next, None | Some(Ok((Event::StreamEnd, _))));
                break;
            }
            Some(Ok((event, span))) => {
                reader.start = index.byte_of_char(span.start.index());
                reader.end = index.byte_of_char(span.end.index()).max(reader.start);
                if let Err((limit, byte)) = reader.push_event(event) {
                    reader.stop(Problem::from(limit).with_span(index.char_at(byte)));
                    break;
                }
            }
            Some(Err(error)) => {
                let byte = index.byte_of_char(error.marker().index());
                reader.stop(describe_syntax_error(error.info(), index, byte));
                break;
            }
        }
    }
    reader.tree.problems.sort_by_key(|problem| problem.span);
    reader.tree
}

/// A limit that was reached, and the byte at which it was.
type Limit = (ProblemKind, usize);

/// A list or map that is not closed yet.
struct OpenNode {
    id: NodeId,
    /// The slot of the next child.
    next: Slot,
    /// Whether a bracket opened it, so that a bracket closes it.
    bracket: bool,
}

struct Reader<'i, 'a> {
    index: &'i LineIndex<'a>,
    tree: Tree<'a>,
    open: Vec<OpenNode>,
    /// Maps saphyr-parser's number of an anchor to its node.
    anchors: HashMap<usize, NodeId>,
    /// Maps the name of an anchor to its latest position.
    anchor_names: HashMap<&'a str, Span>,
    /// The extent of the event that is being read, as the parser reports it.
    start: usize,
    end: usize,
    /// The end of the last non-empty token.
    last: usize,
    has_tabs: bool,
}

impl<'a> Reader<'_, 'a> {
    fn stop(&mut self, problem: Problem) {
        self.tree.incomplete = true;
        while let Some(open) = self.open.pop() {
            self.close(&open, self.last);
        }
        // A template on the same line explains a syntax error.
        let line = |problem: &Problem| problem.span.map(|span| span.start.line);
        let is_explained =
            |other: &Problem| other.kind == ProblemKind::Template && line(other) == line(&problem);
        if !self.tree.problems.iter().any(is_explained) {
            self.tree.problems.push(problem);
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

    fn push_event(&mut self, event: Event<'a>) -> Result<(), Limit> {
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(text, style, anchor, tag.as_deref()),
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor);
                let kind = target.map_or(NodeKind::Null, |target| NodeKind::Alias(*target));
                self.add(kind, self.start, self.end, false).map(drop)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq");
                self.open(NodeKind::Sequence, anchor, tag.is_some())
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "map");
                self.open(NodeKind::Mapping, anchor, tag.is_some())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let end = match open.bracket {
                        true => end_of_brackets(self.index.text(), self.last, self.end),
                        false => self.last,
                    };
                    self.close(&open, end);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        mut text: Cow<'a, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), Limit> {
        let has_valid_tag = self.check_tag(tag, "str");
        let tagged = tag.is_some();
        let (start, end) = (self.start, self.end);
        let source = self.index.text();
        let is_plain = style == ScalarStyle::Plain;
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let has_properties = anchor != 0 || tagged;
        let (from, to) = if is_plain && text.is_empty() && !has_properties {
            let at = skip_indicators(source, self.last, start);
            (at, at)
        } else {
            let mut from = if has_properties { skip_properties(source, start, end) } else { start };
            if !has_properties && is_block {
                // The event starts after the `|` or `>`.
                from = skip_blank(source, skip_indicators(source, self.last, start)).min(start);
            }
            (from, from + scalar_length(&source[from..end.max(from)]))
        };
        if style == ScalarStyle::DoubleQuoted {
            restore_quotes(&mut text, &source[from..to]);
        }
        if is_block && end == source.len() && !last_line(source).trim().is_empty() && text.ends_with('\n') {
            // The parser adds the line break that the end of the file lacks.
            text.to_mut().pop();
        }
        let kind = if is_plain && !tagged { plain_scalar(text) } else { Some(NodeKind::String(text)) };
        let is_finite = kind.is_some();
        let id = self.add(kind.unwrap_or(NodeKind::Null), from, to, anchor != 0)?;
        self.record_anchor(anchor, id, start, from);
        let node = &mut self.tree.nodes[id as usize];
        if node.slot != Slot::Key && !(is_finite && has_valid_tag) {
            node.unreadable = true;
            if !is_finite {
                self.report(ProblemKind::NotFinite, from, to);
            }
        }
        Ok(())
    }

    fn open(&mut self, kind: NodeKind<'a>, anchor: usize, tagged: bool) -> Result<(), Limit> {
        let (start, end) = (self.start, self.end);
        let text = self.index.text();
        let from = match anchor != 0 || tagged {
            true => skip_properties(text, start, text.len()),
            false => start,
        };
        if self.open.len() == MAX_DEPTH {
            return Err((ProblemKind::TooDeep, from));
        }
        let bracket = text[from..].starts_with(['[', '{']) && (from < end || anchor != 0 || tagged);
        let next = if matches!(kind, NodeKind::Sequence) { Slot::Item(0) } else { Slot::Key };
        let id = self.add(kind, from, from + usize::from(bracket), anchor != 0)?;
        self.record_anchor(anchor, id, start, from);
        self.open.push(OpenNode { id, next, bracket });
        Ok(())
    }

    fn close(&mut self, open: &OpenNode, end: usize) {
        let next = self.next_id();
        let node = &mut self.tree.nodes[open.id as usize];
        node.end = end.max(node.start);
        node.next = next;
        self.last = self.last.max(node.end);
        if matches!(node.kind, NodeKind::Mapping) {
            self.check_keys(open.id);
        }
    }

    /// Adds a node as a child of the innermost open one.
    fn add(&mut self, kind: NodeKind<'a>, start: usize, end: usize, anchored: bool) -> Result<NodeId, Limit> {
        steps::count(1);
        if self.tree.nodes.len() == MAX_NODES {
            return Err((ProblemKind::TooManyNodes, start));
        }
        let id = self.next_id();
        let (mut parent, mut slot) = (None, Slot::Root);
        if let Some(open) = self.open.last_mut() {
            (parent, slot) = (Some(open.id), open.next);
            open.next = match slot {
                Slot::Item(index) => Slot::Item(index + 1),
                Slot::Key => Slot::Value(id),
                Slot::Value(_) | Slot::Root => Slot::Key,
            };
        }
        if slot == Slot::Key && !matches!(kind, NodeKind::String(_)) {
            let is_template = matches!(kind, NodeKind::Mapping) && self.index.text()[..start].ends_with('{');
            match parent.filter(|_| is_template) {
                Some(outer) => {
                    self.tree.nodes[outer as usize].unreadable = true;
                    self.report(ProblemKind::Template, start - 1, start + 1);
                }
                None => self.report(ProblemKind::KeyNotString, start, end),
            }
        }
        if self.has_tabs && matches!(slot, Slot::Key | Slot::Item(_)) {
            self.check_indentation(start);
        }
        let anchored = anchored || parent.is_some_and(|parent| self.tree.nodes[parent as usize].anchored);
        self.tree.nodes.push(Node {
            kind,
            parent,
            slot,
            start,
            end,
            next: id + 1,
            anchored,
            unreadable: false,
        });
        self.last = self.last.max(end);
        Ok(id)
    }

    /// Reports a tab before a key or an item in the innermost open node, unless that is in brackets.
    fn check_indentation(&mut self, start: usize) {
        if self.open.iter().any(|open| open.bracket) {
            return;
        }
        let line = last_line(&self.index.text()[..start]);
        steps::count(line.len());
        let indentation = line.trim_start_matches(' ');
        let is_indentation = |found| matches!(found, ' ' | '\t' | '-' | '?');
        if indentation.starts_with('\t') && indentation.chars().all(is_indentation) {
            let at = start - indentation.len();
            let problem = Problem::new(ProblemKind::Syntax, TAB.0, TAB.1);
            self.push_problem(problem.with_span(self.index.span(at, at + 1)));
        }
    }

    /// Returns the identifier of the node that will be added next.
    fn next_id(&self) -> NodeId {
        // There are at most MAX_NODES nodes.
        NodeId::try_from(self.tree.nodes.len()).unwrap_or(NodeId::MAX)
    }

    /// Reports the duplicate keys of a map, and each value of `<<` that cannot be merged. Moves what follows a key into its value if
    /// missing indentation explains the duplicates.
    fn check_keys(&mut self, map: NodeId) {
        let is_string = |id: &NodeId| self.tree.key(*id).is_some();
        let mut keys: Vec<_> = self.tree.children(map).filter(is_string).collect();
        // Equal keys stay in the order of the file.
        keys.sort_by_key(|id| self.tree.key(*id));
        if keys.windows(2).any(|pair| self.tree.key(pair[0]) == self.tree.key(pair[1])) {
            let mut problems = std::mem::take(&mut self.tree.problems);
            let before = problems.len();
            let empty = duplicate_keys::describe(&self.tree, self.index, map, &keys, |problem| {
                let is_last = |last: &Problem| (last.kind, last.span) == (problem.kind, problem.span);
                if problems.len() < MAX_PROBLEMS && !problems.last().is_some_and(is_last) {
                    problems.push(problem);
                }
            });
            let new = &mut problems[before..];
            let is_nested = empty.is_some_and(|empty| self.tree.nest_below(empty, map));
            if !is_nested {
                for pair in keys.windows(2) {
                    let (first, again) = (self.tree.key(pair[0]), self.tree.key(pair[1]));
                    self.tree.nodes[pair[1] as usize].unreadable = first == again && again != Some(MERGE_KEY);
                }
                // The keys of different maps are mixed up.
                let is_mixed = new.iter().any(|problem| problem.kind != ProblemKind::DuplicateKey);
                self.tree.nodes[map as usize].unreadable |= is_mixed;
            }
            new.iter_mut().for_each(|problem| problem.is_repaired = true);
            self.tree.problems = problems;
        }
        keys.retain(|id| self.tree.key(*id) == Some(MERGE_KEY));
        for merge in keys {
            self.check_merge(merge);
        }
    }

    /// Reports the value of a key `<<` unless it is a map or a list of maps.
    fn check_merge(&mut self, key: NodeId) {
        let value = key + 1;
        if self.tree.node(value).is_none_or(|node| node.slot != Slot::Value(key)) {
            return;
        }
        let kind = |id: NodeId| &self.tree.nodes[self.tree.resolve(id) as usize].kind;
        let sources = match kind(value) {
            NodeKind::Sequence => self.tree.children(self.tree.resolve(value)).collect(),
            _ => vec![value],
        };
        let invalid = sources.into_iter().filter(|source| !matches!(kind(*source), NodeKind::Mapping));
        for source in invalid.collect::<Vec<_>>() {
            self.push_problem(
                Problem::from(ProblemKind::Merge).with_span(self.tree.span(source, self.index)),
            );
        }
    }

    fn record_anchor(&mut self, anchor: usize, id: NodeId, start: usize, end: usize) {
        if anchor == 0 {
            return;
        }
        self.anchors.insert(anchor, id);
        let text = self.index.text();
        let Some(sign) = text[start..end].find('&') else { return };
        let name = &text[start + sign + 1..];
        let name = &name[..name.find(is_property_end).unwrap_or(name.len())];
        let span = self.index.span(start + sign + 1, start + sign + 1 + name.len());
        // An alias would silently refer to the later one.
        if let Some(first) = self.anchor_names.insert(name, span) {
            let problem = Problem::from(ProblemKind::AnchorRedefined).with_span(span);
            self.push_problem(problem.with_related(first));
        }
    }

    /// Reports a tag unless it is the one that has no effect. Returns whether there is no such problem.
    fn check_tag(&mut self, tag: Option<&Tag>, allowed: &str) -> bool {
        let Some(tag) = tag else { return true };
        let is_valid = tag.is_yaml_core_schema() && tag.suffix == allowed;
        if !is_valid {
            let rest = &self.index.text()[self.start..];
            let from = self.start + rest.find('!').unwrap_or(0);
            let length = self.index.text()[from..].find(is_property_end).unwrap_or(rest.len());
            self.report(ProblemKind::Tag, from, from + length);
        }
        is_valid
    }
}

fn last_line(text: &str) -> &str {
    text.rsplit(['\n', '\r']).next().unwrap_or_default()
}
