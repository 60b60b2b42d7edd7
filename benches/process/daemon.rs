//! A running agent: when its outputs are there, and what it keeps in memory then.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::program::Program;
use crate::scene::Scene;

/// A thousand outputs of a development build take a minute.
const LONGEST: Duration = Duration::from_secs(300);

/// Ended when it is dropped.
pub(crate) struct Daemon {
    child: Child,
    began: Instant,
    folder: PathBuf,
}

impl Daemon {
    pub(crate) fn start(program: &Program, scene: &Scene) -> Result<Self> {
        let began = Instant::now();
        let child = Command::new(program.path())
            .args(["start", "-c", "tbot.yaml"])
            .current_dir(scene.folder())
            .env("SSL_CERT_FILE", scene.folder().join("ca.pem"))
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, began, folder: scene.folder().to_owned() })
    }

    /// How long it took until the first of its outputs was there.
    pub(crate) fn wait_for_any(&self, outputs: usize) -> Result<Duration> {
        self.wait(Duration::from_millis(1), || (0..outputs).any(|number| self.has_written(number)))
    }

    /// How long it took until all of them were.
    pub(crate) fn wait_for_all(&self, outputs: usize) -> Result<Duration> {
        let mut missing: Vec<usize> = (0..outputs).collect();
        self.wait(Duration::from_millis(10), || {
            missing.retain(|number| !self.has_written(*number));
            missing.is_empty()
        })
    }

    /// KiB of its memory that are resident.
    pub(crate) fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    fn has_written(&self, output: usize) -> bool {
        Path::exists(&self.folder.join(format!("out-{output}/identity")))
    }

    #[expect(clippy::disallowed_methods, reason = "between two looks at what it waits for")]
    fn wait(&self, glance: Duration, mut is_so: impl FnMut() -> bool) -> Result<Duration> {
        while !is_so() {
            if self.began.elapsed() > LONGEST {
                bail!("the daemon did not write its outputs within {LONGEST:?}");
            }
            thread::sleep(glance);
        }
        Ok(self.began.elapsed())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended already, or it ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
