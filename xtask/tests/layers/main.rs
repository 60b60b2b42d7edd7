//! The structure of the source: no file imports from a layer above its own, no files import each other in a circle, and no
//! two types that other modules can see share a name.
//!
//! Reads the source of every member. Test code is exempt. `docs/architecture.md` shows the layers.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod circles;
mod graph;
mod source;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use graph::Graph;

/// The parts of a crate and the parts that each may import, as paths from the crate's root.
type Rules<'a> = &'a [(&'a str, &'a [&'a str])];

/// The parts of the library. A part that is not listed may be imported by every part and imports none.
const LIBRARY: Rules<'_> = &[
    ("diagnostic", &[]),
    ("config", &["diagnostic"]),
    ("event", &["config"]),
    ("agent", &["config", "diagnostic"]),
];

/// The parts of the YAML reader that know nothing of the others.
const YAML: Rules<'_> = &[("pointer", &[]), ("steps", &[])];

/// The layers of the agent, lowest first.
const AGENT: &[&str] =
    &["platform", "credential", "net", "teleport", "destination", "bot", "service", "runtime"];

/// The root files of every member's library and program.
const MEMBERS: &[&[&str]] = &[
    &["src/lib.rs", "src/bin/tbot/main.rs"],
    &["src/yaml/lib.rs"],
    &["prehog/src/lib.rs", "prehog/src/bin/prehog/main.rs"],
    &["xtask/src/main.rs"],
    &["xtask/launcher/src/lib.rs", "xtask/launcher/src/main.rs"],
    &["tests/cluster/src/lib.rs"],
    &["tests/documentation/src/lib.rs"],
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn graph(root: &str) -> Graph {
    Graph::of_crate(&workspace(), Path::new(root))
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let roots = MEMBERS.iter().copied().flatten();
    let circles: Vec<String> = roots.flat_map(|root| circles::circles(&graph(root))).collect();
    assert!(circles.is_empty(), "files import each other in a circle:\n\n{}", circles.join("\n\n"));
}

#[test]
fn the_parts_of_the_library_import_only_what_they_may() {
    for (root, rules) in [("src/lib.rs", LIBRARY), ("src/yaml/lib.rs", YAML)] {
        let upward = graph::forbidden(&graph(root), &allowed(rules));
        assert!(upward.is_empty(), "imports that docs/architecture.md forbids:\n{}", upward.join("\n"));
    }
}

#[test]
fn the_layers_of_the_agent_import_only_downwards() {
    let layers: Vec<String> = AGENT.iter().map(|layer| format!("agent::{layer}")).collect();
    let rules = layers.iter().enumerate().map(|(index, layer)| (layer.clone(), layers[..index].to_vec()));
    let upward = graph::forbidden(&graph("src/lib.rs"), &rules.collect());
    assert!(upward.is_empty(), "imports from a higher layer:\n{}", upward.join("\n"));
}

#[test]
fn only_tbot_start_can_submit_the_event() {
    let graph = graph("src/bin/tbot/main.rs");
    let submits =
        |imported: &BTreeMap<String, String>| imported.contains_key("src/bin/tbot/telemetry/submit.rs");
    let importers: Vec<&String> =
        graph.edges().iter().filter(|(_, imported)| submits(imported)).map(|(file, _)| file).collect();
    assert_eq!(importers, ["src/bin/tbot/start.rs"]);
}

#[test]
fn every_file_of_the_agent_is_in_a_layer() {
    let graph = graph("src/lib.rs");
    let directory = Path::new("src/agent");
    let is_in_a_layer = |file: &Path| {
        let layer = file.components().next().map(|first| Path::new(first.as_os_str()).with_extension(""));
        layer.is_some_and(|layer| AGENT.iter().any(|name| layer == Path::new(name)))
    };
    let files = graph.files().filter_map(|file| file.strip_prefix(directory).ok());
    let outside: Vec<&Path> = files.filter(|file| !is_in_a_layer(file)).collect();
    assert!(outside.is_empty(), "files of src/agent/ outside its layers: {outside:?}");
}

#[test]
fn no_two_types_of_a_member_share_a_name() {
    for roots in MEMBERS {
        let graphs: Vec<Graph> = roots.iter().map(|root| graph(root)).collect();
        let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, module, file) in graphs.iter().flat_map(Graph::visible_types) {
            // Version 1 of the configuration has the names of version 2 where both have the type.
            let is_exempt = name == "Error" || module.starts_with("config::v1") || is_generated(file);
            if !is_exempt {
                files.entry(name).or_default().push(file.display().to_string());
            }
        }
        files.retain(|_, files| files.len() > 1);
        assert!(files.is_empty(), "types that share a name: {files:#?}");
    }
}

fn is_generated(file: &Path) -> bool {
    file.components().any(|component| component.as_os_str() == "generated")
}

fn allowed(rules: Rules<'_>) -> BTreeMap<String, Vec<String>> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    rules.iter().map(|(part, may)| ((*part).to_owned(), owned(may))).collect()
}

/// A crate in a temporary directory, from paths and contents.
fn crate_of(files: &[(&str, &str)]) -> (tempfile::TempDir, Graph) {
    let directory = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let graph = Graph::of_crate(directory.path(), Path::new("src/lib.rs"));
    (directory, graph)
}

#[test]
fn a_circle_is_found_through_re_exports_and_names_its_files() {
    let (_directory, graph) = crate_of(&[
        ("src/lib.rs", "mod a;\nmod b;\nmod facade;"),
        ("src/a.rs", "use crate::facade::Deep;\npub struct A;"),
        ("src/b.rs", "pub struct B;"),
        ("src/facade.rs", "mod deep;\npub use deep::Deep;"),
        ("src/facade/deep.rs", "use crate::{a::A, b::B};\npub struct Deep;"),
    ]);
    let circles = circles::circles(&graph);
    assert_eq!(
        circles,
        ["src/a.rs imports Deep from src/facade/deep.rs\nsrc/facade/deep.rs imports A from src/a.rs"]
    );
}

#[test]
fn a_circle_is_found_between_a_parent_and_its_child() {
    let (_directory, graph) = crate_of(&[
        ("src/lib.rs", "mod parent;"),
        ("src/parent.rs", "mod child;\nuse child::Child;\npub struct Parent;"),
        (
            "src/parent/child.rs",
            "use super::Parent;\npub struct Child;\n#[cfg(test)]\nmod tests { use super::*; }",
        ),
    ]);
    assert_eq!(circles::circles(&graph).len(), 1);
}

#[test]
fn a_facade_and_test_code_make_no_circle() {
    let (_directory, graph) = crate_of(&[
        ("src/lib.rs", "mod parent;\npub use parent::Child;"),
        ("src/parent.rs", "mod child;\npub(crate) use child::Child;\npub struct Parent;"),
        ("src/parent/child.rs", "use super::Parent;\npub struct Child;"),
        ("src/unused.rs", "not Rust"),
    ]);
    assert_eq!(circles::circles(&graph), [""; 0]);
}

#[test]
fn an_upward_import_is_found_by_use_and_by_path_and_names_both_files() {
    let (_directory, graph) = crate_of(&[
        ("src/lib.rs", "mod low;\nmod high;"),
        ("src/low.rs", "pub fn low() { crate::high::inner::high() }"),
        ("src/high.rs", "pub mod inner;\nuse crate::low::low;"),
        ("src/high/inner.rs", "pub fn high() {}"),
    ]);
    let rules = allowed(&[("low", &[]), ("high", &["low"])]);
    assert_eq!(graph::forbidden(&graph, &rules), ["src/low.rs imports high from src/high/inner.rs"]);
}

#[test]
fn an_upward_import_is_found_in_the_body_of_a_function_and_in_a_macro() {
    for content in [
        "fn low() { use crate::high::High; }",
        "fn low() { if true { use super::{high::{High as Other}}; } }",
        "fn low() { use crate::high::*; }",
        "struct Low; impl Low { fn low() { use super::high::High; } }",
        "fn low() { call!(crate::high::High) }",
        "fn low() { call!(pub(super), super::high::High) }",
    ] {
        let files = [
            ("src/lib.rs", "mod low;\nmod high;"),
            ("src/low.rs", content),
            ("src/high.rs", "pub struct High;"),
        ];
        let (_directory, graph) = crate_of(&files);
        let rules = allowed(&[("low", &[]), ("high", &["low"])]);
        assert_eq!(graph::forbidden(&graph, &rules).len(), 1, "{content}");
    }
    let files = [
        ("src/lib.rs", "mod low;\nmod high;"),
        (
            "src/low.rs",
            "fn low() { use std::fmt; #[cfg(test)] use crate::high::High; call!(pub(super) struct A; pub(crate) struct B;) }",
        ),
        ("src/high.rs", "pub struct High;"),
    ];
    let (_directory, graph) = crate_of(&files);
    assert_eq!(graph::forbidden(&graph, &allowed(&[("low", &[]), ("high", &["low"])])), [""; 0]);
}
