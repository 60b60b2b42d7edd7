//! Debian packages. `[package.metadata.deb]` in the manifest of each program says what they contain.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use xtask_launcher::root;
use xtask_launcher::tools::CARGO_DEB;

use super::release::Target;

/// Makes the package of a program from its binary, and returns the path of the package.
///
/// # Errors
///
/// Returns an error if the binary cannot be read, or cargo-deb fails or is of another version.
pub(super) fn package(
    program: &str,
    binary: &Path,
    target: &Target,
    maintainer: Option<&str>,
    epoch: u64,
    output: &Path,
) -> Result<PathBuf> {
    if !CARGO_DEB.is_present() {
        bail!("missing: {}; run `cargo xtask setup`", CARGO_DEB.label());
    }
    // cargo-deb takes the binary from the directory of builds, which is this one.
    let builds = tempfile::tempdir().context("cannot create a temporary directory")?;
    let release = builds.path().join(target.name()).join("release");
    fs::create_dir_all(&release)?;
    fs::copy(binary, release.join(program)).with_context(|| format!("cannot copy {}", binary.display()))?;
    let packages = builds.path().join("packages");
    fs::create_dir(&packages)?;
    let result = Command::new(env!("CARGO"))
        .current_dir(root()?)
        .args(["deb", "--quiet", "--no-build", "--no-strip", "--locked"])
        .args(["--package", program, "--target", target.name(), "--output"])
        .arg(&packages)
        .args(maintainer.map(|maintainer| format!("--maintainer={maintainer}")))
        .env("CARGO_TARGET_DIR", builds.path())
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .output()
        .context("cannot run cargo")?;
    if !result.status.success() {
        bail!("cargo-deb failed:\n{}", String::from_utf8_lossy(&result.stderr).trim_end());
    }
    let package = fs::read_dir(&packages)?.next().context("cargo-deb has written no package")??;
    let destination = output.join(package.file_name());
    fs::copy(package.path(), &destination)
        .with_context(|| format!("cannot write {}", destination.display()))?;
    Ok(destination)
}
