//! Finds the positions of values in a file by JSON pointer. Depends on `tree` and `build`. Requires a second parse, so it is
//! created only when there is something to show.

use std::borrow::Cow;
use std::collections::HashSet;

use super::build::build;
use super::line_index::{LineIndex, Span};
use super::problem::Problem;
use super::tree::{Node, NodeId, NodeKind, Slot, Tree};
use crate::pointer::{Pointer, tokens};

/// The positions of the values in the first document of a file. After a syntax error, only those before the error.
#[derive(Debug)]
pub struct Positions<'a> {
    index: LineIndex<'a>,
    tree: Tree<'a>,
    /// Scalars and aliases, in the order of the file. They do not overlap.
    leaves: Vec<NodeId>,
}

/// A scalar or an alias in the file.
#[derive(Debug, Clone, Copy)]
pub struct Leaf<'p> {
    /// The start, in bytes.
    pub start: usize,
    /// The end (exclusive), in bytes.
    pub end: usize,
    /// The role of the leaf.
    pub role: LeafRole<'p>,
    /// Whether the leaf or one of its ancestors has an anchor, so that aliases may give it further pointers.
    pub anchored: bool,
    id: NodeId,
}

/// The role of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafRole<'p> {
    /// A key, with quotes and escapes resolved.
    Key(&'p str),
    /// A value of a map, or an item of a list.
    Value,
    /// An alias including its `*`, as a value or (invalid) as a key.
    Alias,
}

impl<'a> Positions<'a> {
    /// Parses `text`, as returned by [`decode`](super::decode).
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        let index = LineIndex::new(text);
        let tree = build(&index);
        let is_leaf = |node: &Node<'_>| matches!(node.kind, NodeKind::Scalar(_) | NodeKind::Alias(_));
        let leaves = (0..).zip(&tree.nodes).filter(|(_, node)| is_leaf(node)).map(|(id, _)| id).collect();
        Self { index, tree, leaves }
    }

    /// Returns the span of the key of the value at `pointer`; `None` for a list item, or if there is no such value.
    ///
    /// Aliases and merges are followed: the span is where the key is written.
    #[must_use]
    pub fn key(&self, pointer: &str) -> Option<Span> {
        let node = self.node(self.find(pointer)?)?;
        let Slot::Value(key) = node.slot else { return None };
        let key = self.node(key)?;
        Some(self.index.span(key.start, key.end))
    }

    /// Returns the span of the value at `pointer`. For an alias, this is the span of the anchored value.
    #[must_use]
    pub fn value(&self, pointer: &str) -> Option<Span> {
        let node = self.node(self.resolve(self.find(pointer)?))?;
        Some(self.index.span(node.start, node.end))
    }

    /// Converts a range of bytes to lines and columns.
    #[must_use]
    pub fn span(&self, start: usize, end: usize) -> Span {
        self.index.span(start, end)
    }

    /// Returns the bytes of a line, counted from 1, without its line break.
    #[must_use]
    pub fn line(&self, line: usize) -> Option<(usize, usize)> {
        self.index.line(line)
    }

    /// Iterates over the leaves that overlap the bytes `start..end`, in order.
    pub fn leaves(&self, start: usize, end: usize) -> impl Iterator<Item = Leaf<'_>> {
        let ends = |id: &NodeId| self.node(*id).map_or(0, |node| node.end);
        let first = self.leaves.partition_point(|id| ends(id) <= start);
        self.leaves[first..].iter().map_while(move |id| self.leaf(*id).filter(|leaf| leaf.start < end))
    }

    /// Returns the end of the last leaf that ends at or before the byte `at`, or 0.
    #[must_use]
    pub fn end_before(&self, at: usize) -> usize {
        let ends = |id: &NodeId| self.node(*id).map_or(0, |node| node.end);
        let next = self.leaves.partition_point(|id| ends(id) <= at);
        next.checked_sub(1).and_then(|last| self.leaves.get(last)).map_or(0, ends)
    }

    /// Returns the pointer of a leaf where it is written; `None` for a key, or inside a key that is a list or map.
    #[must_use]
    pub fn pointer(&self, leaf: &Leaf<'_>) -> Option<Pointer> {
        self.pointer_of(leaf.id)
    }

    /// Returns the pointer of the list or map that contains a leaf, where it is written.
    #[must_use]
    pub fn container(&self, leaf: &Leaf<'_>) -> Option<Pointer> {
        self.pointer_of(self.node(leaf.id)?.parent?)
    }

    fn pointer_of(&self, id: NodeId) -> Option<Pointer> {
        let mut path = Vec::new();
        let mut node = self.node(id)?;
        loop {
            match node.slot {
                Slot::Root => break,
                Slot::Key => return None,
                Slot::Item(index) => path.push(Cow::Owned(index.to_string())),
                Slot::Value(key) => match &self.node(key)?.kind {
                    NodeKind::Scalar(text) => path.push(Cow::Borrowed(text.as_ref())),
                    _ => return None,
                },
            }
            node = self.node(node.parent?)?;
        }
        let mut pointer = Pointer::root();
        for token in path.iter().rev() {
            pointer.push_key(token);
        }
        Some(pointer)
    }

    /// Returns whether parsing stopped before the end of the document, because of a syntax error or a limit.
    #[must_use]
    pub const fn is_incomplete(&self) -> bool {
        self.tree.incomplete
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.tree.problems
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.tree.problems.is_empty()
    }

    /// Returns the span of a character, counted from 0.
    pub(super) fn char_span(&self, number: usize) -> Span {
        self.index.char_at(self.index.byte_of_char(number))
    }

    /// Returns the span of the whole document.
    pub(super) fn root_span(&self) -> Option<Span> {
        self.tree.nodes.first().map(|node| self.index.span(node.start, node.end))
    }

    fn node(&self, id: NodeId) -> Option<&Node<'a>> {
        self.tree.nodes.get(id as usize)
    }

    fn leaf(&self, id: NodeId) -> Option<Leaf<'_>> {
        let node = self.node(id)?;
        let role = match (&node.kind, node.slot) {
            (NodeKind::Alias(_), _) => LeafRole::Alias,
            (NodeKind::Scalar(text), Slot::Key) => LeafRole::Key(text),
            _ => LeafRole::Value,
        };
        Some(Leaf { start: node.start, end: node.end, role, anchored: node.anchored, id })
    }

    /// Returns the target of an alias, or the node itself.
    fn resolve(&self, id: NodeId) -> NodeId {
        match self.node(id).map(|node| &node.kind) {
            Some(NodeKind::Alias(Some(target))) => *target,
            _ => id,
        }
    }

    /// Returns the value at the pointer, which may be an alias.
    fn find(&self, pointer: &str) -> Option<NodeId> {
        let mut at = 0;
        for token in tokens(pointer) {
            let id = self.resolve(at);
            at = match &self.node(id)?.kind {
                NodeKind::Sequence(items) => *items.get(token.parse::<usize>().ok()?)?,
                NodeKind::Mapping { .. } => self.entry(id, &token)?,
                NodeKind::Scalar(_) | NodeKind::Alias(_) => return None,
            };
        }
        self.node(at).map(|_| at)
    }

    /// Returns the value of `key` in a map: the map's own, or else the first merged one.
    fn entry(&self, map: NodeId, key: &str) -> Option<NodeId> {
        let mut open = vec![map];
        // A map can be merged into itself, through an alias of one of its ancestors.
        let mut seen = HashSet::new();
        while let Some(id) = open.pop() {
            let id = self.resolve(id);
            if !seen.insert(id) {
                continue;
            }
            match &self.node(id)?.kind {
                NodeKind::Mapping { entries, merges } => {
                    if let Some(at) = self.tree.keys.get(&(id, Cow::Borrowed(key))) {
                        return entries.get(*at).map(|(_, value)| *value);
                    }
                    open.extend(merges.iter().rev());
                }
                // A list of maps is allowed only as the value of `<<`.
                NodeKind::Sequence(items) if id != map => open.extend(items.iter().rev()),
                _ => {}
            }
        }
        None
    }
}
