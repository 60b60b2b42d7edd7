//! `cargo xtask prove` does not take a check that was not run for a success, nor for a violated claim.

#![expect(clippy::unwrap_used, reason = "a panic in a helper fails the test")]

use std::process::{Command, Output};

/// Runs `cargo xtask prove` on a machine without any program.
fn prove_without_programs(words: &[&str]) -> (bool, String) {
    let Output { status, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("prove")
        .args(words)
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    (status.success(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_check_without_what_it_needs_is_not_run() {
    let (is_success, output) = prove_without_programs(&["kernel"]);
    assert!(!is_success && output.contains("not run: needs strace"), "{output}");
    assert!(!output.contains("FAILED") && !output.contains("not proven"), "{output}");
}

#[test]
fn a_check_that_only_the_long_version_runs_is_not_a_success() {
    let (is_success, output) = prove_without_programs(&["mutants"]);
    assert!(!is_success && output.contains("only with --full"), "{output}");
}
