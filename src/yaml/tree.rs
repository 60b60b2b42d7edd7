//! A text's first document as an arena of nodes that know where they stand, and what is wrong in it. Depends on
//! nothing but the problems that it holds; `build` makes it.

use std::borrow::Cow;
use std::collections::HashMap;

use super::problem::Problem;

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
