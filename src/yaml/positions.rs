//! Finds the positions of values in a file by JSON pointer. Depends on `tree` and `reader`. Reads the file again, so it is
//! created only when there is something to show.

use std::collections::{HashMap, HashSet};

use super::line_index::{LineIndex, Span};
use super::problem::MERGE_KEY;
use super::reader::read;
use super::tree::{Node, NodeId, NodeKind, Slot, Tree};
use crate::pointer::{Pointer, tokens};

/// The positions of the values in the first document of a file. After a syntax error, only those before the error.
pub struct Positions<'a> {
    index: LineIndex<'a>,
    tree: Tree<'a>,
    /// The values of maps and the items of lists, by parent and key or index. Of equal keys, the first one is indexed.
    children: HashMap<(NodeId, String), NodeId>,
    /// Scalars and aliases, in the order of the file. They do not overlap.
    leaves: Vec<NodeId>,
    /// The aliases of each anchored node.
    aliases: HashMap<NodeId, Vec<NodeId>>,
}

/// The maximum number of nodes visited to find the pointers of a leaf.
const MAX_VISITS: usize = 1_000;

/// A scalar or an alias in the file.
#[derive(Clone, Copy)]
pub struct Leaf<'p> {
    /// The start, in bytes.
    pub start: usize,
    /// The end (exclusive), in bytes.
    pub end: usize,
    /// The role of the leaf.
    pub role: LeafRole<'p>,
    id: NodeId,
}

/// The role of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafRole<'p> {
    /// A key, with quotes and escapes resolved.
    Key(&'p str),
    /// A value of a map, or an item of a list, with its text if it is a string.
    Value(Option<&'p str>),
    /// An alias including its `*`, as a value or (invalid) as a key.
    Alias,
}

impl<'a> Positions<'a> {
    /// Parses `text`, as returned by [`decode`](super::decode).
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        let index = LineIndex::new(text);
        let tree = read(&index);
        let mut children = HashMap::new();
        let mut leaves = Vec::new();
        let mut aliases: HashMap<_, Vec<_>> = HashMap::new();
        for (id, node) in (0..).zip(&tree.nodes) {
            if let (Some(parent), Some(token)) = (node.parent, tree.token(id)) {
                children.entry((parent, token.into_owned())).or_insert(id);
            }
            if !matches!(node.kind, NodeKind::Sequence | NodeKind::Mapping) {
                leaves.push(id);
            }
            if let NodeKind::Alias(target) = node.kind {
                aliases.entry(target).or_default().push(id);
            }
        }
        Self { index, tree, children, leaves, aliases }
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
        let node = self.node(self.tree.resolve(self.find(pointer)?))?;
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
        let first = self.leaves.partition_point(|id| self.end(*id) <= start);
        self.leaves[first..].iter().map_while(move |id| self.leaf(*id).filter(|leaf| leaf.start < end))
    }

    /// Returns the end of the last leaf that ends at or before the byte `at`, or 0.
    #[must_use]
    pub fn end_before(&self, at: usize) -> usize {
        let next = self.leaves.partition_point(|id| self.end(*id) <= at);
        next.checked_sub(1).and_then(|last| self.leaves.get(last)).map_or(0, |id| self.end(*id))
    }

    /// Returns every pointer that leads to a leaf: the one where it is written, and those through aliases and merges, even
    /// if a map's own key takes precedence. `None` for a key, inside a key that is a list or map, and if there are too many.
    #[must_use]
    pub fn pointers(&self, leaf: &Leaf<'_>) -> Option<Vec<Pointer>> {
        self.pointers_of(leaf.id, &mut 0)
    }

    /// Returns every pointer that leads to the list or map that contains a leaf, like [`pointers`](Self::pointers).
    #[must_use]
    pub fn containers(&self, leaf: &Leaf<'_>) -> Option<Vec<Pointer>> {
        if self.aliases.contains_key(&leaf.id) {
            // A key whose text is also the value of another one.
            return None;
        }
        self.pointers_of(self.node(leaf.id)?.parent?, &mut 0)
    }

    fn pointers_of(&self, id: NodeId, visits: &mut usize) -> Option<Vec<Pointer>> {
        let mut pointers = self.written_pointers(id, visits)?;
        for alias in self.aliases.get(&id).into_iter().flatten() {
            let is_list = matches!(self.node(id)?.kind, NodeKind::Sequence);
            if is_list && self.is_merged(*alias) {
                return None;
            }
            pointers.extend(self.written_pointers(*alias, visits)?);
        }
        Some(pointers)
    }

    /// Returns the pointers of a node without its own aliases.
    fn written_pointers(&self, id: NodeId, visits: &mut usize) -> Option<Vec<Pointer>> {
        // Aliases can multiply the pointers, and lead from a map into itself.
        *visits += 1;
        if *visits > MAX_VISITS {
            return None;
        }
        let Some(parent) = self.node(id)?.parent else { return Some(vec![Pointer::root()]) };
        let pointers = self.pointers_of(parent, visits)?;
        if self.is_merged(id) || self.is_merged(parent) && self.is_item(id) {
            return Some(pointers);
        }
        let token = self.tree.token(id)?;
        Some(pointers.iter().map(|pointer| pointer.key(&token)).collect())
    }

    /// Returns whether a node is the value of `<<`.
    fn is_merged(&self, id: NodeId) -> bool {
        let slot = self.node(id).map(|node| node.slot);
        matches!(slot, Some(Slot::Value(key)) if self.tree.key(key) == Some(MERGE_KEY))
    }

    fn is_item(&self, id: NodeId) -> bool {
        matches!(self.node(id).map(|node| node.slot), Some(Slot::Item(_)))
    }

    /// Returns whether parsing stopped before the end of the document, because of a syntax error or a limit.
    #[must_use]
    pub const fn is_incomplete(&self) -> bool {
        self.tree.incomplete
    }

    fn end(&self, id: NodeId) -> usize {
        self.node(id).map_or(0, |node| node.end)
    }

    fn node(&self, id: NodeId) -> Option<&Node<'a>> {
        self.tree.node(id)
    }

    fn leaf(&self, id: NodeId) -> Option<Leaf<'_>> {
        let node = self.node(id)?;
        let role = match (&node.kind, node.slot) {
            (NodeKind::Alias(_), _) => LeafRole::Alias,
            (NodeKind::String(text), Slot::Key) => LeafRole::Key(text),
            (_, Slot::Key) => LeafRole::Key(&self.index.text()[node.start..node.end]),
            (NodeKind::String(text), _) => LeafRole::Value(Some(text)),
            _ => LeafRole::Value(None),
        };
        Some(Leaf { start: node.start, end: node.end, role, id })
    }

    /// Returns the value at the pointer, which may be an alias.
    fn find(&self, pointer: &str) -> Option<NodeId> {
        let root = self.node(0).map(|_| 0);
        tokens(pointer).try_fold(root?, |parent, token| self.child(parent, &token))
    }

    /// Returns the item of a list, or the value of a key in a map: the map's own, or else the first merged one.
    fn child(&self, parent: NodeId, token: &str) -> Option<NodeId> {
        let mut open = vec![parent];
        // A map can be merged into itself, through an alias of one of its ancestors.
        let mut seen = HashSet::new();
        while let Some(id) = open.pop() {
            let id = self.tree.resolve(id);
            if !seen.insert(id) {
                continue;
            }
            match self.node(id)?.kind {
                // A list of maps that is the value of `<<`.
                NodeKind::Sequence if id != self.tree.resolve(parent) => {
                    let first = open.len();
                    open.extend(self.tree.children(id));
                    open[first..].reverse();
                }
                _ => {
                    if let Some(child) = self.children.get(&(id, token.to_owned())) {
                        return Some(*child);
                    }
                    open.extend(self.children.get(&(id, MERGE_KEY.to_owned())));
                }
            }
        }
        None
    }
}
