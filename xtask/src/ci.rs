//! `cargo xtask ci`: the checks that CI runs in addition to the tests: formatting, lints, documentation, features,
//! generated files, licences.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::generators::{GENERATORS, Mode};
use crate::workspace::{cargo, print_line, root};

/// Crates that must not be dependencies of the library without features, which has configuration, diagnostics and the event.
const HEAVY_CRATES: [&str; 6] = ["aws-lc-rs", "hyper", "reqwest", "rustls", "tokio", "tonic"];

pub(crate) fn run() -> Result<()> {
    cargo_step("fmt --all --check")?;
    cargo_step("clippy --locked --workspace --all-targets -- -D warnings")?;
    cargo_step("clippy --locked -p tbot --no-default-features -- -D warnings")?;
    cargo_step("clippy --locked -p tbot --no-default-features --features agent -- -D warnings")?;
    for features in ["--no-default-features", "--no-default-features --features agent"] {
        check_documentation(features)?;
    }
    print_step("dependencies of the library without features");
    check_library_dependencies()?;
    for generator in GENERATORS {
        print_step(&format!("cargo xtask {} --check", generator.name));
        generator.run(Mode::Check)?;
    }
    cargo_step("deny --locked check --hide-inclusion-graph licenses bans sources")
}

fn print_step(name: &str) {
    print_line(&format!("== {name}"));
}

fn cargo_step(command: &str) -> Result<()> {
    print_step(&format!("cargo {command}"));
    cargo(&command.split(' ').collect::<Vec<_>>())
}

/// Checks that the documentation of the library has no warning, such as a link to a private or missing item.
fn check_documentation(features: &str) -> Result<()> {
    let command = format!("doc --locked -p tbot --lib --no-deps {features}");
    print_step(&format!("cargo {command}"));
    let status = Command::new(env!("CARGO"))
        .args(command.split(' '))
        .env("RUSTDOCFLAGS", "-Dwarnings")
        .current_dir(root())
        .status()
        .context("cannot run cargo doc")?;
    if !status.success() {
        bail!("cargo {command} failed");
    }
    Ok(())
}

/// Checks that an embedder of the library without features gets no async runtime, no TLS and no gRPC.
fn check_library_dependencies() -> Result<()> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "-p", "tbot", "--no-default-features", "-e", "normal", "--prefix", "none"])
        .current_dir(root())
        .output()
        .context("cannot run cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let tree = String::from_utf8_lossy(&output.stdout);
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let heavy: Vec<&str> = names.filter(|name| HEAVY_CRATES.contains(name)).collect();
    if !heavy.is_empty() {
        bail!("the library without features depends on {}", heavy.join(", "));
    }
    Ok(())
}
