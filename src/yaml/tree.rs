//! The first document of a file as an arena of nodes with positions, and the problems found in it. Depends on `problem`;
//! built by `build`.

use std::borrow::Cow;
use std::collections::HashMap;

use super::problem::Problem;

/// The index of a node in the arena.
pub(crate) type NodeId = u32;

/// The slot of its parent that a node fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The node is the document.
    Root,
    /// The node is the list item at this index.
    Item(usize),
    /// The node is a key of a map.
    Key,
    /// The node is the value of this key.
    Value(NodeId),
}

#[derive(Debug)]
pub(crate) enum NodeKind<'a> {
    Scalar(Cow<'a, str>),
    /// An alias of this node; `None` if the anchor is unknown.
    Alias(Option<NodeId>),
    Sequence(Vec<NodeId>),
    Mapping {
        entries: Vec<(NodeId, NodeId)>,
        /// The values of `<<`.
        merges: Vec<NodeId>,
    },
}

#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) kind: NodeKind<'a>,
    pub(crate) parent: Option<NodeId>,
    pub(crate) slot: Slot,
    /// Start in bytes, after anchor and tag.
    pub(crate) start: usize,
    /// End in bytes, before trailing white space.
    pub(crate) end: usize,
    /// Whether this node or one of its ancestors has an anchor, so that it may have more than one pointer.
    pub(crate) anchored: bool,
}

/// The arena, in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Tree<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    /// Maps a map and a key to the index in the map's entries. Of equal keys, the first one is indexed.
    pub(crate) keys: HashMap<(NodeId, Cow<'a, str>), usize>,
    /// All problems, in the order of the file. A syntax error is always the last one, because parsing stops there.
    pub(crate) problems: Vec<Problem>,
    /// Whether parsing stopped before the end of the document.
    pub(crate) incomplete: bool,
}
