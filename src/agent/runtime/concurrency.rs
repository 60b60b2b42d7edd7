//! How many outputs are written at once. Depends on tokio only.

use std::time::Duration;

use tokio::sync::Semaphore;

/// With many outputs, the first ones are there soon, and the server is not run over.
const CONCURRENT_WRITES: usize = 8;
/// Work that takes longer gives up its place, so that it hinders nobody.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(30);

/// WriteLimit for work, so many at once.
pub(crate) struct WriteLimit(Semaphore);

impl WriteLimit {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(CONCURRENT_WRITES))
    }

    /// Does `work` as soon as there is a place for it; nothing of it is done, and no memory taken for it, before.
    pub(crate) async fn run<F: Future>(&self, work: impl FnOnce() -> F) -> F::Output {
        // Never closed; without a place it would just go on.
        let place = self.0.acquire().await.ok();
        // Writing an output takes some 20 KiB. As a part of the caller it would take them for as long as that waits.
        let mut work = Box::pin(work());
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(PERMIT_TIMEOUT) => drop(place),
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
    async fn so_much_is_done_at_once_and_no_more() {
        let (write_limit, busy) = (Arc::new(WriteLimit::new()), Arc::new(AtomicUsize::new(0)));
        let mut all = JoinSet::new();
        for _ in 0..5 * CONCURRENT_WRITES {
            let (write_limit, busy) = (Arc::clone(&write_limit), Arc::clone(&busy));
            all.spawn(async move {
                let work = async {
                    let most = busy.fetch_add(1, Ordering::Relaxed) + 1;
                    sleep(Duration::from_secs(1)).await;
                    busy.fetch_sub(1, Ordering::Relaxed);
                    most
                };
                write_limit.run(|| work).await
            });
        }
        let began = Instant::now();
        let most = all.join_all().await.into_iter().max();
        assert_eq!((most, began.elapsed()), (Some(CONCURRENT_WRITES), Duration::from_secs(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_makes_room_and_is_done_all_the_same() {
        let write_limit = Arc::new(WriteLimit::new());
        let mut slow = JoinSet::new();
        for _ in 0..CONCURRENT_WRITES {
            let write_limit = Arc::clone(&write_limit);
            slow.spawn(async move { write_limit.run(|| sleep(10 * PERMIT_TIMEOUT)).await });
        }
        // They take their write_limit before this goes on.
        tokio::task::yield_now().await;
        let began = Instant::now();
        write_limit.run(|| async {}).await;
        assert_eq!(began.elapsed(), PERMIT_TIMEOUT);
        slow.join_all().await;
        assert_eq!(began.elapsed(), 10 * PERMIT_TIMEOUT);
    }
}
