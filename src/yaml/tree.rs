//! The first document of a file as an arena of nodes with positions, the problems found in it, and its value. Depends on
//! `problem`; built by `reader`. Recurses at most `MAX_DEPTH` levels deep.

use std::borrow::Cow;
use std::collections::HashSet;
use std::mem;

use serde_json::{Map, Number, Value};

use super::line_index::{LineIndex, Span};
use super::problem::{MAX_BYTES, MAX_DEPTH, MAX_NODES, MERGE_KEY, Problem, ProblemKind};

/// The index of a node in the arena.
pub(crate) type NodeId = u32;

/// The slot of its parent that a node fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The node is the document.
    Root,
    /// The node is the list item at this index.
    Item(u32),
    /// The node is a key of a map.
    Key,
    /// The node is the value of this key.
    Value(NodeId),
}

pub(crate) enum NodeKind<'a> {
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'a, str>),
    /// An alias of this node.
    Alias(NodeId),
    Sequence,
    /// The children are keys and values in turn.
    Mapping,
}

pub(crate) struct Node<'a> {
    pub(crate) kind: NodeKind<'a>,
    pub(crate) parent: Option<NodeId>,
    pub(crate) slot: Slot,
    /// Start in bytes, after anchor and tag.
    pub(crate) start: usize,
    /// End in bytes, before trailing white space.
    pub(crate) end: usize,
    /// The node after this one and its descendants.
    pub(crate) next: NodeId,
    /// Whether this node or one of its ancestors has an anchor, so that it may have more than one pointer.
    pub(crate) anchored: bool,
    /// Whether the node is left out because of a problem that is reported: a value that cannot be read, or a repeated key.
    pub(crate) unreadable: bool,
}

/// The arena, in the order of the file.
#[derive(Default)]
pub(crate) struct Tree<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    /// All problems, in the order of the file.
    pub(crate) problems: Vec<Problem>,
    /// The values that are maps only because [`nest_below`](Self::nest_below) has moved what follows into them.
    pub(crate) nested: HashSet<NodeId>,
    /// Whether reading stopped before the end of the document.
    pub(crate) incomplete: bool,
    /// Whether another document follows.
    pub(crate) documents_ignored: bool,
}

impl<'a> Tree<'a> {
    pub(crate) fn node(&self, id: NodeId) -> Option<&Node<'a>> {
        self.nodes.get(id as usize)
    }

    pub(crate) fn span(&self, id: NodeId, index: &LineIndex<'_>) -> Option<Span> {
        self.node(id).map(|node| index.span(node.start, node.end))
    }

    /// Returns the text of a key; `None` for a key that is not a string, and for other nodes.
    pub(crate) fn key(&self, id: NodeId) -> Option<&str> {
        match self.node(id)? {
            Node { kind: NodeKind::String(text), slot: Slot::Key, .. } => Some(text),
            _ => None,
        }
    }

    /// Returns the key or index of a node in its parent; `None` for the document, for a key, and if the key is not a string.
    pub(crate) fn token(&self, id: NodeId) -> Option<Cow<'_, str>> {
        match self.node(id)?.slot {
            Slot::Item(index) => Some(index.to_string().into()),
            Slot::Value(key) => self.key(key).map(Cow::Borrowed),
            Slot::Root | Slot::Key => None,
        }
    }

    /// Iterates over the items of a list, or over the keys and values of a map.
    pub(crate) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let end = self.node(id).map_or(0, |node| node.next);
        let mut at = id + 1;
        std::iter::from_fn(move || {
            let child = (at < end).then_some(at)?;
            at = self.node(child)?.next;
            Some(child)
        })
    }

    /// Moves the entries of a closed map that follow a key without a value into its value. Returns false for a map that is the
    /// document, and for a value with an anchor, which other parts may refer to.
    pub(crate) fn nest_below(&mut self, key: NodeId, map: NodeId) -> bool {
        let value = key + 1;
        let (Some(outer), Some(empty)) = (self.node(map), self.node(value)) else { return false };
        if outer.slot == Slot::Root
            || !matches!(empty.kind, NodeKind::Null)
            || empty.anchored != outer.anchored
            || empty.unreadable
        {
            return false;
        }
        let (end, next) = (outer.end, outer.next);
        let value_node = &mut self.nodes[value as usize];
        (value_node.kind, value_node.end, value_node.next) = (NodeKind::Mapping, end, next);
        for child in self.children(value).collect::<Vec<_>>() {
            self.nodes[child as usize].parent = Some(value);
        }
        self.nested.insert(value)
    }

    /// Returns the target of an alias, or the node itself.
    pub(crate) fn resolve(&self, id: NodeId) -> NodeId {
        match self.node(id).map(|node| &node.kind) {
            Some(NodeKind::Alias(target)) => *target,
            _ => id,
        }
    }
}

/// Returns the value of a complete tree: expands aliases and merges, within limits on nodes, bytes and depth. Omits entries that
/// could not be read; unreadable values stay, as null. Moves strings out of the tree unless an alias may need them again.
/// Returns a limit and the node that reached it.
pub(crate) fn take_value(tree: &mut Tree<'_>) -> Result<Value, (ProblemKind, NodeId)> {
    Expander { tree, nodes_left: MAX_NODES, bytes_left: MAX_BYTES }.value(0, 0)
}

struct Expander<'t, 'a> {
    tree: &'t mut Tree<'a>,
    nodes_left: usize,
    bytes_left: usize,
}

impl Expander<'_, '_> {
    fn value(&mut self, node: NodeId, depth: usize) -> Result<Value, (ProblemKind, NodeId)> {
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or((ProblemKind::TooManyNodes, node))?;
        let id = self.tree.resolve(node);
        let (mut at, end) = (id + 1, self.next(id));
        Ok(match &self.tree.nodes[id as usize].kind {
            NodeKind::Null | NodeKind::Alias(_) => Value::Null,
            NodeKind::Bool(value) => Value::Bool(*value),
            NodeKind::Number(number) => Value::Number(number.clone()),
            NodeKind::String(_) => Value::String(self.string(id)?),
            NodeKind::Sequence | NodeKind::Mapping if depth == MAX_DEPTH => {
                return Err((ProblemKind::TooDeep, node));
            }
            NodeKind::Sequence => {
                let mut list = Vec::new();
                while at < end {
                    list.push(self.value(at, depth + 1)?);
                    at = self.next(at);
                }
                Value::Array(list)
            }
            NodeKind::Mapping => {
                let (mut map, mut merged) = (Map::new(), Vec::new());
                while at < end {
                    let key = self.key(at)?;
                    at = self.next(at);
                    let value = self.value(at, depth + 1)?;
                    at = self.next(at);
                    match key {
                        None => {}
                        Some(key) if key == MERGE_KEY => merged.push(value),
                        Some(key) => drop(map.insert(key, value)),
                    }
                }
                merged.into_iter().for_each(|source| merge_into(&mut map, source));
                Value::Object(map)
            }
        })
    }

    /// Returns the text of a key, or `None` if it is not a string or repeats another key.
    fn key(&mut self, id: NodeId) -> Result<Option<String>, (ProblemKind, NodeId)> {
        match self.tree.nodes[id as usize] {
            Node { kind: NodeKind::String(_), unreadable: false, .. } => self.string(id).map(Some),
            _ => Ok(None),
        }
    }

    fn string(&mut self, id: NodeId) -> Result<String, (ProblemKind, NodeId)> {
        let node = &mut self.tree.nodes[id as usize];
        let NodeKind::String(text) = &mut node.kind else { return Ok(String::new()) };
        let left = self.bytes_left.checked_sub(text.len());
        self.bytes_left = left.ok_or((ProblemKind::TooLarge, id))?;
        Ok(if node.anchored { text.to_string() } else { mem::take(text).into_owned() })
    }

    /// Returns the node after `id` and its descendants.
    fn next(&self, id: NodeId) -> NodeId {
        self.tree.nodes[id as usize].next
    }
}

/// Adds the keys that `map` does not have yet. In a list of maps, the earlier one takes precedence.
fn merge_into(map: &mut Map<String, Value>, value: Value) {
    match value {
        Value::Array(sources) => sources.into_iter().for_each(|source| merge_into(map, source)),
        Value::Object(source) => {
            for (key, value) in source {
                map.entry(key).or_insert(value);
            }
        }
        _ => {}
    }
}
