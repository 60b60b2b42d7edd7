//! Counts the connections and calls in progress. A client that was killed may have sent a call that is processed afterwards;
//! once nothing is in progress, it has no further effect.

use tokio::sync::watch;

/// The number of connections and calls in progress.
pub(crate) struct InProgress(watch::Sender<usize>);

/// A connection or call in progress, until dropped.
pub(crate) struct Guard(watch::Sender<usize>);

impl InProgress {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(crate) fn enter(&self) -> Guard {
        self.0.send_modify(|count| *count += 1);
        Guard(self.0.clone())
    }

    /// Waits until nothing is in progress.
    pub(crate) async fn wait_for_none(&self) {
        // Cannot fail: `self` has a sender.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
