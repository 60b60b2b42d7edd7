//! `cargo xtask dist`: archives and Debian packages of both programs, their bills of materials, and checksums.
//!
//! The same commit, compiler and options give the same files: the time in them is that of the commit, or SOURCE_DATE_EPOCH.

mod archive;
mod debian;
mod release;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use xtask_launcher::{print_line, root};

use crate::sbom;
pub(crate) use release::{PROGRAMS, Profile, Target, build, sha256};

/// The file with the checksums of all others, as `sha256sum --check` reads it.
const CHECKSUMS: &str = "SHA256SUMS";

const USAGE: &str = "unexpected arguments; run `cargo xtask dist --help`";

struct Arguments {
    /// A directory with programs that are already built. Without it, they are built.
    binaries: Option<PathBuf>,
    target: Target,
    output: PathBuf,
    /// The maintainer of the Debian packages. Without it, the packages say that they are not published.
    maintainer: Option<String>,
}

/// Makes everything that is released.
///
/// # Errors
///
/// Returns an error if an argument is unknown, or a tool is missing or fails.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let root = root()?;
    let Arguments { binaries, target, output, maintainer } = parse(arguments, &root)?;
    let epoch = release::source_date_epoch(&root)?;
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    let binaries = match binaries {
        Some(directory) => directory,
        None => build(&root, &target, Profile::Release, &PROGRAMS)?,
    };
    let mut files = Vec::new();
    for program in PROGRAMS {
        let bill = serde_json::to_string_pretty(&sbom::bill_of_materials(program, Some(target.name()))?)?;
        let package = debian::package(
            program,
            &binaries.join(program),
            &target,
            maintainer.as_deref(),
            epoch,
            &output,
        )?;
        let name = format!("{program}-{}-{}", env!("CARGO_PKG_VERSION"), target.name());
        let archive = archive::of_package(&package, &name, &bill, epoch, &output)?;
        let bill_file = output.join(format!("{name}.cdx.json"));
        fs::write(&bill_file, bill).with_context(|| format!("cannot write {}", bill_file.display()))?;
        files.extend([archive, bill_file, package]);
    }
    write_checksums(&output, files)
}

fn parse(arguments: &[&str], root: &Path) -> Result<Arguments> {
    let pairs = arguments.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        bail!(USAGE);
    }
    let output = root.join("target/dist");
    let mut parsed = Arguments { binaries: None, target: Target::host()?, output, maintainer: None };
    for pair in pairs {
        match *pair {
            ["--binaries", directory] => parsed.binaries = Some(std::path::absolute(directory)?),
            ["--target", target] => parsed.target = Target::from_name(target)?,
            ["--output", directory] => parsed.output = std::path::absolute(directory)?,
            ["--maintainer", maintainer] => parsed.maintainer = Some(checked_maintainer(maintainer)?),
            _ => bail!(USAGE),
        }
    }
    Ok(parsed)
}

/// Returns a maintainer in the form that Debian requires (Policy 5.6.2): a name and an email address.
fn checked_maintainer(maintainer: &str) -> Result<String> {
    let parts = maintainer.strip_suffix('>').and_then(|parts| parts.split_once(" <"));
    let is_address = |address: &str| {
        address.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
            && !address.contains(|character: char| character.is_whitespace() || "<>,".contains(character))
    };
    let is_name = |name: &str| !name.trim().is_empty() && !name.contains(char::is_control);
    if parts.is_some_and(|(name, address)| is_name(name) && is_address(address)) {
        Ok(maintainer.to_owned())
    } else {
        bail!("--maintainer {maintainer:?} is not of the form \"NAME <USER@HOST>\"");
    }
}

/// Writes the checksums of files in the output directory, and prints them.
fn write_checksums(output: &Path, mut files: Vec<PathBuf>) -> Result<()> {
    files.sort();
    let mut checksums = String::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        checksums += &format!("{}  {name}\n", sha256(&file)?);
    }
    let path = output.join(CHECKSUMS);
    fs::write(&path, &checksums).with_context(|| format!("cannot write {}", path.display()))?;
    print_line(&format!("{}\n{}", output.display(), checksums.trim_end()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maintainer_has_a_name_and_an_address() {
        checked_maintainer("Jo Doe <jo@example.com>").unwrap();
        for wrong in [
            "Jo Doe",
            "jo@example.com",
            "<jo@example.com>",
            "Jo <jo>",
            "Jo <@>",
            "Jo <a@b>, Al <c@d>",
            "a\nb <c@d>",
        ] {
            checked_maintainer(wrong).unwrap_err();
        }
    }
}
