//! Checks that docs/dependencies.md gives a reason for every dependency of every member, and that no member may contain
//! unsafe code.

#![expect(clippy::unwrap_used, reason = "a failing helper must fail its test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use tbot_documentation::root;

const PAGE: &str = "docs/dependencies.md";

/// Returns the path of the directory of each member, by the name of its package.
fn members() -> BTreeMap<String, String> {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let line = workspace.lines().find(|line| line.starts_with("members = ")).unwrap();
    let directories = line.split('"').skip(1).step_by(2).chain(["."]);
    directories
        .map(|directory| {
            let manifest = manifest(directory);
            let name = manifest.lines().find_map(|line| line.strip_prefix("name = ")).unwrap();
            (name.trim_matches('"').to_owned(), directory.to_owned())
        })
        .collect()
}

fn manifest(directory: &str) -> String {
    fs::read_to_string(root().join(directory).join("Cargo.toml")).unwrap()
}

/// Returns the names of the direct dependencies in a manifest, of every kind, without those on members.
fn dependencies(manifest: &str, members: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut section = "";
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let is_name = line.starts_with(|first: char| first.is_ascii_lowercase());
        if is_name && section.ends_with("dependencies]") && section != "[workspace.dependencies]" {
            names.insert(line.split([' ', '.', '=']).next().unwrap().to_owned());
        }
    }
    names.retain(|name| !members.contains_key(name));
    names
}

/// Returns the users of each dependency that the page lists: the first and the second column of its tables.
fn listed() -> BTreeMap<String, BTreeSet<String>> {
    let page = fs::read_to_string(root().join(PAGE)).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, users, reason] = cells[..] else { panic!("{PAGE}: three columns are needed: {row}") };
        assert!(reason.len() > 10, "{PAGE}: {name} has no reason");
        (name.trim_matches('`').to_owned(), users.split(", ").map(str::to_owned).collect())
    })
    .collect()
}

#[test]
fn every_dependency_has_a_reason() {
    let members = members();
    let mut used = BTreeMap::<String, BTreeSet<String>>::new();
    for (member, directory) in &members {
        for name in dependencies(&manifest(directory), &members) {
            used.entry(name).or_default().insert(member.clone());
        }
    }
    assert!(used.len() > 60, "only {} dependencies were found", used.len());
    let listed = listed();
    let differs = |name: &&String| listed.get(*name) != used.get(*name);
    let wrong: Vec<String> = used
        .keys()
        .chain(listed.keys())
        .filter(differs)
        .map(|name| format!("{name}: used by {:?}, listed for {:?}", used.get(name), listed.get(name)))
        .collect();
    assert!(wrong.is_empty(), "correct the rows of these dependencies in {PAGE}:\n{}", wrong.join("\n"));
}

/// `forbid` cannot be overridden in a file, so code with `unsafe` does not compile.
#[test]
fn every_member_forbids_unsafe_code() {
    let workspace = manifest(".");
    assert!(workspace.contains("[workspace.lints.rust]\nunsafe_code = \"forbid\"\n"));
    for (member, directory) in members() {
        let inherits = manifest(&directory).contains("[lints]\nworkspace = true\n");
        assert!(inherits, "{member} does not inherit the lints: add `[lints]` with `workspace = true`");
    }
}
