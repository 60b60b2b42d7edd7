//! Checks that the paths and the targets of links in the documentation exist.

#![expect(clippy::unwrap_used, reason = "a failing helper must fail its test")]

use std::fs;
use std::path::{Path, PathBuf};

/// Directories whose paths are checked if they are in backticks.
const DIRECTORIES: [&str; 8] =
    [".ci/", "benches/", "docs/", "prehog/src/", "schema/", "src/", "tests/", "xtask/"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn pages() -> Vec<PathBuf> {
    let files =
        [root(), root().join("docs")].into_iter().flat_map(|directory| fs::read_dir(directory).unwrap());
    let paths = files.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// Returns the lines of a page without code blocks.
fn prose(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let mut in_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    });
    lines.map(str::to_owned).collect()
}

/// Returns the anchors of the headings of a page, as GitHub generates them.
fn anchors(page: &Path) -> impl Iterator<Item = String> {
    let headings = prose(page).into_iter().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        heading
            .replace(|letter: char| !letter.is_alphanumeric() && !" -_".contains(letter), "")
            .replace(' ', "-")
    })
}

#[test]
fn paths_in_the_documentation_exist() {
    let mut checked = 0;
    for page in pages() {
        for line in prose(&page) {
            let code = line.split('`').skip(1).step_by(2);
            for path in code.filter(|code| DIRECTORIES.iter().any(|directory| code.starts_with(directory))) {
                assert!(root().join(path).exists(), "{}: {path} does not exist", page.display());
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "found only {checked} paths");
}

#[test]
fn links_in_the_documentation_lead_to_files_and_headings() {
    let mut checked = 0;
    for page in pages() {
        for line in prose(&page) {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if link.contains("://") {
                    continue;
                }
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
                assert!(target.exists(), "{}: {link} does not exist", page.display());
                assert!(
                    anchor.is_empty() || anchors(&target).any(|other| other == anchor),
                    "{link} has no heading"
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "found only {checked} links");
}
