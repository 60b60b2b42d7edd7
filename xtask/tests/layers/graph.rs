//! Which file of a crate imports what from which other file. Re-exports are followed to the file that defines the item.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::source::{Import, Module, join, modules};

pub(crate) struct Graph {
    modules: BTreeMap<String, Module>,
    /// Importing file, then imported file, with the first item that is imported.
    edges: BTreeMap<String, BTreeMap<String, String>>,
    /// The importing module, the imported one, and the item.
    imports: BTreeSet<(String, String, String)>,
}

impl Graph {
    pub(crate) fn of_crate(base: &Path, root: &Path) -> Self {
        let mut graph =
            Self { modules: modules(base, root), edges: BTreeMap::new(), imports: BTreeSet::new() };
        for (path, module) in &graph.modules {
            let from = module.file.display().to_string();
            for import in &module.imports {
                // A facade does not depend on what it re-exports from below itself.
                let Some((target, item)) = graph.resolve(path, import) else { continue };
                if import.is_public && is_below(&target, path) {
                    continue;
                }
                let to = graph.modules[&target].file.display().to_string();
                if to == from {
                    continue;
                }
                graph.edges.entry(from.clone()).or_default().entry(to).or_insert_with(|| item.clone());
                graph.imports.insert((path.clone(), target, item));
            }
        }
        graph
    }

    /// The files of the crate.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.modules.values().map(|module| module.file.as_path())
    }

    /// Every type that other modules can see: its name, and the module and file that define it.
    pub(crate) fn visible_types(&self) -> impl Iterator<Item = (&str, &str, &Path)> {
        self.modules.iter().flat_map(|(path, module)| {
            module.visible_types.iter().map(|name| (name.as_str(), path.as_str(), module.file.as_path()))
        })
    }

    pub(crate) fn edges(&self) -> &BTreeMap<String, BTreeMap<String, String>> {
        &self.edges
    }

    /// The module that defines what is imported, and the item's name; `None` for other crates.
    fn resolve(&self, path: &str, import: &Import) -> Option<(String, String)> {
        let mut segments = import.segments.iter().map(String::as_str).peekable();
        let mut at = match *segments.peek()? {
            "crate" => {
                segments.next();
                String::new()
            }
            "self" | "super" => {
                let mut at = path.to_owned();
                while let Some(first) = segments.next_if(|segment| matches!(*segment, "self" | "super")) {
                    if first == "super" {
                        at = at.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.to_owned());
                    }
                }
                at
            }
            // A child module; anything else is another crate.
            child if self.modules.contains_key(&join(path, child)) => path.to_owned(),
            _ => return None,
        };
        for segment in segments {
            let child = join(&at, segment);
            if self.modules.contains_key(&child) {
                at = child;
                continue;
            }
            return self.define(&at, segment, &mut BTreeSet::new());
        }
        let name = import.segments.last().cloned().unwrap_or_default();
        Some((at, name))
    }

    /// Follows re-exports of `name` in the module `at`.
    fn define(&self, at: &str, name: &str, seen: &mut BTreeSet<String>) -> Option<(String, String)> {
        let module = self.modules.get(at)?;
        if module.items.contains(name) {
            return Some((at.to_owned(), name.to_owned()));
        }
        if !seen.insert(at.to_owned()) {
            return None;
        }
        let named = module.imports.iter().filter(|import| import.name.as_deref() == Some(name));
        if let Some(found) = named.filter_map(|import| self.resolve(at, import)).next() {
            return Some(found);
        }
        let globs = module.imports.iter().filter(|import| import.name.is_none());
        let found = globs
            .filter_map(|glob| self.resolve(at, glob))
            .find_map(|(target, _)| self.define(&target, name, seen));
        // What a macro defines counts as defined here.
        found.or_else(|| Some((at.to_owned(), name.to_owned())))
    }
}

fn is_below(path: &str, parent: &str) -> bool {
    parent.is_empty() || path.strip_prefix(parent).is_some_and(|rest| rest.starts_with("::"))
}

/// Every import from one part to another that the rules do not allow: `file imports item from file`.
pub(crate) fn forbidden(graph: &Graph, rules: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let part = |module: &str| rules.keys().find(|part| module == *part || is_below(module, part));
    let mut found = BTreeSet::new();
    for (from, to, item) in &graph.imports {
        let (Some(importer), Some(imported)) = (part(from), part(to)) else { continue };
        if importer != imported && !rules[importer].contains(imported) {
            let file = |module: &str| graph.modules[module].file.display().to_string();
            found.insert(format!("{} imports {item} from {}", file(from), file(to)));
        }
    }
    found.into_iter().collect()
}
