//! The connections of a listener's clients: accepts them up to a limit, and waits for them when the agent stops.
//!
//! Knows nothing about what a connection is for.

use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::health::Reporter;
use crate::agent::net::byte_stream::BoxedByteStream;
use crate::agent::net::listener::Listener;
use crate::agent::platform::Rounded;
use crate::agent::platform::lock::lock;
use crate::agent::platform::reminders::RecurringWarnings;

/// The number of connections of one listener that are served at the same time. Other clients wait.
const MAX_CONNECTIONS: usize = 4096;
/// How long a shutdown waits for open connections. Together with everything else, a shutdown must take less than 30 s.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// How long to wait after the system refused to accept a connection.
pub(super) const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The connections of one listener. Dropping the last clone closes them.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<JoinSet<()>>>);

impl Connections {
    /// Accepts connections until dropped, and serves each on its own task, which continues after that.
    pub(super) async fn accept<F>(
        &self,
        listener: &Listener,
        (service, warnings): (&str, &RecurringWarnings),
        serve: impl Fn(BoxedByteStream) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            if permits.available_permits() == 0 {
                warnings.warn(
                    service,
                    format_args!("{MAX_CONNECTIONS} connections are open: other clients wait"),
                );
            }
            // The semaphore is never closed; if it were, there would be no limit.
            let permit = Arc::clone(&permits).acquire_owned().await.ok();
            match listener.accept().await {
                Ok(client) => {
                    let connection = serve(client);
                    self.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                // The process may be out of file descriptors. Retrying at once would be a busy loop.
                Err(error) => {
                    warnings.warn(service, format_args!("cannot accept connections: {error}"));
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.0);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(connection.in_current_span());
    }

    /// Returns the connections that are still open.
    fn take(&self) -> JoinSet<()> {
        let mut tasks = lock(&self.0);
        while tasks.try_join_next().is_some() {}
        mem::take(&mut *tasks)
    }
}

/// Counts a connection as open until it is dropped.
pub(super) struct OpenConnection<'a>(&'a Reporter);

impl<'a> OpenConnection<'a> {
    pub(super) fn new(reporter: &'a Reporter) -> Self {
        reporter.count(|connections| {
            connections.accepted += 1;
            connections.open += 1;
        });
        Self(reporter)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.count(|connections| connections.open -= 1);
    }
}

/// Waits until the clients have closed all connections, but not longer than [`DRAIN_LIMIT`], and closes the others.
pub(super) async fn drain(listeners: Vec<Connections>) {
    let mut open: Vec<_> = listeners.iter().map(Connections::take).collect();
    let count = |open: &[JoinSet<()>]| open.iter().map(JoinSet::len).sum::<usize>();
    match count(&open) {
        0 => return,
        count => tracing::info!(
            "shutting down: waiting up to {} for {count} open connections to end",
            Rounded(DRAIN_LIMIT)
        ),
    }
    let deadline = Instant::now() + DRAIN_LIMIT;
    for connections in &mut open {
        let all_closed = async { while connections.join_next().await.is_some() {} };
        // After the deadline, the count below is not zero.
        let _ = tokio::time::timeout_at(deadline, all_closed).await;
    }
    let left = count(&open);
    if left > 0 {
        tracing::warn!("closing {left} connections that are still open");
    }
    for mut connections in open {
        connections.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_connections_but_not_forever() {
        let started = Instant::now();
        let short = Connections::default();
        short.spawn(tokio::time::sleep(DRAIN_LIMIT / 2));
        drain(vec![Connections::default(), short]).await;
        assert_eq!(started.elapsed(), DRAIN_LIMIT / 2);

        let started = Instant::now();
        let (closed, is_closed) = tokio::sync::oneshot::channel::<()>();
        let (long, longer) = (Connections::default(), Connections::default());
        long.spawn(std::future::pending());
        longer.spawn(async move {
            let _closed = closed;
            std::future::pending::<()>().await;
        });
        drain(vec![long, longer]).await;
        assert_eq!(started.elapsed(), DRAIN_LIMIT);
        is_closed.await.unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_have_ended_are_forgotten() {
        let connections = Connections::default();
        for _ in 0..100 {
            connections.spawn(async {});
            tokio::task::yield_now().await;
        }
        assert!(connections.0.lock().unwrap().len() <= 2);
    }
}
