//! Writes generated files, or checks that the files in the repository are up to date.
//!
//! A check never writes. If a file is out of date, it fails with a short diff and the command that regenerates the file.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use similar::TextDiff;

/// The number of lines of each diff in an error.
const MAX_DIFF_LINES: usize = 40;

/// The expected content of a generated file.
pub(crate) struct GeneratedFile {
    /// The path relative to the root of the repository.
    pub(crate) path: String,
    pub(crate) content: String,
}

/// Returns the paths of the files in `directories` below `root` that are no longer generated. The directories contain
/// generated files only.
fn obsolete(root: &Path, directories: &[&str], files: &[GeneratedFile]) -> Result<Vec<String>> {
    let mut obsolete = Vec::new();
    for directory in directories {
        if !root.join(directory).is_dir() {
            continue;
        }
        let entries =
            fs::read_dir(root.join(directory)).with_context(|| format!("cannot list {directory}"))?;
        for entry in entries {
            let path = format!("{directory}/{}", entry?.file_name().to_string_lossy());
            if files.iter().all(|file| file.path != path) {
                obsolete.push(path);
            }
        }
    }
    obsolete.sort();
    Ok(obsolete)
}

/// Writes the files that differ below `root`, and removes those in `directories` that are no longer generated. Returns the
/// paths of all of them.
///
/// # Errors
///
/// Returns an error if a file cannot be written or removed.
pub(crate) fn write(root: &Path, directories: &[&str], files: &[GeneratedFile]) -> Result<Vec<String>> {
    let mut written = Vec::new();
    for GeneratedFile { path, content } in files {
        let file = root.join(path);
        if current_content(&file) == *content {
            continue;
        }
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot create the directory of {path}"))?;
        }
        fs::write(&file, content).with_context(|| format!("cannot write {path}"))?;
        written.push(path.clone());
    }
    for path in obsolete(root, directories, files)? {
        fs::remove_file(root.join(&path)).with_context(|| format!("cannot remove {path}"))?;
        written.push(path);
    }
    Ok(written)
}

/// Checks that the files below `root` have the expected content, and that `directories` contain no others. `command` is the
/// command that regenerates them.
///
/// # Errors
///
/// Returns an error with a short diff of each file that is missing or differs, and the names of those that are no longer
/// generated.
pub(crate) fn check(root: &Path, directories: &[&str], command: &str, files: &[GeneratedFile]) -> Result<()> {
    let mut stale = obsolete(root, directories, files)?;
    let mut diffs = String::new();
    for GeneratedFile { path, content } in files {
        let current = current_content(&root.join(path));
        if current != *content {
            stale.push(path.clone());
            diffs += &short_diff(path, &current, content);
        }
    }
    if !stale.is_empty() {
        bail!(
            "generated files are out of date: {}\n{diffs}\nrun `{command}` and commit the result",
            stale.join(", ")
        );
    }
    Ok(())
}

/// Returns the content of a file, or an empty string if the file is missing or cannot be read.
fn current_content(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// Formats a JSON Schema as it is checked in.
pub(crate) fn pretty_json(value: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

fn short_diff(path: &str, current: &str, expected: &str) -> String {
    let diff = TextDiff::from_lines(current, expected);
    let text = diff.unified_diff().context_radius(1).header(path, "generated").to_string();
    let mut lines: Vec<&str> = text.lines().take(MAX_DIFF_LINES).collect();
    if text.lines().count() > MAX_DIFF_LINES {
        lines.push("...");
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(content: &str) -> GeneratedFile {
        GeneratedFile { path: "docs/page.md".to_owned(), content: content.to_owned() }
    }

    #[test]
    fn only_files_that_differ_are_written() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(write(root.path(), &[], &[page("a\n")]).unwrap(), ["docs/page.md"]);
        assert_eq!(write(root.path(), &[], &[page("a\n")]).unwrap(), [""; 0]);
        assert_eq!(write(root.path(), &[], &[page("b\n")]).unwrap(), ["docs/page.md"]);
    }

    #[test]
    fn a_check_passes_after_a_write() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &[], &[page("a\n")]).unwrap();
        check(root.path(), &[], "generate", &[page("a\n")]).unwrap();
    }

    #[test]
    fn a_failing_check_names_the_file_and_the_command_and_writes_nothing() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &[], &[page("a\n")]).unwrap();
        let error = check(root.path(), &[], "cargo xtask pages", &[page("b\n")]).unwrap_err();
        let message = "generated files are out of date: docs/page.md\n\
                       --- docs/page.md\n+++ generated\n@@ -1 +1 @@\n-a\n+b\n\n\
                       run `cargo xtask pages` and commit the result";
        assert_eq!(error.to_string(), message);
        assert_eq!(fs::read_to_string(root.path().join("docs/page.md")).unwrap(), "a\n");
    }

    #[test]
    fn a_failing_check_does_not_create_a_missing_file() {
        let root = tempfile::tempdir().unwrap();
        check(root.path(), &[], "cargo xtask pages", &[page("a\n")]).unwrap_err();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_no_longer_generated_is_found_and_removed() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &["docs"], &[page("a\n")]).unwrap();
        fs::write(root.path().join("docs/old.md"), "b\n").unwrap();
        let error = check(root.path(), &["docs"], "generate", &[page("a\n")]).unwrap_err();
        assert!(error.to_string().starts_with("generated files are out of date: docs/old.md\n"), "{error}");
        assert_eq!(write(root.path(), &["docs"], &[page("a\n")]).unwrap(), ["docs/old.md"]);
        check(root.path(), &["docs"], "generate", &[page("a\n")]).unwrap();
    }

    #[test]
    fn a_long_diff_is_truncated() {
        let lines: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert_eq!(short_diff("page.md", "", &lines).lines().count(), MAX_DIFF_LINES + 1);
    }
}
