//! The processes of the week: `tbot` and `prehog`, as operators run them.

use std::fs::File;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::activity::Usage;

/// A running program. It is killed when this is dropped.
pub(super) struct Program {
    name: &'static str,
    child: Child,
    /// When it was started.
    pub(super) started: Duration,
    /// Its usage when it had run for a while.
    pub(super) baseline: Option<Usage>,
}

impl Program {
    /// Starts a program whose log is appended to a file.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be started.
    pub(super) fn start(
        name: &'static str,
        mut command: Command,
        log: &std::path::Path,
        started: Duration,
    ) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        command.stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, started, baseline: None })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("cannot signal {}", self.name))
    }

    /// Stops the execution of the process, until [`Self::thaw`].
    ///
    /// # Errors
    ///
    /// Returns an error if the process has ended.
    pub(super) fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        // A signal to continue would cancel one that has not stopped the process yet.
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(Pid::from_child(&self.child)), options)?;
        if status.is_none_or(|status| !status.stopped()) {
            bail!("{} has ended by itself", self.name);
        }
        Ok(())
    }

    pub(super) fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Stops the program with SIGTERM, and returns its exit status.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be stopped.
    pub(super) fn terminate(mut self) -> Result<Option<i32>> {
        self.signal(Signal::TERM)?;
        Ok(self.child.wait()?.code())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails if the program has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
