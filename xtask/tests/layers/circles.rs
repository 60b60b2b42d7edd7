//! Finds circles among the files of a crate.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::graph::Graph;

/// One shortest circle for each group of files that reach each other: a line per import.
pub(crate) fn circles(graph: &Graph) -> Vec<String> {
    let edges = graph.edges();
    let mut done = BTreeSet::new();
    let mut circles = Vec::new();
    for file in edges.keys() {
        if done.contains(file) {
            continue;
        }
        if let Some(circle) = shortest(edges, file) {
            let next = circle.iter().cycle().skip(1);
            let lines = circle
                .iter()
                .zip(next)
                .map(|(from, to)| format!("{from} imports {} from {to}", edges[from.as_str()][to.as_str()]));
            circles.push(lines.collect::<Vec<_>>().join("\n"));
            done.extend(circle);
        }
    }
    circles
}

/// The shortest way from `file` back to itself.
fn shortest(edges: &BTreeMap<String, BTreeMap<String, String>>, file: &str) -> Option<Vec<String>> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([file]);
    while let Some(at) = queue.pop_front() {
        for to in edges.get(at).into_iter().flat_map(BTreeMap::keys) {
            if to == file {
                let mut circle = vec![at.to_owned()];
                let mut step = at;
                while let Some(previous) = before.get(step) {
                    circle.push((*previous).to_owned());
                    step = previous;
                }
                circle.reverse();
                return Some(circle);
            }
            if !before.contains_key(to.as_str()) {
                before.insert(to, at);
                queue.push_back(to);
            }
        }
    }
    None
}
