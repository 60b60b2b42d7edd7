//! Finds the parts of a document that could not be read as written, so that everything else can still be checked.
//! Depends on `tree`. Runs only for a document with problems.

use std::collections::HashSet;

use super::problem::{MAX_BYTES, MAX_DEPTH, MAX_NODES, MERGE_KEY};
use super::tree::{Node, NodeId, NodeKind, Tree};
use crate::pointer::Pointer;

/// The parts of a document that could not be read as written. A part has several pointers if an alias refers to it.
#[derive(Debug, Default)]
pub struct Unreadable {
    /// The values that have an unsupported tag, are not finite, or contain a template that was not rendered, and the maps in which
    /// the keys of several maps are mixed up.
    pub values: Vec<Pointer>,
    /// The maps that lack an entry: its key is not a string, or it cannot be merged.
    pub maps: Vec<Pointer>,
    /// The maps in which a key is repeated.
    pub repetitive: Vec<Pointer>,
    /// The maps that contain the rest of the map around them, because nothing is indented below their keys. Some of that may
    /// belong to the map around them.
    pub nested: Vec<Pointer>,
}

/// Returns the unreadable parts of a complete tree, or `None` if aliases expand beyond the limits.
pub(super) fn find(tree: &Tree<'_>) -> Option<Unreadable> {
    let found = Unreadable::default();
    let mut search = Search { tree, found, nodes_left: MAX_NODES, bytes_left: 16 * MAX_BYTES };
    search.visit(0, &Pointer::root(), 0)?;
    Some(search.found)
}

struct Search<'t, 'a> {
    tree: &'t Tree<'a>,
    found: Unreadable,
    nodes_left: usize,
    /// The number of bytes that all pointers together may still have, including those of parts without problems.
    bytes_left: usize,
}

impl<'t> Search<'t, '_> {
    fn visit(&mut self, node: NodeId, pointer: &Pointer, depth: usize) -> Option<()> {
        let tree = self.tree;
        let id = tree.resolve(node);
        let found = tree.node(id)?;
        match found.kind {
            _ if found.unreadable => {
                self.enter(pointer, 0)?;
                self.found.values.push(pointer.clone());
            }
            NodeKind::Sequence => {
                self.enter(pointer, depth)?;
                for (index, item) in tree.children(id).enumerate() {
                    self.visit(item, &pointer.index(index), depth + 1)?;
                }
            }
            NodeKind::Mapping => {
                if tree.nested.contains(&id) {
                    self.found.nested.push(pointer.clone());
                }
                self.visit_map(id, pointer, depth, &mut HashSet::new())?;
            }
            _ => self.enter(pointer, 0)?,
        }
        Some(())
    }

    /// Visits the entries of the map at `pointer`, or of one that is merged into it. `seen` contains the keys that take
    /// precedence.
    fn visit_map(
        &mut self,
        id: NodeId,
        pointer: &Pointer,
        depth: usize,
        seen: &mut HashSet<&'t str>,
    ) -> Option<()> {
        self.enter(pointer, depth)?;
        let tree = self.tree;
        let mut children = tree.children(id);
        let mut merged = Vec::new();
        while let Some((key, value)) = children.next().zip(children.next()) {
            match tree.key(key) {
                None => self.found.maps.push(pointer.clone()),
                Some(MERGE_KEY) => merged.push(tree.resolve(value)),
                Some(name) if seen.insert(name) => self.visit(value, &pointer.key(name), depth + 1)?,
                Some(_) if tree.node(key)?.unreadable => {
                    if self.found.repetitive.last() != Some(pointer) {
                        self.found.repetitive.push(pointer.clone());
                    }
                }
                Some(_) => {}
            }
        }
        let is_list = |id: NodeId| matches!(tree.node(id), Some(Node { kind: NodeKind::Sequence, .. }));
        let sources = merged.into_iter().flat_map(|id| match is_list(id) {
            true => tree.children(id).map(|source| tree.resolve(source)).collect(),
            false => vec![id],
        });
        for source in sources {
            match tree.node(source)? {
                Node { kind: NodeKind::Mapping, unreadable: false, .. } => {
                    self.visit_map(source, pointer, depth + 1, seen)?;
                }
                _ => self.found.maps.push(pointer.clone()),
            }
        }
        Some(())
    }

    /// Returns `None` if a limit is reached.
    fn enter(&mut self, pointer: &Pointer, depth: usize) -> Option<()> {
        self.nodes_left = self.nodes_left.checked_sub(1)?;
        self.bytes_left = self.bytes_left.checked_sub(pointer.as_str().len())?;
        (depth < MAX_DEPTH).then_some(())
    }
}
