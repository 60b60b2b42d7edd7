//! How a running agent is told to stop or to renew now. Depends on tokio's channels only.

use tokio::sync::watch;

/// The caller's end: tells a running agent what to do. Dropping it leaves the agent running.
#[derive(Debug)]
pub struct Control {
    shutdown: watch::Sender<bool>,
    reload: watch::Sender<()>,
}

/// The agent's end, given to [`Agent::run`](super::Agent::run) or [`Agent::run_once`](super::Agent::run_once).
#[derive(Clone, Debug)]
pub struct Signals {
    shutdown: watch::Receiver<bool>,
    reload: watch::Receiver<()>,
    /// The agent's own reason to renew.
    rotation: watch::Receiver<()>,
}

/// A connected pair.
#[must_use]
pub fn control() -> (Control, Signals) {
    let (shutdown, shutdown_end) = watch::channel(false);
    let (reload, reload_end) = watch::channel(());
    // Nobody can rotate anything yet: this end never hears of it.
    let (_, rotation) = watch::channel(());
    (Control { shutdown, reload }, Signals { shutdown: shutdown_end, reload: reload_end, rotation })
}

impl Control {
    /// Ends the agent. A renewal that has been asked for is finished and saved first.
    pub fn shutdown(&self) {
        self.shutdown.send_replace(true);
    }

    /// Renews the identity and every output now. Calls that come while a renewal runs are taken as one.
    pub fn reload(&self) {
        self.reload.send_replace(());
    }
}

/// What a running agent is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Shutdown,
    Reload,
    /// The cluster's authorities have changed.
    Rotation,
}

impl Signals {
    /// The same signals, and those of the sender: that authorities have changed.
    pub(crate) fn with_rotation(self) -> (watch::Sender<()>, Self) {
        let (sender, rotation) = watch::channel(());
        (sender, Self { rotation, ..self })
    }

    /// The next thing to do. A stop comes before anything else, and again each time.
    pub(crate) async fn next(&mut self) -> Signal {
        let mut shutdown = self.shutdown.clone();
        tokio::select! {
            biased;
            () = until_stopped(&mut shutdown) => Signal::Shutdown,
            renewal = self.renewal() => renewal,
        }
    }

    /// Comes back when the agent shall end.
    pub(crate) async fn shutdown(&mut self) {
        until_stopped(&mut self.shutdown).await;
    }

    /// Comes back when everything shall be renewed now. Whatever said so until then is served by this one renewal.
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

/// Never, when nobody can say so any more.
async fn until_stopped(shutdown: &mut watch::Receiver<bool>) {
    if shutdown.wait_for(|shutdown| *shutdown).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Never, when nobody can say so any more.
async fn until_changed(reload: &mut watch::Receiver<()>) {
    if reload.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whatever_asks_for_a_renewal_is_served_by_one() {
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
    async fn a_reload_is_seen_by_everyone_and_only_once() {
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
