//! Watches the tasks of a running agent: each has a name, and none may end unnoticed.

use std::collections::HashMap;

use tokio::task::{Id, JoinSet};
use tracing::Instrument as _;

use super::error::AgentError;

/// The tasks of a running agent. Dropping it cancels them.
#[derive(Default)]
pub(super) struct AgentTasks {
    tasks: JoinSet<Result<(), AgentError>>,
    names: HashMap<Id, String>,
}

impl AgentTasks {
    /// Starts a task. The agent ends when the task returns, with the task's result.
    pub(super) fn spawn(
        &mut self,
        name: &str,
        task: impl Future<Output = Result<(), AgentError>> + Send + 'static,
    ) {
        let handle = self.tasks.spawn(task.in_current_span());
        self.names.insert(handle.id(), name.to_owned());
    }

    /// Starts a task that runs as long as the agent. If it returns, the agent ends with an error.
    pub(super) fn spawn_endless(&mut self, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        let ended = AgentError::TaskEnded { task: name.to_owned() };
        self.spawn(name, async move {
            task.await;
            Err(ended)
        });
    }

    /// Waits until the first task ends, and returns its result.
    ///
    /// # Errors
    ///
    /// Returns [`AgentError::TaskEnded`] if the task has panicked or should not have ended.
    pub(super) async fn first_to_end(&mut self) -> Result<(), AgentError> {
        match self.tasks.join_next_with_id().await {
            None => Ok(()),
            Some(Ok((_, result))) => result,
            Some(Err(error)) => {
                let name = self.names.get(&error.id()).cloned();
                Err(AgentError::TaskEnded { task: name.unwrap_or_default() })
            }
        }
    }

    /// Cancels all tasks, and waits until they have ended.
    pub(super) async fn cancel(&mut self) {
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    async fn ended(tasks: &mut AgentTasks) -> String {
        match tasks.first_to_end().await {
            Err(AgentError::TaskEnded { task }) => task,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_task_that_panics_or_returns_is_named() {
        let mut tasks = AgentTasks::default();
        tasks.spawn("identity", pending());
        tasks.spawn_endless("health", pending());
        tasks.spawn_endless("output", async { panic!("a bug") });
        assert_eq!(ended(&mut tasks).await, "output");
        tasks.spawn_endless("rotations", ready(()));
        assert_eq!(ended(&mut tasks).await, "rotations");
        tasks.cancel().await;
    }

    #[tokio::test]
    async fn the_agent_ends_with_the_result_of_a_task_that_may_return() {
        let mut tasks = AgentTasks::default();
        tasks.spawn_endless("health", pending());
        tasks.spawn("identity", ready(Ok(())));
        tasks.first_to_end().await.unwrap();
        tasks.spawn("identity", ready(Err(AgentError::Interrupted)));
        assert!(matches!(tasks.first_to_end().await, Err(AgentError::Interrupted)));
    }
}
