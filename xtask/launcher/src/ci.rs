//! `cargo xtask ci`: the steps of CI, one row per step. Each is a command as it is typed in the root directory.

use std::io;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
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
    // The tests of the program once more, against the release build.
    RELEASE_BUILD,
    "TBOT_TEST_PROGRAM=target/release/tbot cargo test --locked --workspace --test integration -- program::",
];

/// Builds the release, whatever directory cargo is told to build in. It is started before all other steps, and has the lowest
/// priority: many tests wait most of the time.
const RELEASE_BUILD: &str =
    "nice -n 19 cargo build --quiet --locked --release --target-dir target --package tbot";

/// Runs the fast steps, and stops at the first failure.
///
/// # Errors
///
/// Returns an error if a step fails.
pub(crate) fn run_fast() -> Result<()> {
    run(&FAST_STEPS, None)
}

/// Runs all steps, and stops at the first failure.
///
/// # Errors
///
/// Returns an error if a tool is missing or a step fails.
pub(crate) fn run_all() -> Result<()> {
    setup::require_all()?;
    let release_build = BackgroundStep::start(RELEASE_BUILD)?;
    run(&[&FAST_STEPS[..], &SLOW_STEPS].concat(), Some(release_build))
}

/// The exit status of a command that this machine does not permit, as in Automake for a skipped test.
const NOT_RUN: i32 = 77;

/// A step that runs at the same time as others. Dropping it ends its program, but not the programs that this one has started: compilers
/// that are running go on to the end.
struct BackgroundStep {
    step: &'static str,
    child: Child,
}

impl BackgroundStep {
    fn start(step: &'static str) -> Result<Self> {
        let child =
            shell::parse(step)?.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        Ok(Self { step, child: child.with_context(|| format!("cannot run `{step}`"))? })
    }

    /// Waits for the end of the step, and prints its errors and warnings.
    fn wait(mut self) -> Result<ExitStatus> {
        if let Some(mut errors) = self.child.stderr.take() {
            io::copy(&mut errors, &mut io::stderr())?;
        }
        Ok(self.child.wait()?)
    }
}

impl Drop for BackgroundStep {
    fn drop(&mut self) {
        // Fails if it has ended.
        let _ = self.child.kill();
    }
}

/// Runs the steps in turn. One of them may have been started in the background.
fn run(steps: &[&str], mut background: Option<BackgroundStep>) -> Result<()> {
    let start = Instant::now();
    let mut not_run = Vec::new();
    for step in steps {
        let start = Instant::now();
        print_line(&bold(&format!("== {step}")));
        let status = match background.take_if(|background| background.step == *step) {
            Some(background) => background.wait()?,
            None => shell::status(step)?,
        };
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
        run(&["true", "sh -c exit\t77", "true"], None).unwrap();
        run(&["true", "false"], None).unwrap_err();
        assert_eq!(summary(&[]), "everything passed");
        assert!(summary(&["a step"]).ends_with("NOT RUN: a step"));
    }

    #[test]
    fn the_result_of_a_step_in_the_background_counts_at_its_place() {
        run(&["true", "true --version"], Some(BackgroundStep::start("true --version").unwrap())).unwrap();
        let error = run(&["true", "false"], Some(BackgroundStep::start("false").unwrap())).unwrap_err();
        assert_eq!(error.to_string(), "`false` failed");
        let error =
            run(&["false", "sleep 3600"], Some(BackgroundStep::start("sleep 3600").unwrap())).unwrap_err();
        assert_eq!(error.to_string(), "`false` failed");
    }

    #[test]
    fn the_steps_contain_the_one_that_is_started_before_them() {
        assert!(SLOW_STEPS.contains(&RELEASE_BUILD));
    }
}
