//! `cargo xtask ci`: the steps of CI, one row per step. Each is a command as it is typed in the root directory.

use std::time::Instant;

use anyhow::Result;
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
    // long, the one for 64-bit ARM and the boot without a cluster: docs/how-to/packages.md. Those that start containers have a step
    // of their own.
    ".ci/clickhouse .ci/clickhouse-cluster .ci/chdb .ci/editors cargo test --locked --package prehog --package tbot \
     --package xtask --tests -- --ignored --skip arm64:: --skip booted:: --skip containers::",
    ".ci/with-containers .ci/debian cargo test --locked --workspace --test packages -- --ignored booted::packages containers::",
    "cargo xtask demo",
    "cargo xtask week --short",
    // More kills than in a plain run.
    "TBOT_TEST_KILLS=100 cargo test --locked --workspace --test integration -- program::crash --nocapture",
    "PREHOG_TEST_KILLS=100 cargo test --locked --workspace --test prehog -- crash",
    // The tests of the program once more, against the release build.
    "cargo build --locked --release --package tbot",
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

fn run(steps: &[&str]) -> Result<()> {
    let start = Instant::now();
    for step in steps {
        let start = Instant::now();
        print_line(&bold(&format!("== {step}")));
        shell::run(step)?;
        print_line(&format!("   passed in {} s", start.elapsed().as_secs()));
    }
    print_line(&bold(&format!("== everything passed in {} s", start.elapsed().as_secs())));
    Ok(())
}
