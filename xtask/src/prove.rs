//! `cargo xtask prove`: runs the checks of all claims, and prints one table.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xtask_launcher::{bold, print_line, shell};

use crate::proofs::{CLAIMS, Check, Claim};

/// How many lines of the output of a failing command are printed.
const SHOWN_LINES: usize = 40;

/// The text that a test prints before a figure.
const FIGURE: &str = "figure: ";

/// Runs all checks, or those whose name or claim contains a word, with `--full` in their long versions.
///
/// # Errors
///
/// Returns an error if an argument is unknown, or if a check fails. The other checks still run.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let (options, words): (Vec<&str>, Vec<&str>) =
        arguments.iter().partition(|argument| argument.starts_with('-'));
    let is_full = match options[..] {
        [] => false,
        ["--full"] => true,
        _ => bail!("unexpected arguments {options:?}; the only option is --full"),
    };
    let start = Instant::now();
    let proof = Proof::run(is_full, &words);
    if proof.claims.is_empty() && proof.left_out.is_empty() {
        bail!("no check is about {}", words.join(" "));
    }
    proof.print(start.elapsed());
    proof.verdict()
}

/// The results of all checks that were run.
#[derive(Default)]
struct Proof {
    claims: Vec<CheckedClaim>,
    /// The title of each check, and the figures that it printed.
    figures: Vec<(&'static str, Vec<String>)>,
    /// The titles of the checks that only the long version runs.
    left_out: Vec<&'static str>,
}

/// A claim whose checks were run.
struct CheckedClaim {
    name: &'static str,
    /// How many tests have passed, or `None` if a check has failed.
    tests: Option<usize>,
    time: Duration,
}

impl Proof {
    /// Runs the checks that are named, and prints their commands.
    fn run(is_full: bool, words: &[&str]) -> Self {
        let mut proof = Self::default();
        for claim in CLAIMS {
            let named = claim.checks.iter().filter(|check| is_named(claim, check, words));
            let (checks, only_full): (Vec<&Check>, Vec<&Check>) =
                named.partition(|check| check.runs(is_full));
            proof.left_out.extend(only_full.iter().map(|check| check.shows));
            if checks.is_empty() {
                continue;
            }
            let start = Instant::now();
            print_line(&bold(&format!("== {}", claim.name)));
            let mut tests = Some(0);
            for check in checks {
                let passed = proof.run_check(check, is_full);
                tests = tests.zip(passed).map(|(all, passed)| all + passed);
            }
            proof.claims.push(CheckedClaim { name: claim.name, tests, time: start.elapsed() });
        }
        proof
    }

    /// Runs a check, and returns how many tests have passed, or `None` if it has failed.
    fn run_check(&mut self, check: &Check, is_full: bool) -> Option<usize> {
        let command = if is_full { check.full_command() } else { check.command };
        print_line(&format!("   {command}"));
        let (tests, figures) = match run_check(command) {
            Ok(passed) => (Some(passed.tests), passed.figures),
            Err(error) => {
                print_line(&format!("{error:#}"));
                (None, vec!["FAILED".to_owned()])
            }
        };
        self.figures.extend((!figures.is_empty()).then_some((check.shows, figures)));
        tests
    }

    fn print(&self, elapsed: Duration) {
        for (shows, lines) in &self.figures {
            print_line("");
            print_line(&bold(shows));
            lines.iter().for_each(|line| print_line(&format!("  {line}")));
        }
        print_line("");
        print_line(&bold(&row("CLAIM", "RESULT", "TIME")));
        for claim in &self.claims {
            let result = claim.tests.map_or("FAILED".to_owned(), |tests| format!("holds, {tests} tests"));
            print_line(&row(claim.name, &result, &seconds(claim.time)));
        }
        print_line(&row("all", "", &seconds(elapsed)));
        if !self.left_out.is_empty() {
            print_line(&format!("\nonly with --full:\n  {}", self.left_out.join("\n  ")));
        }
    }

    /// Returns an error that names the claims of which a check has failed.
    fn verdict(&self) -> Result<()> {
        let failed = self.claims.iter().filter(|claim| claim.tests.is_none());
        let failed: Vec<&str> = failed.map(|claim| claim.name).collect();
        if !failed.is_empty() {
            bail!("not proven: {}", failed.join(", "));
        }
        Ok(())
    }
}

/// Returns whether the name of a check or of its claim contains one of these words. All do if there are none.
fn is_named(claim: &Claim, check: &Check, words: &[&str]) -> bool {
    let name = format!("{} {}", claim.name, check.shows).to_lowercase();
    words.is_empty() || words.iter().any(|word| name.contains(&word.to_lowercase()))
}

/// The result of a successful command.
#[derive(Debug)]
struct CheckResult {
    /// How many tests have passed. A command that is not a test counts as one.
    tests: usize,
    /// The figures that it has printed.
    figures: Vec<String>,
}

fn row(claim: &str, result: &str, time: &str) -> String {
    format!("{claim:<24} {result:<20} {time:>7}")
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

/// Runs a command, and returns what it has shown.
fn run_check(command: &str) -> Result<CheckResult> {
    let output = shell::parse(command)?.output().with_context(|| format!("cannot run `{command}`"))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let is_noticed = Check::is_of_mutants(command) && all_mutants_are_noticed(output.status.code(), &stdout);
    if !output.status.success() && !is_noticed {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = stderr.lines().chain(stdout.lines()).collect();
        bail!("`{command}` failed:\n{}", lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n"));
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let tests = if Check::is_test(command) { passed_tests(&stdout) } else { 1 };
    if tests == 0 {
        // A filter that matches nothing succeeds, too.
        bail!("`{command}` ran no tests");
    }
    let figures = if Check::is_of_mutants(command) {
        vec![last_line(&stdout).to_owned()]
    } else {
        printed_figures(&stderr)
    };
    Ok(CheckResult { tests, figures })
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

/// Returns the number of tests that have passed, from the output of `cargo test`.
fn passed_tests(output: &str) -> usize {
    let results = output.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
    results.filter_map(|result| result.split(' ').next()?.parse::<usize>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_tests_are_counted() {
        let output = "running 2 tests\ntest result: ok. 2 passed; 0 failed; 1 ignored\n\
                      test result: ok. 40 passed; 0 failed;\ntest result: FAILED. 9 passed; 1 failed;\n";
        assert_eq!(passed_tests(output), 42);
    }

    #[test]
    fn figures_are_found() {
        let output = "test a ... figure: 1 kill\nok\nfigure: a  b\nother\n";
        assert_eq!(printed_figures(output), ["1 kill", "a  b"]);
    }

    #[test]
    fn checks_are_chosen_by_words_in_any_case() {
        let chosen = |words: &[&str]| {
            let checks = CLAIMS.iter().flat_map(|claim| claim.checks.iter().map(move |check| (claim, check)));
            checks.filter(|(claim, check)| is_named(claim, check, words)).count()
        };
        let all = chosen(&[]);
        for word in ["durability", "KILLED", "inodes", "descriptors", "clock", "outage", "week", "input"] {
            assert!((1..all).contains(&chosen(&[word])), "{word}");
        }
        assert_eq!(chosen(&["no such word"]), 0);
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
    fn a_failing_command_fails_its_claim() {
        assert!(run_check("true").is_ok());
        assert!(run_check("false").is_err());
    }
}
