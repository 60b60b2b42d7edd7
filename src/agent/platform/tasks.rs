//! Tasks outside the agent's loops: blocking work, and work that must run to completion once it has started.

use tokio::task::{JoinError, JoinHandle};

/// Runs blocking work, such as file I/O, on tokio's blocking threads.
pub(crate) async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    output_or_panic(tokio::task::spawn_blocking(work).await).await
}

/// Runs `work` to completion, even if the caller's future is dropped.
pub(crate) async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let task: JoinHandle<T> = tokio::spawn(work);
    output_or_panic(task.await).await
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
