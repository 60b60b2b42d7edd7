//! A program that is run many times to its end: how long that takes, and how much memory at most.

use std::ffi::OsString;
use std::io::{Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};

use crate::table::mebibytes;

/// Runs of each command.
const RUNS: usize = 41;

pub(crate) struct Program(PathBuf);

impl Program {
    /// The release build, made now, or what a person names instead.
    pub(crate) fn ours() -> Result<Self> {
        match named("TBOT_BENCH_PROGRAM") {
            // Runs have folders of their own.
            Some(path) => Ok(Self(std::path::absolute(path)?)),
            None => Ok(Self(release()?)),
        }
    }

    pub(crate) fn other() -> Option<Self> {
        named("TBOT_BENCH_AGAINST").map(|path| Self(path.into()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Time and memory, measured in a process of its own, so that the peak of one command is not that of another.
    pub(crate) fn measured(&self, arguments: &[&str], folder: &Path) -> Result<(String, String)> {
        let output = Command::new(std::env::current_exe()?)
            .arg("--measure")
            .arg(&self.0)
            .args(arguments)
            .current_dir(folder)
            .env("SSL_CERT_FILE", folder.join("ca.pem"))
            .stderr(Stdio::inherit())
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let (time, memory) =
            text.trim().split_once('|').with_context(|| format!("{arguments:?} could not be measured"))?;
        Ok((time.to_owned(), memory.to_owned()))
    }
}

/// What [`Program::measured`] starts.
pub(crate) fn measure(command: &[OsString]) -> Result<()> {
    let [program, arguments @ ..] = command else { bail!("nothing to measure") };
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let begin = Instant::now();
        let status = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        times.push(begin.elapsed());
        if !status.success() {
            bail!("{} ended with {status}", program.to_string_lossy());
        }
    }
    times.sort();
    let peak = u64::try_from(getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss())?;
    let (fastest, median) = (times[0], times[RUNS / 2]);
    writeln!(stdout(), "{fastest:.1?} fastest, {median:.1?} median|{}", mebibytes(peak))?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "how a person tells a benchmark what to measure")]
fn named(variable: &str) -> Option<OsString> {
    std::env::var_os(variable)
}

fn release() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--release", "--package", "tbot", "--bin", "tbot"])
        .current_dir(root)
        .status()?;
    if !status.success() {
        bail!("the release build failed");
    }
    // The benchmark itself lies in target/release/deps.
    let here = std::env::current_exe()?;
    let folder = here.parent().and_then(Path::parent).context("this program has no folder")?;
    Ok(folder.join("tbot"))
}
