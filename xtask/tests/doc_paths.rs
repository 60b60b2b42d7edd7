//! Checks that the paths and the targets of links in the documentation exist, and that the book contains every page.

#![expect(clippy::unwrap_used, reason = "a failing helper must fail its test")]

use std::path::{Component, Path, PathBuf};

use tbot_documentation::{Page, pages, root};

/// Directories whose paths are checked if they are in backticks.
const DIRECTORIES: [&str; 10] = [
    ".ci/",
    "benches/",
    "docs/",
    "examples/",
    "packaging/",
    "prehog/",
    "schema/",
    "src/",
    "tests/",
    "xtask/",
];

/// The table of contents of the book.
const SUMMARY: &str = "docs/SUMMARY.md";

/// Returns the path of a link's target from the root of the repository.
fn resolve(page: &Page, file: &str) -> PathBuf {
    let mut path = page.path.parent().unwrap().to_owned();
    for component in Path::new(file).components() {
        match component {
            Component::ParentDir => {
                assert!(path.pop(), "{}: {file} leaves the repository", page.path.display());
            }
            component => path.push(component),
        }
    }
    path
}

#[test]
fn paths_in_the_documentation_exist() {
    let mut checked = 0;
    for page in pages() {
        for path in page.inline_code() {
            if DIRECTORIES.iter().any(|directory| path.starts_with(directory)) {
                assert!(root().join(&path).exists(), "{}: {path} does not exist", page.path.display());
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "found only {checked} paths");
}

/// Returns whether inline code is a name from the source, such as `COMMANDS_OF_OPTIONS`, `ServiceType` or `Parts::push`.
fn is_identifier(code: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    let has_two_words =
        |word: &str| word.contains('_') || word.chars().filter(char::is_ascii_uppercase).count() > 1;
    code.split("::").all(is_word) && code.split("::").any(has_two_words)
}

/// Adds the source files below a directory, except this one, which has names in its comments.
fn add_sources(directory: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_sources(&path, sources);
        } else if !path.ends_with(file!())
            && path
                .extension()
                .is_some_and(|extension| ["rs", "json", "proto"].iter().any(|other| extension == *other))
        {
            *sources += &std::fs::read_to_string(path).unwrap();
        }
    }
}

#[test]
fn names_from_the_source_in_the_guides_for_developers_exist() {
    let mut sources = String::new();
    for directory in ["prehog/src", "schema", "src", "tests", "xtask"] {
        add_sources(&root().join(directory), &mut sources);
    }
    let mut checked = 0;
    for page in ["docs/architecture.md", "docs/contributing.md"].map(Page::read) {
        for name in page.inline_code().into_iter().filter(|code| is_identifier(code)) {
            for word in name.split("::") {
                assert!(
                    sources.contains(word),
                    "{}: {word} in {name} is not in the source",
                    page.path.display()
                );
            }
            checked += 1;
        }
    }
    assert!(checked > 10, "found only {checked} names");
}

#[test]
fn links_in_the_documentation_lead_to_files_and_headings() {
    let mut checked = 0;
    for page in pages() {
        for link in page.links().into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.path.clone() } else { resolve(&page, file) };
            assert!(root().join(&target).exists(), "{}: {link} does not exist", page.path.display());
            assert!(
                target.starts_with("docs") || !page.path.starts_with("docs"),
                "{}: {link} is not in the book: write it in backticks",
                page.path.display()
            );
            assert!(
                anchor.is_empty() || Page::read(target).anchors().iter().any(|other| other == anchor),
                "{}: {link} has no heading",
                page.path.display()
            );
            checked += 1;
        }
    }
    assert!(checked > 20, "found only {checked} links");
}

#[test]
fn the_book_contains_every_page_once() {
    let summary = Page::read(SUMMARY);
    let mut listed: Vec<PathBuf> = summary.links().iter().map(|link| resolve(&summary, link)).collect();
    listed.sort();
    let is_in_the_book = |path: &PathBuf| path.starts_with("docs") && path != Path::new(SUMMARY);
    let pages: Vec<PathBuf> = pages().into_iter().map(|page| page.path).filter(is_in_the_book).collect();
    assert_eq!(listed, pages, "{SUMMARY} on the left must list the pages on the right");
}
