//! The workspace that this program belongs to: its root directory, its cargo, and progress on standard error.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Returns the root directory of the repository.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// Runs cargo in the root directory of the repository.
///
/// # Errors
///
/// Returns an error if cargo cannot be run or exits with a failure.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    let command = arguments.join(" ");
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root())
        .status()
        .with_context(|| format!("cannot run cargo {command}"))?;
    if !status.success() {
        bail!("cargo {command} failed");
    }
    Ok(())
}

/// Prints a line to standard error.
pub(crate) fn print_line(line: &str) {
    // If standard error is closed, there is nowhere to report it.
    let _ = writeln!(std::io::stderr(), "{line}");
}
