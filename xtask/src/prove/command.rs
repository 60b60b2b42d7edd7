//! Runs the command of a check, and reads its output.

use anyhow::{Context as _, Result, bail};
use xtask_launcher::shell;

use crate::proofs::Check;

/// How many lines of the output of a failing command are printed.
const SHOWN_LINES: usize = 40;

/// The text that a test prints before a figure.
const FIGURE: &str = "figure: ";

/// The result of a successful command.
#[derive(Debug)]
pub(super) struct Passed {
    /// How many tests have passed. A command that is not a test counts as one.
    pub(super) tests: usize,
    /// The figures that it has printed.
    pub(super) figures: Vec<String>,
}

/// Runs a command, and returns what it has shown.
///
/// # Errors
///
/// Returns an error if the command fails, or if it or one of its filters runs no test.
pub(super) fn run(command: &str) -> Result<Passed> {
    let output = shell::parse(command)?.output().with_context(|| format!("cannot run `{command}`"))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let is_noticed = Check::is_of_mutants(command) && all_mutants_are_noticed(output.status.code(), &stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && !is_noticed {
        let lines: Vec<&str> = stderr.lines().chain(stdout.lines()).collect();
        bail!("`{command}` failed:\n{}", lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n"));
    }
    if Check::is_of_mutants(command) {
        return Ok(Passed { tests: 1, figures: vec![last_line(&stdout).to_owned()] });
    }
    let tests = if Check::is_test(command) { count_tests(command, &stdout)? } else { 1 };
    Ok(Passed { tests, figures: printed_figures(&stderr) })
}

/// Returns how many tests have run, from the output of a `cargo test` that has passed.
///
/// # Errors
///
/// Returns an error if no test has run, or none that a filter selects: a filter that matches nothing, or only ignored tests, succeeds,
/// too.
fn count_tests(command: &str, output: &str) -> Result<usize> {
    let tests: Vec<&str> = output.lines().filter_map(name_of_test).collect();
    if tests.is_empty() {
        bail!("`{command}` ran no tests");
    }
    let is_idle = |filter: &&str| tests.iter().all(|test| !test.contains(filter));
    if let Some(filter) = Check::filters(command).find(is_idle) {
        bail!("`{command}` ran no tests for {filter}");
    }
    Ok(tests.len())
}

/// Returns the name in a line that reports a test, unless the test was ignored. With `--nocapture`, the output of the test may follow
/// on the same line.
fn name_of_test(line: &str) -> Option<&str> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    (!result.starts_with("ignored")).then_some(name)
}

/// Returns the figures in the output of tests. The name of a test may be before one, on the same line.
fn printed_figures(output: &str) -> Vec<String> {
    let figures = output.lines().filter_map(|line| line.split_once(FIGURE));
    figures.map(|(_, figure)| figure.to_owned()).collect()
}

/// Returns the last line of the output of cargo-mutants, which counts the mutants.
fn last_line(output: &str) -> &str {
    output.lines().last().unwrap_or_default()
}

/// Returns whether tests notice every mutant, from the exit status and the output of cargo-mutants. Tests that do not end notice the
/// mutant, too, but the exit status of such a run is the same whether or not other mutants survive.
fn all_mutants_are_noticed(exit_code: Option<i32>, output: &str) -> bool {
    const TIMEOUT: i32 = 3;
    let counts = last_line(output);
    match exit_code {
        Some(0) => true,
        Some(TIMEOUT) => counts.contains(" timeouts") && !counts.contains(" missed"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "running 3 tests\ntest clock::a ... ok\ntest outage::b ... ignored, needs root\n\
                          test crash::c ... figure: 1 kill\nok\ntest result: ok. 2 passed; 0 failed; 1 ignored\n";

    #[test]
    fn tests_that_ran_are_counted() {
        assert_eq!(count_tests("cargo test --test prehog", OUTPUT).unwrap(), 2);
        assert_eq!(count_tests("cargo test -- clock crash --nocapture", OUTPUT).unwrap(), 2);
    }

    #[test]
    fn a_filter_that_runs_no_test_is_an_error() {
        for filters in ["clock outage", "clock nothing", "outage"] {
            let error = count_tests(&format!("cargo test -- {filters}"), OUTPUT).unwrap_err().to_string();
            assert!(error.contains("ran no tests for"), "{error}");
        }
        assert!(count_tests("cargo test", "running 0 tests\ntest result: ok. 0 passed;\n").is_err());
    }

    #[test]
    fn figures_are_found() {
        let output = "test a ... figure: 1 kill\nok\nfigure: a  b\nother\n";
        assert_eq!(printed_figures(output), ["1 kill", "a  b"]);
    }

    #[test]
    fn a_mutant_that_survives_is_found_if_another_one_times_out() {
        let noticed = |code, counts| all_mutants_are_noticed(code, &format!("MISSED a\n{counts}\n"));
        assert!(noticed(Some(0), "3 mutants tested in 2s: 2 caught, 1 unviable"));
        assert!(noticed(Some(3), "3 mutants tested in 2s: 2 caught, 1 timeouts"));
        assert!(!noticed(Some(3), "4 mutants tested in 2s: 1 missed, 2 caught, 1 timeouts"));
        assert!(!noticed(Some(2), "3 mutants tested in 2s: 1 missed, 2 caught"));
        // The tests fail without a mutant, a signal, or output that is not a count.
        assert!(!noticed(Some(4), "the unmutated tree fails"));
        assert!(!noticed(None, "3 mutants tested in 2s: 2 caught, 1 timeouts"));
        assert!(!all_mutants_are_noticed(Some(3), ""));
    }

    #[test]
    fn a_failing_command_is_an_error() {
        assert!(run("true").is_ok());
        assert!(run("false").is_err());
    }
}
