//! Tasks outside the agent's loops: blocking work, and work that must run to completion once it has started.
//!
//! Each continues the span of its caller, so that the log of a program that runs several agents can name the agent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, RwLock};
use tokio::task::{JoinError, JoinHandle};
use tracing::{Instrument as _, Span};

/// Runs blocking work, such as file I/O, on tokio's blocking threads.
pub(crate) async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let span = Span::current();
    output_or_panic(tokio::task::spawn_blocking(move || span.in_scope(work)).await).await
}

/// Runs `work` to completion, even if the caller's future is dropped.
pub(crate) async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let task: JoinHandle<T> = tokio::spawn(work.in_current_span());
    output_or_panic(task.await).await
}

/// Blocking work that must not be cut off by the end of the process, such as replacing a set of files.
#[derive(Clone, Debug, Default)]
pub(crate) struct UninterruptibleWork(Arc<RwLock<()>>);

impl UninterruptibleWork {
    /// Like [`run_blocking`]; [`finished`](Self::finished) waits for the work even if the caller's future is dropped.
    pub(crate) async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        // Work shares the lock, and `finished` needs it alone.
        let running = Arc::clone(&self.0).read_owned().await;
        run_blocking(move || {
            let _running = running;
            work()
        })
        .await
    }

    /// Waits until all work that has started is done. Until then, no other work starts.
    pub(crate) async fn finished(&self) {
        drop(self.0.write().await);
    }
}

/// Blocking work on one file system, which may stop responding: one piece of work at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileSystemWork(Arc<Mutex<()>>);

impl FileSystemWork {
    /// Like [`UninterruptibleWork::run_blocking`], but returns `None` if the work has not ended within `limit`. It continues then,
    /// and further work does not start before it has ended: otherwise, work that hangs would take one thread after the other.
    pub(crate) async fn run_blocking<T: Send + 'static>(
        &self,
        limit: Duration,
        uninterruptible: &UninterruptibleWork,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let work = async {
            let turn = Arc::clone(&self.0).lock_owned().await;
            let work = move || {
                let _turn = turn;
                work()
            };
            uninterruptible.run_blocking(work).await
        };
        tokio::time::timeout(limit, work).await.ok()
    }
}

/// Returns the output of a task, or resumes its panic.
async fn output_or_panic<T>(joined: Result<T, JoinError>) -> T {
    match joined.map_err(JoinError::try_into_panic) {
        Ok(output) => output,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // Such a task is cancelled only when the runtime shuts down, and then nothing polls this future.
        Err(Err(_)) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_that_has_started_is_finished_although_its_caller_was_dropped() {
        let work = UninterruptibleWork::default();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let caller = tokio::spawn({
            let work = work.clone();
            async move {
                work.run_blocking(move || {
                    started.send(()).unwrap();
                    released.recv().unwrap();
                })
                .await;
            }
        });
        has_started.await.unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        let mut finished = Box::pin(work.finished());
        tokio::select! {
            biased;
            () = &mut finished => panic!("the work has not finished"),
            () = tokio::task::yield_now() => {}
        }
        release.send(()).unwrap();
        finished.await;
    }

    #[tokio::test]
    async fn work_that_hangs_is_given_up_and_further_work_waits_for_its_end() {
        let (all, files) = (UninterruptibleWork::default(), FileSystemWork::default());
        let (release, released) = mpsc::channel::<()>();
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(20));
        let hangs = move || released.recv().unwrap();
        assert_eq!(files.run_blocking(short, &all, hangs).await, None);
        assert_eq!(files.run_blocking(short, &all, || panic!("the other work has not ended")).await, None);
        let (next, ()) = tokio::join!(files.run_blocking(long, &all, || 1), async {
            release.send(()).unwrap();
        });
        assert_eq!(next, Some(1));
        all.finished().await;
    }
}
