//! `cargo xtask dist`: archives and Debian packages of both programs, their bills of materials, and checksums.
//!
//! The same commit, compiler, tools and options give the same files: the time in them is that of the commit, or SOURCE_DATE_EPOCH.

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

/// How the names of all files end, except that of the checksums.
const ENDINGS: [&str; 3] = [".deb", ".tar.gz", ".cdx.json"];

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
    // Fails before the programs are built.
    released_files(&output)?;
    let binaries = match binaries {
        Some(directory) => directory,
        None => build(&root, &target, Profile::Release, &PROGRAMS)?,
    };
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
        archive::of_package(&package, &name, &bill, epoch, &output)?;
        let bill_file = output.join(format!("{name}.cdx.json"));
        fs::write(&bill_file, bill).with_context(|| format!("cannot write {}", bill_file.display()))?;
    }
    write_checksums(&output)
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

/// Returns the files in the output directory that were made for this platform and for others, sorted by name.
///
/// # Errors
///
/// Returns an error if a file is of another version: the container images are made from the only version in the directory.
fn released_files(output: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(output).with_context(|| format!("cannot read {}", output.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let version =
            PROGRAMS.iter().find_map(|program| name.strip_prefix(program)?.strip_prefix(['-', '_']));
        let Some(version) = version.filter(|_| ENDINGS.iter().any(|ending| name.ends_with(ending))) else {
            continue;
        };
        if !version.starts_with(concat!(env!("CARGO_PKG_VERSION"), "-")) {
            bail!(
                "{} is of another version: remove it, or name another directory with --output",
                entry.path().display()
            );
        }
        files.push(entry.path());
    }
    files.sort();
    Ok(files)
}

/// Writes the checksums of the files in the output directory, and prints them.
fn write_checksums(output: &Path) -> Result<()> {
    let mut checksums = String::new();
    for file in released_files(output)? {
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
    fn the_checksums_are_those_of_all_platforms() {
        let output = tempfile::tempdir().unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let names = [
            format!("prehog-{version}-aarch64-unknown-linux-gnu.cdx.json"),
            format!("tbot-{version}-aarch64-unknown-linux-gnu.tar.gz"),
            format!("tbot-{version}-x86_64-unknown-linux-gnu.tar.gz"),
            format!("tbot_{version}-1_amd64.deb"),
            format!("tbot_{version}-1_arm64.deb"),
        ];
        for name in names.iter().map(String::as_str).chain(["tbot.Containerfile", "notes-0.0.1.tar.gz"]) {
            fs::write(output.path().join(name), name).unwrap();
        }
        // The second run neither lists its own result nor keeps the previous one.
        for _ in 0..2 {
            write_checksums(output.path()).unwrap();
        }
        let checksums = fs::read_to_string(output.path().join(CHECKSUMS)).unwrap();
        let listed: Vec<&str> = checksums.lines().map(|line| line.split_once("  ").unwrap().1).collect();
        assert_eq!(listed, names);
    }

    #[test]
    fn a_file_of_another_version_is_rejected() {
        for name in ["tbot-0.0.1-x86_64-unknown-linux-gnu.tar.gz", "prehog_0.0.1-1_amd64.deb"] {
            let output = tempfile::tempdir().unwrap();
            fs::write(output.path().join(name), "").unwrap();
            let error = released_files(output.path()).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

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
