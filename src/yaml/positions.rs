//! Where the values of a text stand, by JSON pointer. Depends on `tree`. Costs a second parse, so it is made only when there
//! is something to show.

use std::borrow::Cow;
use std::collections::HashSet;

use super::build::build;
use super::problem::Problem;
use super::text::{Index, Span};
use super::tree::{Id, Kind, Node, Step, Tree};
use crate::pointer::{Pointer, tokens};

/// The positions of the first document of a text. After a syntax error it holds what came before.
#[derive(Debug)]
pub struct Positions<'a> {
    index: Index<'a>,
    tree: Tree<'a>,
    /// Scalars and aliases, in the order of the text; they do not overlap.
    leaves: Vec<Id>,
}

/// A scalar or an alias, as it is written.
#[derive(Debug, Clone, Copy)]
pub struct Leaf<'p> {
    /// Where it starts, in bytes.
    pub start: usize,
    /// One behind its last byte.
    pub end: usize,
    /// What part it plays.
    pub role: Role<'p>,
    /// Whether an anchor stands on it or around it: aliases then give it further pointers.
    pub shared: bool,
    id: Id,
}

/// What part a leaf plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role<'p> {
    /// A key, with quotes and escapes resolved.
    Key(&'p str),
    /// A value or an item.
    Value,
    /// An alias, `*` included; as a value, or where a key should be.
    Alias,
}

impl<'a> Positions<'a> {
    /// Reads the positions of `text`, which [`decode`](super::decode) gave.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let index = Index::of(text);
        let tree = build(&index);
        let is_leaf = |node: &Node<'_>| matches!(node.kind, Kind::Scalar(_) | Kind::Alias(_));
        let leaves = (0..).zip(&tree.nodes).filter(|(_, node)| is_leaf(node)).map(|(id, _)| id).collect();
        Self { index, tree, leaves }
    }

    /// Where the key of the value at `pointer` stands; nothing for an item of a list, or for what is not there.
    ///
    /// Through aliases and merges this is where the text really stands.
    #[must_use]
    pub fn key(&self, pointer: &str) -> Option<Span> {
        let node = self.node(self.find(pointer)?)?;
        let Step::Value(key) = node.step else { return None };
        let key = self.node(key)?;
        Some(self.index.span(key.start, key.end))
    }

    /// Where the value at `pointer` stands. Of a value that is an alias, this is the anchored text.
    #[must_use]
    pub fn value(&self, pointer: &str) -> Option<Span> {
        let node = self.node(self.resolve(self.find(pointer)?))?;
        Some(self.index.span(node.start, node.end))
    }

    /// The range of `start..end` in bytes, as lines and columns.
    #[must_use]
    pub fn span(&self, start: usize, end: usize) -> Span {
        self.index.span(start, end)
    }

    /// The bytes of a line (from 1), without its break.
    #[must_use]
    pub fn line(&self, line: usize) -> Option<(usize, usize)> {
        self.index.line(line)
    }

    /// The scalars and aliases that have a part in `start..end`, in bytes, in order.
    pub fn leaves(&self, start: usize, end: usize) -> impl Iterator<Item = Leaf<'_>> {
        let ends = |id: &Id| self.node(*id).map_or(0, |node| node.end);
        let first = self.leaves.partition_point(|id| ends(id) <= start);
        self.leaves[first..].iter().map_while(move |id| self.leaf(*id).filter(|leaf| leaf.start < end))
    }

    /// Where the last leaf before the byte `at` ends.
    #[must_use]
    pub fn end_before(&self, at: usize) -> usize {
        let ends = |id: &Id| self.node(*id).map_or(0, |node| node.end);
        let next = self.leaves.partition_point(|id| ends(id) <= at);
        next.checked_sub(1).and_then(|last| self.leaves.get(last)).map_or(0, ends)
    }

    /// The pointer of a value where it is written; nothing for what stands in a key that is a list or a map.
    #[must_use]
    pub fn pointer(&self, leaf: &Leaf<'_>) -> Option<Pointer> {
        self.pointer_of(leaf.id)
    }

    /// The pointer of the list or map that a leaf stands in, where it is written.
    #[must_use]
    pub fn around(&self, leaf: &Leaf<'_>) -> Option<Pointer> {
        self.pointer_of(self.node(leaf.id)?.parent?)
    }

    fn pointer_of(&self, id: Id) -> Option<Pointer> {
        let mut steps = Vec::new();
        let mut node = self.node(id)?;
        loop {
            match node.step {
                Step::Root => break,
                Step::Key => return None,
                Step::Item(index) => steps.push(Cow::Owned(index.to_string())),
                Step::Value(key) => match &self.node(key)?.kind {
                    Kind::Scalar(text) => steps.push(Cow::Borrowed(text.as_ref())),
                    _ => return None,
                },
            }
            node = self.node(node.parent?)?;
        }
        let mut pointer = Pointer::root();
        for step in steps.iter().rev() {
            pointer.push_key(step);
        }
        Some(pointer)
    }

    /// Whether the end of the document was not reached, for a syntax error or a limit.
    #[must_use]
    pub const fn broken(&self) -> bool {
        self.tree.broken
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.tree.problems
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.tree.problems.is_empty()
    }

    /// One character, from 0, as a span.
    pub(super) fn character(&self, number: usize) -> Span {
        self.index.char_at(self.index.byte_of_char(number))
    }

    /// Where the document starts and ends.
    pub(super) fn root(&self) -> Option<Span> {
        self.tree.nodes.first().map(|node| self.index.span(node.start, node.end))
    }

    fn node(&self, id: Id) -> Option<&Node<'a>> {
        self.tree.nodes.get(id as usize)
    }

    fn leaf(&self, id: Id) -> Option<Leaf<'_>> {
        let node = self.node(id)?;
        let role = match (&node.kind, node.step) {
            (Kind::Alias(_), _) => Role::Alias,
            (Kind::Scalar(text), Step::Key) => Role::Key(text),
            _ => Role::Value,
        };
        Some(Leaf { start: node.start, end: node.end, role, shared: node.anchored, id })
    }

    /// The node itself, or what it is an alias of.
    fn resolve(&self, id: Id) -> Id {
        match self.node(id).map(|node| &node.kind) {
            Some(Kind::Alias(Some(target))) => *target,
            _ => id,
        }
    }

    /// The value at the pointer, which may be an alias.
    fn find(&self, pointer: &str) -> Option<Id> {
        let mut at = 0;
        for token in tokens(pointer) {
            let id = self.resolve(at);
            at = match &self.node(id)?.kind {
                Kind::Sequence(items) => *items.get(token.parse::<usize>().ok()?)?,
                Kind::Mapping { .. } => self.entry(id, &token)?,
                Kind::Scalar(_) | Kind::Alias(_) => return None,
            };
        }
        self.node(at).map(|_| at)
    }

    /// The value of `key` in a map: its own, else the first one that is merged into it.
    fn entry(&self, map: Id, key: &str) -> Option<Id> {
        let mut open = vec![map];
        // A merged map can be merged into itself, through an alias of what is around it.
        let mut seen = HashSet::new();
        while let Some(id) = open.pop() {
            let id = self.resolve(id);
            if !seen.insert(id) {
                continue;
            }
            match &self.node(id)?.kind {
                Kind::Mapping { entries, merges } => {
                    if let Some(at) = self.tree.keys.get(&(id, Cow::Borrowed(key))) {
                        return entries.get(*at).map(|(_, value)| *value);
                    }
                    open.extend(merges.iter().rev());
                }
                // Only as the value of `<<`.
                Kind::Sequence(items) if id != map => open.extend(items.iter().rev()),
                _ => {}
            }
        }
        None
    }
}
