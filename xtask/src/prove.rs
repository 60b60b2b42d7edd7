//! `cargo xtask prove`: runs the checks of all claims, and prints one table.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xtask_launcher::{bold, print_line, shell};

use crate::proofs::{CLAIMS, Check};

/// How many lines of the output of a failing command are printed.
const SHOWN_LINES: usize = 40;

/// Runs all checks, with `--full` in their long versions.
///
/// # Errors
///
/// Returns an error if an argument is unknown, or if a check fails. The other checks still run.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let is_full = match arguments {
        [] => false,
        ["--full"] => true,
        other => bail!("unexpected arguments {other:?}; the only option is --full"),
    };
    let start = Instant::now();
    let mut rows = Vec::new();
    for claim in CLAIMS {
        let start = Instant::now();
        print_line(&bold(&format!("== {}", claim.name)));
        let mut tests = Some(0);
        for check in claim.checks {
            let command = if is_full { check.full_command() } else { check.command };
            print_line(&format!("   {command}"));
            let passed = run_check(command).inspect_err(|error| print_line(&format!("{error:#}")));
            tests = tests.zip(passed.ok()).map(|(all, passed)| all + passed);
        }
        rows.push((claim.name, tests, start.elapsed()));
    }
    print_line("");
    print_line(&bold(&row("CLAIM", "RESULT", "TIME")));
    for (name, tests, time) in &rows {
        let result = tests.map_or("FAILED".to_owned(), |tests| format!("holds, {tests} tests"));
        print_line(&row(name, &result, &seconds(*time)));
    }
    print_line(&row("all", "", &seconds(start.elapsed())));
    let failed: Vec<&str> =
        rows.iter().filter(|(_, tests, _)| tests.is_none()).map(|(name, ..)| *name).collect();
    if !failed.is_empty() {
        bail!("not proven: {}", failed.join(", "));
    }
    Ok(())
}

fn row(claim: &str, result: &str, time: &str) -> String {
    format!("{claim:<24} {result:<20} {time:>7}")
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

/// Runs a command, and returns how many tests have passed. A command that is not a test counts as one.
fn run_check(command: &str) -> Result<usize> {
    let output = shell::parse(command)?.output().with_context(|| format!("cannot run `{command}`"))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = stderr.lines().chain(stdout.lines()).collect();
        bail!("`{command}` failed:\n{}", lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n"));
    }
    if !Check::is_test(command) {
        return Ok(1);
    }
    match passed_tests(&stdout) {
        // A filter that matches nothing succeeds, too.
        0 => bail!("`{command}` has run no test"),
        passed => Ok(passed),
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
    fn a_failing_command_fails_its_claim() {
        assert!(run_check("true").is_ok());
        assert!(run_check("false").is_err());
    }
}
