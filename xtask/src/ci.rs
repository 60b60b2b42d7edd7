//! What CI checks beside the tests: format, lints, features, generated files, licences.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::generate::{Mode, report, root};
use crate::{docs, generate, proto};

/// Crates that an embedder of configuration, diagnostics and event alone must never get.
const HEAVY: [&str; 6] = ["aws-lc-rs", "hyper", "reqwest", "rustls", "tokio", "tonic"];

/// `cargo xtask ci`.
pub(crate) fn ci() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    cargo(&["clippy", "--locked", "-p", "tbot", "--no-default-features", "--", "-D", "warnings"])?;
    cargo(&[
        "clippy",
        "--locked",
        "-p",
        "tbot",
        "--no-default-features",
        "--features",
        "agent",
        "--",
        "-D",
        "warnings",
    ])?;
    step("features: the plain library has no runtime, no TLS, no gRPC");
    stays_light()?;
    step("cargo xtask schema --check");
    generate::schema(Mode::Check)?;
    step("cargo xtask docs --check");
    docs::docs(Mode::Check)?;
    step("cargo xtask proto --check");
    proto::proto(Mode::Check)?;
    cargo(&["deny", "--locked", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"])
}

fn step(what: &str) {
    report(&format!("== {what}"));
}

fn cargo(arguments: &[&str]) -> Result<()> {
    step(&format!("cargo {}", arguments.join(" ")));
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root())
        .status()
        .with_context(|| format!("cannot run cargo {}", arguments[0]))?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}

fn stays_light() -> Result<()> {
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
    let heavy: Vec<&str> = names.filter(|name| HEAVY.contains(name)).collect();
    if !heavy.is_empty() {
        bail!("the library without features depends on {}", heavy.join(", "));
    }
    Ok(())
}
