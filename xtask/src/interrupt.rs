//! Ctrl-C and SIGTERM, as a request to stop that is honoured between two commands.
//!
//! The terminal sends Ctrl-C to the commands, too, so the one that runs ends by itself. Nothing is killed, and no command still
//! writes when its files are removed.

use anyhow::{Context as _, Result};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The user stopped the command.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Notices a request to stop.
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Starts to catch the signals.
    ///
    /// # Errors
    ///
    /// Returns an error if a signal cannot be caught.
    pub(crate) fn catch(runtime: &Runtime) -> Result<Self> {
        let _runtime = runtime.enter();
        let catch = |kind| signal(kind).context("cannot catch signals");
        let (interrupt, terminate) = (catch(SignalKind::interrupt())?, catch(SignalKind::terminate())?);
        let (sender, receiver) = watch::channel(false);
        runtime.spawn(notify(interrupt, terminate, sender));
        Ok(Self(receiver))
    }

    /// Returns an error if the user wants to stop.
    ///
    /// # Errors
    ///
    /// Returns [`Interrupted`].
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        if *self.0.borrow() { Err(Interrupted) } else { Ok(()) }
    }

    /// Waits until the user wants to stop.
    pub(crate) async fn wait(&self) {
        // Fails only if the runtime shuts down.
        let _ = self.0.clone().wait_for(|is_requested| *is_requested).await;
    }
}

async fn notify(mut interrupt: Signal, mut terminate: Signal, sender: watch::Sender<bool>) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    sender.send_replace(true);
    // The sender is kept, because `wait` and `check` may still be called.
    sender.closed().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_a_request_to_stop_and_does_not_end_the_process() {
        let runtime = Runtime::new().unwrap();
        let interrupt = Interrupt::catch(&runtime).unwrap();
        interrupt.check().unwrap();
        let process = std::process::id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
        runtime.block_on(interrupt.wait());
        interrupt.check().unwrap_err();
    }
}
