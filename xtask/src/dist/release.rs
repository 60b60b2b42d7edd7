//! Release builds whose result does not depend on the directory that they are made in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use xtask_launcher::{bold, print_line};

/// The programs that are released. Each is built alone, because crates that two programs share would get the features of both.
pub(crate) const PROGRAMS: [&str; 2] = ["tbot", "prehog"];

/// The platforms that are released, each with the linker of its C compiler, as Debian calls it.
const TARGETS: [(&str, &str); 2] = [
    ("x86_64-unknown-linux-gnu", "x86_64-linux-gnu-gcc"),
    ("aarch64-unknown-linux-gnu", "aarch64-linux-gnu-gcc"),
];

/// A platform that programs are built for.
#[derive(Debug)]
pub(crate) struct Target {
    name: &'static str,
    linker: &'static str,
}

impl Target {
    /// Returns the platform of this machine.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing is released for it.
    pub(crate) fn host() -> Result<Self> {
        let name = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        Self::from_name(&name)
    }

    /// Returns the platform with this name.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing is released for it.
    pub(crate) fn from_name(name: &str) -> Result<Self> {
        let target = TARGETS.iter().find(|(known, _)| *known == name);
        let (name, linker) = target.with_context(|| {
            let known = TARGETS.map(|(known, _)| known).join(" or ");
            format!("unknown target {name}; expected {known}")
        })?;
        Ok(Self { name, linker })
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }
}

/// How programs are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Release,
    /// Without optimizations.
    Dev,
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "dev",
        }
    }

    const fn directory(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "debug",
        }
    }
}

/// Builds programs from a checkout, and returns the directory with the binaries.
///
/// The compilers replace the paths of the checkout and of cargo's directory with fixed names, so the binaries do not contain them.
///
/// # Errors
///
/// Returns an error if the build fails.
pub(crate) fn build(
    checkout: &Path,
    target: &Target,
    profile: Profile,
    programs: &[&str],
) -> Result<PathBuf> {
    let target_directory = checkout.join("target");
    let prefixes = [(checkout.to_owned(), "/tbot"), (cargo_home()?, "/cargo")];
    let replaced = |flag: &str| {
        let flags = prefixes.iter().map(|(path, name)| format!("{flag}={}={name}", path.display()));
        flags.collect::<Vec<_>>()
    };
    let variable = target.name.replace('-', "_");
    for program in programs {
        print_line(&bold(&format!("== building {program} for {}", target.name)));
        let status = Command::new(env!("CARGO"))
            .current_dir(checkout)
            .args(["build", "--locked", "--profile", profile.name(), "--target", target.name])
            .args(["--package", program, "--bin", program])
            .env("CARGO_TARGET_DIR", &target_directory)
            .env(format!("CARGO_TARGET_{}_LINKER", variable.to_uppercase()), target.linker)
            // The flags are separated by this character, so that paths may contain spaces.
            .env("CARGO_ENCODED_RUSTFLAGS", replaced("--remap-path-prefix").join("\x1f"))
            .env(format!("CFLAGS_{variable}"), replaced("-ffile-prefix-map").join(" "))
            .status()
            .context("cannot run cargo build")?;
        if !status.success() {
            bail!(
                "the build of {program} for {} failed; for another platform, see docs/how-to/packages.md",
                target.name
            );
        }
    }
    Ok(target_directory.join(target.name).join(profile.directory()))
}

/// Returns the directory with the sources of dependencies.
#[expect(clippy::disallowed_methods, reason = "cargo reads the same variable")]
fn cargo_home() -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).context("there is no home directory")
}

/// Returns the time stamp of all files that are released, in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a convention of all tools for reproducible builds")]
pub(super) fn source_date_epoch(checkout: &Path) -> Result<u64> {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        return epoch.parse().context("SOURCE_DATE_EPOCH is not a number of seconds");
    }
    let output = Command::new("git").current_dir(checkout).args(["log", "-1", "--format=%ct"]).output();
    let output = output.context("cannot run git")?;
    let time = String::from_utf8_lossy(&output.stdout);
    time.trim().parse().context("git has no commit; set SOURCE_DATE_EPOCH")
}

/// Returns the SHA-256 checksum of a file, in hexadecimal.
///
/// # Errors
///
/// Returns an error if the file cannot be read.
pub(crate) fn sha256(file: &Path) -> Result<String> {
    let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(format!("{:x}", Sha256::digest(content)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_released_platforms_are_targets() {
        assert_eq!(Target::from_name("aarch64-unknown-linux-gnu").unwrap().linker, "aarch64-linux-gnu-gcc");
        Target::from_name("x86_64-pc-windows-msvc").unwrap_err();
    }

    #[test]
    fn the_time_is_that_of_the_last_commit() {
        let time = source_date_epoch(&xtask_launcher::root().unwrap()).unwrap();
        assert!(time > 1_700_000_000, "{time}");
    }
}
