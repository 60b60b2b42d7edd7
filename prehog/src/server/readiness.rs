//! Readiness: whether the store is writable, cached for a short time. Depends on the store's writer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::store::Writer;

/// How long a result of a probe is reused.
const CACHE_DURATION: Duration = Duration::from_secs(1);
/// How long the store may take to respond to a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Probes the store, at most once per [`CACHE_DURATION`] however many requests there are.
#[derive(Clone)]
pub(super) struct Readiness {
    writer: Option<Writer>,
    last: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl Readiness {
    /// Creates a check of a writer's store. Without a writer, the server is always ready.
    pub(super) fn new(writer: Option<Writer>) -> Self {
        Self { writer, last: Arc::default() }
    }

    /// Returns true if the store is writable.
    pub(super) async fn is_ready(&self) -> bool {
        let Some(writer) = self.writer.clone() else { return true };
        let last = Arc::clone(&self.last);
        // A separate task, so that a probe completes and its result is cached even if the client disconnects. Otherwise
        // clients that do not wait could cause more probes.
        let probe = tokio::spawn(async move {
            let mut last = last.lock().await;
            if let Some((time, is_ready)) = *last
                && time.elapsed() < CACHE_DURATION
            {
                return is_ready;
            }
            let is_ready = tokio::time::timeout(PROBE_TIMEOUT, writer.probe()).await.unwrap_or(false);
            *last = Some((Instant::now(), is_ready));
            is_ready
        });
        probe.await.unwrap_or(false)
    }
}
