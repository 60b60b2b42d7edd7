//! A running agent: the time until its outputs are written, and its resident memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::fixture::BotDirectory;
use crate::program::Program;

/// The longest time to wait for outputs. A development build takes a minute for a thousand outputs.
const TIMEOUT: Duration = Duration::from_secs(300);

/// A `tbot start` process, killed on drop.
pub(crate) struct Daemon {
    child: Child,
    started: Instant,
    directory: PathBuf,
}

impl Daemon {
    pub(crate) fn start(program: &Program, directory: &BotDirectory) -> Result<Self> {
        let started = Instant::now();
        let child = Command::new(program.path())
            .args(["start", "-c", "tbot.yaml"])
            .current_dir(directory.path())
            .env("SSL_CERT_FILE", directory.path().join("ca.pem"))
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, started, directory: directory.path().to_owned() })
    }

    /// Waits until any output is written, and returns the time since the start of the process.
    pub(crate) fn wait_for_any(&self, outputs: usize) -> Result<Duration> {
        self.wait(Duration::from_millis(1), || (0..outputs).any(|index| self.has_written(index)))
    }

    /// Waits until all outputs are written, and returns the time since the start of the process.
    pub(crate) fn wait_for_all(&self, outputs: usize) -> Result<Duration> {
        let mut missing: Vec<usize> = (0..outputs).collect();
        self.wait(Duration::from_millis(10), || {
            missing.retain(|index| !self.has_written(*index));
            missing.is_empty()
        })
    }

    /// Returns the resident memory of the process, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("/proc has no VmRSS for the daemon")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    fn has_written(&self, output: usize) -> bool {
        Path::exists(&self.directory.join(format!("out-{output}/identity")))
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark polls the files of another process")]
    fn wait(&self, poll_interval: Duration, mut condition: impl FnMut() -> bool) -> Result<Duration> {
        while !condition() {
            if self.started.elapsed() > TIMEOUT {
                bail!("the daemon did not write its outputs within {TIMEOUT:?}");
            }
            thread::sleep(poll_interval);
        }
        Ok(self.started.elapsed())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails only if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
