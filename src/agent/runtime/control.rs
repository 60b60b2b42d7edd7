//! Controls a running agent: shutdown and reload.

use tokio::sync::watch;
use tokio::time::Instant;

/// The caller's half of a control channel. Dropping it leaves the agent running.
#[derive(Debug)]
pub struct Control {
    shutdown: watch::Sender<bool>,
    /// When the last reload was requested.
    reload: watch::Sender<Option<Instant>>,
}

/// The agent's half of a control channel, passed to [`Agent::run`](crate::agent::Agent::run) or
/// [`Agent::run_once`](crate::agent::Agent::run_once).
#[derive(Clone, Debug)]
pub struct Signals {
    shutdown: watch::Receiver<bool>,
    reload: watch::Receiver<Option<Instant>>,
    /// Sent by the agent itself when a CA was rotated.
    rotation: watch::Receiver<()>,
}

/// Returns the two halves of a new control channel.
#[must_use]
pub fn control() -> (Control, Signals) {
    let (shutdown, shutdown_receiver) = watch::channel(false);
    let (reload, reload_receiver) = watch::channel(None);
    // Without a sender, this receiver never fires.
    let (_, rotation) = watch::channel(());
    (Control { shutdown, reload }, Signals { shutdown: shutdown_receiver, reload: reload_receiver, rotation })
}

impl Control {
    /// Stops the agent, after it has completed and saved a renewal that was already requested, unless that takes longer than 25 s.
    pub fn shutdown(&self) {
        self.shutdown.send_replace(true);
    }

    /// Renews the identity and every output now. Calls during a renewal cause one further renewal.
    pub fn reload(&self) {
        self.reload.send_replace(Some(Instant::now()));
    }
}

/// A request to a running agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Shutdown,
    /// Renew everything now, on request.
    Reload,
    /// Renew everything now, because a CA of the cluster was rotated.
    Rotation,
}

impl Signals {
    /// Returns a sender for rotations of CAs, and the signals that receive from it.
    pub(crate) fn with_rotation(self) -> (watch::Sender<()>, Self) {
        let (sender, rotation) = watch::channel(());
        (sender, Self { rotation, ..self })
    }

    /// Waits for the next signal. A shutdown takes precedence, and is returned again by every later call.
    pub(crate) async fn next(&mut self) -> Signal {
        let mut shutdown = self.shutdown.clone();
        tokio::select! {
            biased;
            () = until_shutdown(&mut shutdown) => Signal::Shutdown,
            signal = self.renewal() => signal,
        }
    }

    /// Waits for a shutdown.
    pub(crate) async fn shutdown(&mut self) {
        until_shutdown(&mut self.shutdown).await;
    }

    /// Returns true after a shutdown was requested.
    pub(crate) fn is_shutdown(&self) -> bool {
        *self.shutdown.borrow()
    }

    /// Returns when the last reload was requested.
    pub(crate) fn last_reload(&self) -> Option<Instant> {
        *self.reload.borrow()
    }

    /// Waits for a shutdown or a reload that this receiver has not seen.
    pub(crate) async fn request(&mut self) {
        tokio::select! {
            () = until_changed(&mut self.shutdown) => {}
            () = until_changed(&mut self.reload) => {}
        }
    }

    /// Waits for a request to renew everything. One renewal serves all requests so far.
    pub(crate) async fn renewal(&mut self) -> Signal {
        let Self { reload, rotation, .. } = self;
        let signal = tokio::select! {
            biased;
            () = until_changed(reload) => Signal::Reload,
            () = until_changed(rotation) => Signal::Rotation,
        };
        reload.mark_unchanged();
        rotation.mark_unchanged();
        signal
    }
}

/// Waits for a shutdown, or forever if the sender was dropped.
async fn until_shutdown(shutdown: &mut watch::Receiver<bool>) {
    if shutdown.wait_for(|shutdown| *shutdown).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits for a change, or forever if the sender was dropped.
async fn until_changed<T>(requests: &mut watch::Receiver<T>) {
    if requests.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn several_requests_cause_one_renewal() {
        let (control, signals) = control();
        let (rotation, mut signals) = signals.with_rotation();
        for _ in 0..100 {
            control.reload();
            rotation.send_replace(());
        }
        assert_eq!(signals.next().await, Signal::Reload);
        assert!(!signals.reload.has_changed().unwrap() && !signals.rotation.has_changed().unwrap());
        rotation.send_replace(());
        assert_eq!(signals.next().await, Signal::Rotation);
    }

    #[tokio::test]
    async fn every_receiver_sees_a_reload_once() {
        let (control, mut first) = control();
        let mut second = first.clone();
        control.reload();
        control.reload();
        for signals in [&mut first, &mut second] {
            assert_eq!(signals.next().await, Signal::Reload);
            assert!(!signals.reload.has_changed().unwrap());
        }
        control.shutdown();
        control.reload();
        assert_eq!(first.next().await, Signal::Shutdown);
        second.shutdown().await;
    }
}
