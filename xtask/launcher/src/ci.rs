//! `cargo xtask ci`: the steps of CI, one row per step. Each is a command as it is typed in the root directory.

use std::io::{self, Read as _, Write as _};
use std::process::{Child, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

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
const SLOW_STEPS: [&str; 13] = [
    "cargo clippy --locked --package tbot --no-default-features -- -D warnings",
    "cargo clippy --locked --package tbot --no-default-features --features agent -- -D warnings",
    // Finds links to private or missing items.
    "RUSTDOCFLAGS=-Dwarnings cargo doc --locked --package tbot --package tbot-yaml --lib --no-deps --no-default-features",
    "RUSTDOCFLAGS=-Dwarnings cargo doc --locked --package tbot --lib --no-deps --no-default-features --features agent",
    "cargo deny --locked check --hide-inclusion-graph licenses bans sources",
    "cargo xtask book",
    // The test command of the README, but with more kills.
    "TBOT_TEST_KILLS=100 PREHOG_TEST_KILLS=100 cargo test --locked --workspace",
    IGNORED_TESTS,
    PACKAGES,
    DEMO,
    // The tests of the program once more, against the release build.
    RELEASE_BUILD,
    "TBOT_TEST_PROGRAM=target/release/tbot cargo test --locked --workspace --test integration -- program::",
    WEEK,
];

/// No test is ignored for another reason than that it needs root or what `cargo xtask setup` installs, except two that take too
/// long, the one for 64-bit ARM and the boot without a cluster: docs/how-to/packages.md. Those that start containers have a
/// separate step.
const IGNORED_TESTS: &str = ".ci/clickhouse .ci/clickhouse-cluster .ci/chdb .ci/editors cargo test --locked --package prehog \
     --package tbot --package xtask --tests -- --ignored --skip arm64:: --skip booted:: --skip containers::";
const PACKAGES: &str = ".ci/with-containers .ci/debian cargo test --locked --workspace --test packages -- --ignored booted::packages containers::";
const DEMO: &str = "cargo xtask demo";
const WEEK: &str = "cargo xtask week --short";

/// Builds the release, whatever directory cargo is told to build in, with the lowest priority.
const RELEASE_BUILD: &str =
    "nice -n 19 cargo build --quiet --locked --release --target-dir target --package tbot";

/// The steps that run in the background, with the step before which each is started: many tests wait most of the time. They
/// neither build for minutes in the directory of the steps beside them nor need an idle machine.
const BACKGROUND_STEPS: [(&str, &str); 3] =
    [(RELEASE_BUILD, FAST_STEPS[0]), (PACKAGES, IGNORED_TESTS), (WEEK, DEMO)];

/// Runs the fast steps, and stops at the first failure.
///
/// # Errors
///
/// Returns an error if a step fails.
pub(crate) fn run_fast() -> Result<()> {
    run(&FAST_STEPS, &[])
}

/// Runs all steps, and stops at the first failure.
///
/// # Errors
///
/// Returns an error if a tool is missing or a step fails.
pub(crate) fn run_all() -> Result<()> {
    setup::require_all()?;
    run(&[&FAST_STEPS[..], &SLOW_STEPS].concat(), &BACKGROUND_STEPS)
}

/// The exit status of a command that this machine does not permit, as in Automake for a skipped test.
const NOT_RUN: i32 = 77;

/// A step that runs at the same time as others. Dropping it waits for its end, because only the step itself removes what it has started,
/// such as containers. The build of the release is interrupted instead; compilers that are running go on to the end.
struct BackgroundStep {
    step: &'static str,
    start: Instant,
    child: Child,
    /// Reads what the step prints, until its end.
    reader: Option<JoinHandle<io::Result<Output>>>,
}

/// The output of a step, and the time at which the step ended.
struct Output {
    text: Vec<u8>,
    end: Instant,
}

impl BackgroundStep {
    fn start(step: &'static str) -> Result<Self> {
        let (mut reader, writer) = io::pipe()?;
        let start = Instant::now();
        let child =
            shell::parse(step)?.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).spawn();
        let child = child.with_context(|| format!("cannot run `{step}`"))?;
        let reader = thread::spawn(move || {
            let mut text = Vec::new();
            reader.read_to_end(&mut text)?;
            Ok(Output { text, end: Instant::now() })
        });
        Ok(Self { step, start, child, reader: Some(reader) })
    }

    /// Waits for the end of the step, and prints its output. Also returns how long the step took.
    fn wait(mut self) -> Result<(ExitStatus, Duration)> {
        let status = self.child.wait()?;
        let output = self.reader.take().and_then(|reader| reader.join().ok());
        let output = output.context("the output of the step was not read")??;
        io::stderr().write_all(&output.text)?;
        Ok((status, output.end - self.start))
    }
}

impl Drop for BackgroundStep {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        if self.step == RELEASE_BUILD {
            let _ = self.child.kill();
        } else {
            print_line(&format!("waiting for `{}`", self.step));
            let _ = self.child.wait();
        }
    }
}

/// Runs the steps in turn. Each step of `background` is started before the one that is named with it; its result counts at its own place.
fn run(steps: &[&'static str], background: &[(&'static str, &str)]) -> Result<()> {
    let start = Instant::now();
    let mut running: Vec<BackgroundStep> = Vec::new();
    let mut not_run = Vec::new();
    for step in steps {
        for (background, before) in background {
            if before == step {
                running.push(BackgroundStep::start(background)?);
            }
        }
        let start = Instant::now();
        print_line(&bold(&format!("== {step}")));
        let (status, duration) = match running.iter().position(|running| running.step == *step) {
            Some(index) => running.remove(index).wait()?,
            None => (shell::status(step)?, start.elapsed()),
        };
        if status.code() == Some(NOT_RUN) {
            print_line("   NOT RUN");
            not_run.push(*step);
        } else if status.success() {
            print_line(&format!("   passed in {} s", duration.as_secs()));
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
        run(&["true", "sh -c exit\t77", "true"], &[]).unwrap();
        run(&["true", "false"], &[]).unwrap_err();
        assert_eq!(summary(&[]), "everything passed");
        assert!(summary(&["a step"]).ends_with("NOT RUN: a step"));
    }

    #[test]
    fn the_result_of_a_step_in_the_background_counts_at_its_place() {
        run(&["true", "true --version"], &[("true --version", "true")]).unwrap();
        let error = run(&["true", "false"], &[("false", "true")]).unwrap_err();
        assert_eq!(error.to_string(), "`false` failed");
        let error = run(&["false", "true"], &[("true", "false")]).unwrap_err();
        assert_eq!(error.to_string(), "`false` failed");
    }

    #[test]
    fn every_step_in_the_background_is_one_of_the_steps_and_starts_before_its_place() {
        let steps = [&FAST_STEPS[..], &SLOW_STEPS].concat();
        let place = |step: &str| steps.iter().position(|one| *one == step).unwrap();
        for (step, before) in BACKGROUND_STEPS {
            assert!(place(before) < place(step), "{step}");
        }
    }
}
