//! `cargo xtask prove`: runs the checks of all claims, and prints one table.

mod command;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use xtask_launcher::{bold, print_line};

use crate::proofs::{CLAIMS, Check, Claim};

/// Runs all checks, or those whose name or claim contains a word, with `--full` in their long versions.
///
/// # Errors
///
/// Returns an error if an argument is unknown, if a check fails, if a check was not run because something is missing on this machine,
/// or if no check was run. The other checks still run.
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
        bail!("no claim or check matches `{}`", words.join(" "));
    }
    proof.print(start.elapsed());
    proof.verdict()
}

/// The results of all checks that were chosen.
#[derive(Default)]
struct Proof {
    claims: Vec<CheckedClaim>,
    /// The titles of the checks that only the long version runs.
    left_out: Vec<&'static str>,
}

/// A claim, and the results of its checks.
struct CheckedClaim {
    name: &'static str,
    /// The title of each check, and its result.
    checks: Vec<(&'static str, Outcome)>,
    time: Duration,
}

/// The result of a check.
#[derive(Debug)]
enum Outcome {
    /// It has passed.
    Passed(command::Passed),
    /// It has failed, so the claim is not proven.
    Failed,
    /// It was not run because this machine does not have these, which says nothing about the claim.
    NotRun(BTreeSet<&'static str>),
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
            let checks = checks.into_iter().map(|check| (check.shows, run_check(check, is_full))).collect();
            proof.claims.push(CheckedClaim { name: claim.name, checks, time: start.elapsed() });
        }
        proof
    }

    fn print(&self, elapsed: Duration) {
        for (shows, outcome) in self.claims.iter().flat_map(|claim| &claim.checks) {
            let lines = outcome.lines();
            if !lines.is_empty() {
                print_line("");
                print_line(&bold(shows));
                lines.iter().for_each(|line| print_line(&format!("  {line}")));
            }
        }
        print_line("");
        print_line(&bold(&row("CLAIM", "TIME", "RESULT")));
        for claim in &self.claims {
            print_line(&row(claim.name, &seconds(claim.time), &claim.result()));
        }
        print_line(&row("all", &seconds(elapsed), ""));
        if !self.left_out.is_empty() {
            print_line(&format!("\nonly with --full:\n  {}", self.left_out.join("\n  ")));
        }
    }

    /// Returns an error if a check has failed or was not run.
    fn verdict(&self) -> Result<()> {
        if self.claims.is_empty() {
            bail!("no check was run; these run only with --full");
        }
        let failed = self.claims.iter().filter(|claim| claim.has_failed()).map(|claim| claim.name);
        let failed: Vec<&str> = failed.collect();
        let missing: BTreeSet<&str> = self.claims.iter().flat_map(CheckedClaim::missing).collect();
        let not_run = format!("not every check was run: {} missing; see `cargo xtask setup`", join(&missing));
        match (failed.is_empty(), missing.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => bail!("{not_run}"),
            (false, true) => bail!("not proven: {}", failed.join(", ")),
            (false, false) => bail!("not proven: {}; {not_run}", failed.join(", ")),
        }
    }
}

impl CheckedClaim {
    fn has_failed(&self) -> bool {
        self.checks.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed))
    }

    /// Returns what the checks that were not run need.
    fn missing(&self) -> BTreeSet<&'static str> {
        let missing = self.checks.iter().filter_map(|(_, outcome)| match outcome {
            Outcome::NotRun(missing) => Some(missing),
            Outcome::Passed(_) | Outcome::Failed => None,
        });
        missing.flatten().copied().collect()
    }

    /// Returns the result as the table shows it.
    fn result(&self) -> String {
        let passed = self.checks.iter().filter_map(|(_, outcome)| match outcome {
            Outcome::Passed(passed) => Some(passed.tests),
            Outcome::Failed | Outcome::NotRun(_) => None,
        });
        let (tests, missing) = (passed.sum::<usize>(), self.missing());
        match (self.has_failed(), missing.is_empty()) {
            (true, _) => "FAILED".to_owned(),
            (false, true) => format!("holds, {tests} tests"),
            (false, false) if tests == 0 => not_run(&missing),
            (false, false) => format!("{tests} tests passed; {}", not_run(&missing)),
        }
    }
}

impl Outcome {
    /// Returns what is printed below the title of the check.
    fn lines(&self) -> Vec<String> {
        match self {
            Self::Passed(passed) => passed.figures.clone(),
            Self::Failed => vec!["FAILED".to_owned()],
            Self::NotRun(missing) => vec![not_run(missing)],
        }
    }
}

/// Runs a check, and prints its command.
fn run_check(check: &Check, is_full: bool) -> Outcome {
    let command = if is_full { check.full_command() } else { check.command };
    print_line(&format!("   {command}"));
    let missing: BTreeSet<&str> = check.missing(is_full).into_iter().collect();
    if !missing.is_empty() {
        print_line(&format!("   {}", not_run(&missing)));
        return Outcome::NotRun(missing);
    }
    command::run(command).map_or_else(
        |error| {
            print_line(&format!("{error:#}"));
            Outcome::Failed
        },
        Outcome::Passed,
    )
}

fn not_run(missing: &BTreeSet<&str>) -> String {
    format!("not run: needs {}", join(missing))
}

fn join(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}

/// Returns whether the name of a check or of its claim contains one of these words. All do if there are none.
fn is_named(claim: &Claim, check: &Check, words: &[&str]) -> bool {
    let name = format!("{} {}", claim.name, check.shows).to_lowercase();
    words.is_empty() || words.iter().any(|word| name.contains(&word.to_lowercase()))
}

fn row(claim: &str, time: &str, result: &str) -> String {
    format!("{claim:<32} {time:>7}  {result}").trim_end().to_owned()
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// Returns the result in the table and the error of a proof of one claim with these checks.
    fn proof_of(outcomes: Vec<Outcome>) -> (String, Option<String>) {
        let checks = outcomes.into_iter().map(|outcome| ("a check", outcome)).collect();
        let claim = CheckedClaim { name: "A claim", checks, time: Duration::ZERO };
        let result = claim.result();
        let proof = Proof { claims: vec![claim], left_out: Vec::new() };
        (result, proof.verdict().err().map(|error| error.to_string()))
    }

    fn passed() -> Outcome {
        Outcome::Passed(command::Passed { tests: 2, figures: Vec::new() })
    }

    #[test]
    fn a_check_that_was_not_run_is_neither_a_success_nor_a_failure_of_the_claim() {
        assert_eq!(proof_of(vec![passed(), passed()]), ("holds, 4 tests".to_owned(), None));
        let (result, error) = proof_of(vec![passed(), Outcome::NotRun(BTreeSet::from(["strace"]))]);
        assert_eq!(result, "2 tests passed; not run: needs strace");
        assert!(!error.unwrap().contains("not proven"));
        let (result, error) = proof_of(vec![Outcome::NotRun(BTreeSet::from(["root"])), Outcome::Failed]);
        assert_eq!(result, "FAILED");
        let error = error.unwrap();
        assert!(error.contains("not proven: A claim") && error.contains("root"), "{error}");
    }
}
