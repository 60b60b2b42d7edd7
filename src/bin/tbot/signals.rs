//! Unix signals: SIGINT and SIGTERM shut the agent down, SIGHUP and SIGUSR1 make it renew now.

use std::io;

use tbot::agent::Control;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Forwards signals to the agent. While it exists, these signals no longer end the process by themselves.
pub(crate) struct SignalForwarder {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    user1: Signal,
}

impl SignalForwarder {
    /// Installs the signal handlers.
    pub(crate) fn install() -> io::Result<Self> {
        // With a handler for SIGXFSZ, a write beyond the file size limit fails with EFBIG instead of ending the process.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Forwards signals forever. A shutdown also sets `stopping`, which ends the wait for the
    /// telemetry submission.
    pub(crate) async fn forward(mut self, control: Control, stopping: watch::Sender<bool>) {
        loop {
            let signal = tokio::select! {
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.hangup.recv() => { control.reload(); continue }
                _ = self.user1.recv() => { control.reload(); continue }
            };
            control.shutdown();
            if !stopping.send_replace(true) {
                tracing::info!(%signal, "shutting down");
            }
        }
    }
}
