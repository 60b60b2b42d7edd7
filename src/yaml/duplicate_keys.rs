//! Describes the keys that occur more than once in a map. Often no key was meant to be repeated: what belongs to a key is not
//! indented, or an entry of a list does not start with a `-`. Depends on `tree` and `problem`.

use std::collections::HashSet;

use super::line_index::{LineIndex, Span};
use super::problem::{MERGE_KEY, Problem, ProblemKind};
use super::tree::{NodeId, Slot, Tree};

/// Calls `report` for each repetition of a key in a map. `sorted` contains the map's keys by name, equal ones in the order of
/// the file. Returns the key without a value to which the rest of the map belongs, if no key is repeated then.
pub(super) fn describe(
    tree: &Tree<'_>,
    index: &LineIndex<'_>,
    map: NodeId,
    sorted: &[NodeId],
    mut report: impl FnMut(Problem),
) -> Option<NodeId> {
    let map = Map::new(tree, index, map);
    let mut first = sorted.first().copied().unwrap_or_default();
    let mut repetitions = 0;
    let mut empty = HashSet::new();
    for key in sorted.iter().copied().skip(1) {
        if tree.key(key) == tree.key(first) {
            repetitions += 1;
            let (problem, at) = map.describe(first, key);
            // A key before the empty one and one after it are in different maps, but a third one is not.
            let is_explained = problem.kind == ProblemKind::MissingIndentation && repetitions == 1;
            empty.insert(is_explained.then_some(at));
            report(problem);
        } else {
            (first, repetitions) = (key, 0);
        }
    }
    let mut empty = empty.into_iter();
    empty.next().flatten().filter(|_| empty.next().is_none())
}

struct Map<'t, 'a> {
    tree: &'t Tree<'a>,
    index: &'t LineIndex<'a>,
    /// The keys without a value, in the order of the file.
    empty: Vec<NodeId>,
    /// If the map is an entry of a list, the repetition of its first key, which probably starts the next entry.
    next_entry: Option<NodeId>,
    /// The key whose value the map is.
    parent: Option<(String, Span)>,
}

impl<'t, 'a> Map<'t, 'a> {
    fn new(tree: &'t Tree<'a>, index: &'t LineIndex<'a>, map: NodeId) -> Self {
        let keys = || tree.children(map).filter(|id| tree.key(*id).is_some());
        let is_empty = |key: &NodeId| {
            let value = tree.node(*key + 1);
            value.is_some_and(|value| value.slot == Slot::Value(*key) && value.start == value.end)
        };
        let slot = tree.node(map).map(|map| map.slot);
        let name = keys().next().and_then(|first| tree.key(first));
        let repetition = keys().skip(1).find(|key| tree.key(*key) == name && name != Some(MERGE_KEY));
        let parent = match slot {
            Some(Slot::Value(key)) => tree.key(key).map(str::to_owned).zip(tree.span(key, index)),
            _ => None,
        };
        Self {
            tree,
            index,
            empty: keys().filter(is_empty).collect(),
            next_entry: repetition.filter(|_| matches!(slot, Some(Slot::Item(_)))),
            parent,
        }
    }

    /// Describes the repetition of a key, with the key at which the mistake is.
    fn describe(&self, first: NodeId, again: NodeId) -> (Problem, NodeId) {
        let name = |key: NodeId| self.tree.key(key).unwrap_or_default();
        let before = self.empty[..self.empty.partition_point(|empty| *empty < again)].last().copied();
        let before = before.filter(|key| *key > first && self.next_entry.is_none_or(|next| *key < next));
        let next_entry = self.next_entry.filter(|next| *next <= again);
        let duplicate = || {
            let mut problem = Problem::duplicate_key(name(again));
            problem.parent.clone_from(&self.parent);
            let spans = [again, first].map(|key| self.tree.span(key, self.index));
            problem.with_span(spans[0]).with_related(spans[1])
        };
        let (problem, at) = if let Some(before) = before {
            // What seems to be repeated belongs to the empty key.
            let mut problem = Problem::from(ProblemKind::MissingIndentation).with_key(name(before));
            problem.otherwise = Some(Box::new(duplicate()));
            (problem, before)
        } else if let Some(next) = next_entry {
            (Problem::from(ProblemKind::MissingDash).with_key(name(next)), next)
        } else {
            (duplicate(), again)
        };
        (problem.with_span(self.tree.span(at, self.index)), at)
    }
}
