//! Work that goes on beside the loops: what blocks, and what must be finished once it is begun. Depends on tokio only.

use tokio::task::{JoinError, JoinHandle};

/// Runs file work where it may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    answer(tokio::task::spawn_blocking(work).await).await
}

/// Runs `work` to its end, even when whoever waits for it is dropped.
pub(crate) async fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let task: JoinHandle<T> = tokio::spawn(work);
    answer(task.await).await
}

async fn answer<T>(ended: Result<T, JoinError>) -> T {
    match ended.map_err(JoinError::try_into_panic) {
        Ok(answer) => answer,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // Only a runtime that is going away cancels such a task; nobody waits for the answer then.
        Err(Err(_)) => std::future::pending().await,
    }
}
