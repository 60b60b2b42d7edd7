//! Archives for machines without dpkg. They contain what the Debian package installs in /usr/bin and /usr/share, so that the
//! files of a program are listed only once. An archive is unpacked in /usr/local.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use xtask_launcher::root;

/// The directories below /usr that an archive contains. Units contain the paths of the package.
const DIRECTORIES: [&str; 2] = ["bin", "share"];

/// Where zsh finds completions below /usr, and where it finds them below /usr/local.
const ZSH_COMPLETIONS: [&str; 2] = ["share/zsh/vendor-completions", "share/zsh/site-functions"];

/// Makes an archive from a Debian package and a bill of materials.
///
/// # Errors
///
/// Returns an error if a file cannot be written, or dpkg-deb or tar fails.
pub(super) fn of_package(package: &Path, name: &str, bill: &str, epoch: u64, output: &Path) -> Result<()> {
    let directory = tempfile::tempdir().context("cannot create a temporary directory")?;
    let (installed, packed) = (directory.path().join("installed"), directory.path().join(name));
    run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&installed))?;
    fs::create_dir(&packed)?;
    for directory in DIRECTORIES {
        fs::rename(installed.join("usr").join(directory), packed.join(directory))
            .with_context(|| format!("the package has no usr/{directory}"))?;
    }
    let [in_package, in_archive] = ZSH_COMPLETIONS.map(|directory| packed.join(directory));
    fs::rename(in_package, in_archive).context("the package has no completions for zsh")?;
    fs::copy(root()?.join("LICENSE"), packed.join("LICENSE")).context("cannot copy LICENSE")?;
    fs::write(packed.join("sbom.cdx.json"), bill)?;
    let archive = output.join(format!("{name}.tar.gz"));
    run(Command::new("tar")
        .args(["--create", "--format=gnu", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .args(["--mode=u=rwX,go=rX", "--use-compress-program=gzip -n"])
        .arg(format!("--mtime=@{epoch}"))
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .arg(directory.path())
        .arg(name))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(())
}
