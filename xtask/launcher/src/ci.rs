//! `cargo xtask ci`: the steps of CI, one row per step.

use std::time::Instant;

use anyhow::Result;
use xtask_launcher::{bold, print_line};

use crate::{setup, shell};

/// The steps that run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Only the fast steps.
    Fast,
    /// All steps.
    Full,
}

/// A step of CI.
struct Step {
    /// The command, as it is typed in the root directory of the repository.
    command: &'static str,
    extent: Extent,
}

const fn fast(command: &'static str) -> Step {
    Step { command, extent: Extent::Fast }
}

const fn full(command: &'static str) -> Step {
    Step { command, extent: Extent::Full }
}

/// All steps, in order.
const STEPS: [Step; 14] = [
    fast("cargo fmt --all --check"),
    fast("cargo clippy --locked --workspace --all-targets -- -D warnings"),
    // Generated files, paths and links in the documentation, layers, and dependencies of the library.
    fast("cargo test --locked --quiet --package xtask --package xtask-launcher"),
    full("cargo clippy --locked --package tbot --no-default-features -- -D warnings"),
    full("cargo clippy --locked --package tbot --no-default-features --features agent -- -D warnings"),
    // Finds links to private or missing items.
    full("RUSTDOCFLAGS=-Dwarnings cargo doc --locked --package tbot --lib --no-deps --no-default-features"),
    full(
        "RUSTDOCFLAGS=-Dwarnings cargo doc --locked --package tbot --lib --no-deps --no-default-features --features agent",
    ),
    full("cargo deny --locked check --hide-inclusion-graph licenses bans sources"),
    // The test command of the README.
    full("cargo test --locked --workspace"),
    // No test is ignored for any other reason than the tools that `cargo xtask setup` installs, and root. So this runs all.
    full(
        ".ci/clickhouse .ci/editors cargo test --locked --package prehog --package tbot --tests -- --ignored",
    ),
    // More kills than in a plain run.
    full(
        "TBOT_TEST_KILLS=100 cargo test --locked --package tbot --test integration -- program::crash --nocapture",
    ),
    full("PREHOG_TEST_KILLS=100 cargo test --locked --package prehog --test prehog -- crash"),
    // The tests of the program once more, against the release build.
    full("cargo build --locked --release --package tbot"),
    full(
        "TBOT_TEST_PROGRAM=target/release/tbot cargo test --locked --package tbot --test integration -- program::",
    ),
];

/// Runs the steps, and stops at the first failure.
///
/// # Errors
///
/// Returns an error if a tool is missing or a step fails.
pub(crate) fn run(extent: Extent) -> Result<()> {
    let start = Instant::now();
    if extent == Extent::Full {
        setup::check()?;
    }
    let steps = STEPS.iter().filter(|step| extent == Extent::Full || step.extent == Extent::Fast);
    for step in steps {
        let start = Instant::now();
        print_line(&bold(&format!("== {}", step.command)));
        shell::run(step.command)?;
        print_line(&format!("   passed in {} s", start.elapsed().as_secs()));
    }
    print_line(&bold(&format!("== everything passed in {} s", start.elapsed().as_secs())));
    Ok(())
}
