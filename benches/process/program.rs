//! Measures programs: the run time and the peak memory of many runs, and the CPU time of one.

use std::ffi::OsString;
use std::io::{ErrorKind, Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::table::mebibytes;

/// The number of runs of each command.
const RUNS: usize = 41;

pub(crate) struct Program(PathBuf);

impl Program {
    /// Returns the program to measure: the one that `TBOT_BENCH_PROGRAM` names, or a new release build.
    pub(crate) fn under_test() -> Result<Self> {
        match env_path("TBOT_BENCH_PROGRAM") {
            Some(path) => Self::named(Path::new(&path)),
            None => Ok(Self(build_release()?)),
        }
    }

    /// Returns the program at a path.
    pub(crate) fn named(path: &Path) -> Result<Self> {
        ensure!(path.is_file(), "there is no program {}", path.display());
        // The program runs in other working directories.
        Ok(Self(std::path::absolute(path)?))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Runs a command repeatedly and returns its time and its peak memory, formatted for the table.
    ///
    /// The kernel reports the peak over all children of a process, so each command is measured by a separate process.
    pub(crate) fn measure(&self, arguments: &[&str], directory: &Path) -> Result<(String, String)> {
        let output = Command::new(std::env::current_exe()?)
            .arg("--measure")
            .arg(&self.0)
            .args(arguments)
            .current_dir(directory)
            .env("TELEPORT_ANONYMOUS_TELEMETRY", "0")
            .envs(certificates(directory))
            .stderr(Stdio::inherit())
            .output()?;
        let result = String::from_utf8(output.stdout)?;
        let (time, memory) =
            result.trim().split_once('|').with_context(|| format!("cannot measure {arguments:?}"))?;
        Ok((time.to_owned(), memory.to_owned()))
    }
}

/// Returns the variable for the roots of the cluster's certificates, if the directory contains them.
pub(crate) fn certificates(directory: &Path) -> Option<(&'static str, PathBuf)> {
    let path = directory.join("ca.pem");
    path.exists().then_some(("SSL_CERT_FILE", path))
}

/// Runs a command repeatedly and prints `<time>|<memory>`. [`Program::measure`] starts a process that calls this.
pub(crate) fn run_measurement(command: &[OsString]) -> Result<()> {
    let [program, arguments @ ..] = command else { bail!("no command to measure") };
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let started = Instant::now();
        let status = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        times.push(started.elapsed());
        if !status.success() {
            bail!("{} failed: {status}", program.to_string_lossy());
        }
    }
    times.sort();
    let peak = u64::try_from(getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss())?;
    let (fastest, median) = (times[0], times[RUNS / 2]);
    writeln!(stdout(), "{fastest:.1?} fastest, {median:.1?} median|{}", mebibytes(peak))?;
    Ok(())
}

/// Runs a command, and returns its CPU time in user and kernel mode. Returns `None` if there is no such program.
pub(crate) fn cpu_time(command: &mut Command) -> Result<Option<Duration>> {
    let before = cpu_time_of_children()?;
    match command.status() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
        Ok(status) if !status.success() => bail!("{} failed: {status}", command.get_program().display()),
        Ok(_) => Ok(Some(cpu_time_of_children()?.saturating_sub(before))),
    }
}

/// Returns the CPU time of all children that have ended.
fn cpu_time_of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let microseconds = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(microseconds)?))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is configured with environment variables")]
pub(crate) fn env_path(variable: &str) -> Option<OsString> {
    std::env::var_os(variable)
}

fn build_release() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--release", "--package", "tbot", "--bin", "tbot"])
        .current_dir(root)
        .status()?;
    if !status.success() {
        bail!("the release build failed");
    }
    // The benchmark itself is in target/release/deps.
    let benchmark = std::env::current_exe()?;
    let directory = benchmark.parent().and_then(Path::parent).context("cannot find target/release")?;
    Ok(directory.join("tbot"))
}
