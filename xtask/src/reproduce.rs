//! `cargo xtask reproduce`: builds the programs twice, in different directories, and compares the binaries.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use xtask_launcher::{print_line, root};

use crate::dist::{PROGRAMS, Profile, Target, build, sha256};

/// The directories, which have names of different lengths.
const DIRECTORIES: [&str; 2] = ["one", "another-checkout"];

/// Builds the programs that are named, or both, and fails if a binary differs.
///
/// # Errors
///
/// Returns an error if an argument is unknown, if a build fails, or if a program has two different binaries.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let (profile, names) = match arguments {
        ["--dev", names @ ..] => (Profile::Dev, names),
        names => (Profile::Release, names),
    };
    if let Some(unknown) = names.iter().find(|name| !PROGRAMS.contains(name)) {
        bail!("unexpected argument {unknown}; run `cargo xtask reproduce --help`");
    }
    let programs = if names.is_empty() { &PROGRAMS[..] } else { names };
    let (root, target) = (root()?, Target::host()?);
    let parent = tempfile::Builder::new().prefix("tbot-reproduce-").tempdir();
    let parent = parent.context("cannot create a temporary directory")?;
    let checkouts = DIRECTORIES.map(|name| (name, parent.path().join(name)));
    // Copies both before the first build, because files may change during a build.
    for (_, checkout) in &checkouts {
        copy_checkout(&root, checkout)?;
    }
    let mut checksums = Vec::new();
    for (name, checkout) in checkouts {
        let built = build(&checkout, &target, profile, programs)?;
        let kept = parent.path().join(format!("built-in-{name}"));
        fs::create_dir(&kept)?;
        let keep = |program: &&str| {
            let binary = kept.join(program);
            fs::copy(built.join(program), &binary).with_context(|| format!("cannot keep {program}"))?;
            sha256(&binary)
        };
        checksums.push(programs.iter().map(keep).collect::<Result<Vec<String>>>()?);
        // Builds are large.
        fs::remove_dir_all(&checkout).with_context(|| format!("cannot remove {}", checkout.display()))?;
    }
    let [first, second] = &checksums[..] else { bail!("not two builds") };
    let mut differing = Vec::new();
    for ((program, first), second) in programs.iter().zip(first).zip(second) {
        print_line(&format!("{first}  {program}"));
        if first != second {
            print_line(&format!("{second}  {program}, built in another directory"));
            differing.push(*program);
        }
    }
    if !differing.is_empty() {
        let kept = parent.keep();
        bail!(
            "different binaries: {}; compare them with `diffoscope` in {}",
            differing.join(", "),
            kept.display()
        );
    }
    Ok(())
}

/// Copies the files that git knows, as they are now.
fn copy_checkout(from: &Path, to: &Path) -> Result<()> {
    let listed = Command::new("git").current_dir(from).args(["ls-files", "-z"]).output();
    let listed = listed.context("cannot run git")?;
    if !listed.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr).trim_end());
    }
    let names = String::from_utf8(listed.stdout).context("a file name is not UTF-8")?;
    for name in names.split_terminator('\0') {
        let destination = to.join(name);
        if let Some(directory) = destination.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::copy(from.join(name), &destination).with_context(|| format!("cannot copy {name}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_sources_and_no_build() {
        let root = root().unwrap();
        let directory = tempfile::tempdir().unwrap();
        copy_checkout(&root, directory.path()).unwrap();
        let read = |directory: &Path| fs::read(directory.join("xtask/src/reproduce.rs")).unwrap();
        assert_eq!(read(directory.path()), read(&root));
        assert!(!directory.path().join("target").exists());
    }

    #[test]
    fn only_released_programs_can_be_named() {
        run(&["xtask"]).unwrap_err();
        run(&["--fast"]).unwrap_err();
    }
}
