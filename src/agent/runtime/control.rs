//! Controls a running agent: shutdown, and a reload, which renews everything now.

use tokio::sync::watch;

/// The caller's half. Dropping it leaves the agent running.
#[derive(Debug)]
pub struct Control {
    shutdown: watch::Sender<bool>,
    reload: watch::Sender<()>,
}

/// The agent's half, passed to [`Agent::run`](crate::agent::Agent::run) or
/// [`Agent::run_once`](crate::agent::Agent::run_once).
#[derive(Clone, Debug)]
pub struct Signals {
    shutdown: watch::Receiver<bool>,
    reload: watch::Receiver<()>,
    /// Requests of the agent itself: a CA was rotated.
    rotation: watch::Receiver<()>,
}

/// Returns a connected pair.
#[must_use]
pub fn control() -> (Control, Signals) {
    let (shutdown, shutdown_receiver) = watch::channel(false);
    let (reload, reload_receiver) = watch::channel(());
    // Without a sender, this receiver never fires.
    let (_, rotation) = watch::channel(());
    (Control { shutdown, reload }, Signals { shutdown: shutdown_receiver, reload: reload_receiver, rotation })
}

impl Control {
    /// Stops the agent. A renewal that was already requested is completed and saved first.
    pub fn shutdown(&self) {
        self.shutdown.send_replace(true);
    }

    /// Renews the identity and every output now. Calls during a renewal cause one further renewal.
    pub fn reload(&self) {
        self.reload.send_replace(());
    }
}

/// What a running agent is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Shutdown,
    Reload,
    /// A certificate authority of the cluster was rotated.
    Rotation,
}

impl Signals {
    /// Adds the signals of a sender, which reports rotations of CAs.
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
            renewal = self.renewal() => renewal,
        }
    }

    /// Waits for a shutdown.
    pub(crate) async fn shutdown(&mut self) {
        until_shutdown(&mut self.shutdown).await;
    }

    /// Waits for a request to renew everything. All requests so far are answered by one renewal.
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

/// Waits for a shutdown; forever, if the sender is gone.
async fn until_shutdown(shutdown: &mut watch::Receiver<bool>) {
    if shutdown.wait_for(|shutdown| *shutdown).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits for a change; forever, if the sender is gone.
async fn until_changed(requests: &mut watch::Receiver<()>) {
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
