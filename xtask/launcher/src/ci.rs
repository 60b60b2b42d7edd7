//! `cargo xtask ci`: the steps of CI, one row per step. Each is a command as it is typed in the root directory.

use std::time::Instant;

use anyhow::{Result, bail};
use xtask_launcher::{bold, print_line, shell};

use crate::setup;

/// The steps that take less than a minute together, once everything is built.
const FAST_STEPS: [&str; 3] = [
    "cargo fmt --all --check",
    "cargo clippy --locked --workspace --all-targets -- -D warnings",
    // Generated files, paths and links in the documentation, layers, and dependencies of the library.
    "cargo test --locked --workspace --bin xtask --bin xtask-launcher --test doc_paths --test layers \
     --test library_dependencies",
];

/// The further steps. Those that run tests select the whole workspace, or at least the three packages with all features of their
/// dependencies: for any other selection, cargo would build the dependencies again.
const SLOW_STEPS: [&str; 15] = [
    "cargo clippy --locked --package tbot --no-default-features -- -D warnings",
    "cargo clippy --locked --package tbot --no-default-features --features agent -- -D warnings",
    // Finds links to private or missing items.
    "RUSTDOCFLAGS=-Dwarnings cargo doc --locked --package tbot --package tbot-yaml --lib --no-deps --no-default-features",
    "RUSTDOCFLAGS=-Dwarnings cargo doc --locked --package tbot --lib --no-deps --no-default-features --features agent",
    "cargo deny --locked check --hide-inclusion-graph licenses bans sources",
    "cargo xtask book",
    // The test command of the README.
    "cargo test --locked --workspace",
    // No test is ignored for another reason than that it needs root or what `cargo xtask setup` installs, except two that take too
    // long, the one for 64-bit ARM and the boot without a cluster: docs/how-to/packages.md. Those that start containers have a
    // separate step.
    ".ci/clickhouse .ci/clickhouse-cluster .ci/chdb .ci/editors cargo test --locked --package prehog --package tbot \
     --package xtask --tests -- --ignored --skip arm64:: --skip booted:: --skip containers::",
    ".ci/with-containers .ci/debian cargo test --locked --workspace --test packages -- --ignored booted::packages containers::",
    "cargo xtask demo",
    "cargo xtask week --short",
    // More kills than in a plain run.
    "TBOT_TEST_KILLS=100 cargo test --locked --workspace --test integration -- program::crash --nocapture",
    "PREHOG_TEST_KILLS=100 cargo test --locked --workspace --test prehog -- crash",
    // The tests of the program once more, against the release build, whatever directory cargo is told to build in.
    "cargo build --locked --release --target-dir target --package tbot",
    "TBOT_TEST_PROGRAM=target/release/tbot cargo test --locked --workspace --test integration -- program::",
];

/// Runs the fast steps, and stops at the first failure.
///
/// # Errors
///
/// Returns an error if a step fails.
pub(crate) fn run_fast() -> Result<()> {
    run(&FAST_STEPS)
}

/// Runs all steps, and stops at the first failure.
///
/// # Errors
///
/// Returns an error if a tool is missing or a step fails.
pub(crate) fn run_all() -> Result<()> {
    setup::require_all()?;
    run(&[&FAST_STEPS[..], &SLOW_STEPS].concat())
}

/// The exit status of a command that this machine does not permit, as in Automake for a skipped test.
const NOT_RUN: i32 = 77;

fn run(steps: &[&str]) -> Result<()> {
    let start = Instant::now();
    let mut not_run = Vec::new();
    for step in steps {
        let start = Instant::now();
        print_line(&bold(&format!("== {step}")));
        let status = shell::status(step)?;
        if status.code() == Some(NOT_RUN) {
            print_line("   NOT RUN");
            not_run.push(*step);
        } else if status.success() {
            print_line(&format!("   passed in {} s", start.elapsed().as_secs()));
        } else {
            bail!("`{step}` failed");
        }
    }
    print_line(&bold(&format!("== {} in {} s", summary(&not_run), start.elapsed().as_secs())));
    Ok(())
}

/// Returns the last line, which says what has passed.
fn summary(not_run: &[&str]) -> String {
    match not_run {
        [] => "everything passed".to_owned(),
        steps => format!("everything passed, except what was NOT RUN: {}", steps.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_was_not_run_is_neither_a_success_nor_a_failure() {
        assert!(run(&["true", "sh -c exit\t77", "true"]).is_ok());
        assert!(run(&["true", "false"]).is_err());
        assert_eq!(summary(&[]), "everything passed");
        assert!(summary(&["a step"]).ends_with("NOT RUN: a step"));
    }
}
