//! Runs the commands of a page. Depends on the pages.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::page::{CodeBlock, Page};

/// A line of a page that represents any number of lines of output.
const ELISION: &str = "...";

/// A directory in which the commands of one page run, one after the other.
pub struct Session {
    directory: TempDir,
    variables: Vec<(String, OsString)>,
    /// Pairs of a text as the page shows it and the text that the commands see.
    replacements: Vec<(String, String)>,
}

/// A command and the output that the page shows for it.
struct Step {
    command: String,
    output: Vec<String>,
}

impl Session {
    /// Creates a session whose commands find `program` by its name.
    pub fn new(program: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut path = OsString::from(program.parent().unwrap());
        path.push(":/usr/bin:/bin");
        let home = directory.path().as_os_str().to_owned();
        let variables = vec![("PATH".to_owned(), path), ("HOME".to_owned(), home)];
        Self { directory, variables, replacements: Vec::new() }
    }

    /// Sets an environment variable. The commands have no others than these, `PATH` and `HOME`.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Replaces a text of the page in its files and commands, and replaces it back in their output.
    #[must_use]
    pub fn with_replacement(mut self, shown: &str, actual: &str) -> Self {
        self.replacements.push((shown.to_owned(), actual.to_owned()));
        self
    }

    /// Returns the directory in which the commands run.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes the files that the page names, runs the commands in its `console` blocks, and compares their output with
    /// that on the page. Returns the number of commands.
    ///
    /// # Panics
    ///
    /// Panics if a command fails or its output is different.
    pub fn run(&self, page: &Page) -> usize {
        let mut count = 0;
        for block in page.code_blocks() {
            if let Some(name) = file_name(&block) {
                fs::write(self.directory().join(name), self.to_actual(&block.text)).unwrap();
            }
            if block.language != "console" {
                continue;
            }
            let place = format!("{}:{}", page.path.display(), block.line);
            for step in steps(&block.text, &place) {
                self.run_step(&step, &place);
                count += 1;
            }
        }
        count
    }

    fn run_step(&self, step: &Step, place: &str) {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &self.to_actual(&step.command)])
            .current_dir(self.directory())
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(writer.try_clone().unwrap())
            .stderr(writer);
        let mut child = command.spawn().unwrap();
        // Closes this process's ends of the pipe, so that reading it ends.
        drop(command);
        let output = std::io::read_to_string(&mut reader).unwrap();
        let output = self.to_shown(&output);
        let status = child.wait().unwrap();
        assert!(status.success(), "{place}: `{}` failed with {status}:\n{output}", step.command);
        let lines: Vec<&str> = output.lines().collect();
        let expected: Vec<&str> = step.output.iter().map(String::as_str).collect();
        assert!(
            expected.is_empty() || matches(&expected, &lines),
            "{place}: `{}` printed:\n{output}\nThe page shows:\n{}",
            step.command,
            expected.join("\n")
        );
    }

    fn to_actual(&self, text: &str) -> String {
        self.replacements.iter().fold(text.to_owned(), |text, (shown, actual)| text.replace(shown, actual))
    }

    fn to_shown(&self, text: &str) -> String {
        self.replacements.iter().fold(text.to_owned(), |text, (shown, actual)| text.replace(actual, shown))
    }
}

/// Returns the name of the file that a block contains: its first line is a comment that consists of this name.
fn file_name(block: &CodeBlock) -> Option<&str> {
    let name = block.text.lines().next()?.strip_prefix("# ")?;
    let is_name = name.contains('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    is_name.then_some(name)
}

/// Splits a `console` block: a line that starts with `$ ` is a command, lines that start with `> ` continue it, and the
/// lines until the next command are its output.
fn steps(text: &str, place: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), output: Vec::new() });
            continue;
        }
        let step = steps.last_mut().unwrap_or_else(|| panic!("{place}: the block does not start with `$ `"));
        match line.strip_prefix("> ") {
            Some(line) if step.output.is_empty() => {
                step.command.push('\n');
                step.command.push_str(line);
            }
            _ => step.output.push(line.to_owned()),
        }
    }
    steps
}

/// Returns whether the output is the expected one. An elision matches any number of lines. Numbers are not compared,
/// because times, sizes and ports differ from run to run.
fn matches(expected: &[&str], actual: &[&str]) -> bool {
    match expected {
        [] => actual.is_empty(),
        [first, rest @ ..] if first.trim() == ELISION => {
            (0..=actual.len()).any(|skipped| matches(rest, &actual[skipped..]))
        }
        [first, rest @ ..] => actual
            .split_first()
            .is_some_and(|(line, others)| mask_numbers(first) == mask_numbers(line) && matches(rest, others)),
    }
}

/// Replaces each number by a single `0`, and removes space at the end.
fn mask_numbers(line: &str) -> String {
    let mut masked = String::new();
    for c in line.trim_end().chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if c != '0' || !masked.ends_with('0') {
            masked.push(c);
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_split_into_commands_and_their_output() {
        let steps = steps("$ a \\\n>   b\nc\n\n$ d\n", "docs/page.md:1");
        let parts: Vec<(&str, Vec<&str>)> = steps
            .iter()
            .map(|step| (step.command.as_str(), step.output.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(parts, [("a \\\n  b", vec!["c", ""]), ("d", vec![])]);
    }

    #[test]
    fn elisions_match_any_lines_and_numbers_any_numbers() {
        assert!(matches(&["a 1", "...", "b"], &["a 23", "b"]));
        assert!(matches(&["a 1", "...", "b"], &["a 23", "x", "y", "b"]));
        assert!(!matches(&["a", "b"], &["a", "x", "b"]));
        assert!(!matches(&["a"], &["a", "b"]));
        assert!(!matches(&["a", "b"], &["a"]));
        assert!(!matches(&["a 1"], &["a x"]));
    }

    #[test]
    fn only_a_comment_that_is_a_file_name_names_a_file() {
        let name = |text: &str| {
            let block =
                CodeBlock { language: "yaml".to_owned(), text: text.to_owned(), line: 1, not_run: None };
            file_name(&block).map(str::to_owned)
        };
        assert_eq!(name("# tbot.yaml\nversion: v2\n").as_deref(), Some("tbot.yaml"));
        assert_eq!(name("# /etc/tbot.yaml\nversion: v2\n"), None);
        assert_eq!(name("# opts in\nversion: v2\n"), None);
        assert_eq!(name("version: v2\n"), None);
    }
}
