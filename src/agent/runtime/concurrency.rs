//! Limits how many outputs are written at the same time.

use std::time::Duration;

use tokio::sync::Semaphore;

/// The limit. With many outputs, it lets the first ones finish early and does not overload the server.
const CONCURRENT_WRITES: usize = 8;
/// Work that takes longer than this releases its permit, so that it does not block other outputs.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Limits concurrent writes to [`CONCURRENT_WRITES`] outputs.
pub(crate) struct WriteLimit(Semaphore);

impl WriteLimit {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(CONCURRENT_WRITES))
    }

    /// Runs `work` as soon as a permit is available. Before that, it neither starts nor allocates.
    pub(crate) async fn run<F: Future>(&self, work: impl FnOnce() -> F) -> F::Output {
        // The semaphore is never closed; if it were, the work would run without a permit.
        let permit = self.0.acquire().await.ok();
        // Boxed, because the future takes about 20 KiB, which the caller's future would otherwise occupy while it
        // waits.
        let mut work = Box::pin(work());
        tokio::select! {
            biased;
            output = &mut work => return output,
            () = tokio::time::sleep(PERMIT_TIMEOUT) => drop(permit),
        }
        work.await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_number_of_concurrent_writes_is_limited() {
        let (write_limit, running) = (Arc::new(WriteLimit::new()), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for _ in 0..5 * CONCURRENT_WRITES {
            let (write_limit, running) = (Arc::clone(&write_limit), Arc::clone(&running));
            tasks.spawn(async move {
                let work = async {
                    let concurrent = running.fetch_add(1, Ordering::Relaxed) + 1;
                    sleep(Duration::from_secs(1)).await;
                    running.fetch_sub(1, Ordering::Relaxed);
                    concurrent
                };
                write_limit.run(|| work).await
            });
        }
        let started = Instant::now();
        let max = tasks.join_all().await.into_iter().max();
        assert_eq!((max, started.elapsed()), (Some(CONCURRENT_WRITES), Duration::from_secs(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_work_releases_its_permit_and_still_completes() {
        let write_limit = Arc::new(WriteLimit::new());
        let mut slow = JoinSet::new();
        for _ in 0..CONCURRENT_WRITES {
            let write_limit = Arc::clone(&write_limit);
            slow.spawn(async move { write_limit.run(|| sleep(10 * PERMIT_TIMEOUT)).await });
        }
        // Let them take their permits.
        tokio::task::yield_now().await;
        let started = Instant::now();
        write_limit.run(|| async {}).await;
        assert_eq!(started.elapsed(), PERMIT_TIMEOUT);
        slow.join_all().await;
        assert_eq!(started.elapsed(), 10 * PERMIT_TIMEOUT);
    }
}
