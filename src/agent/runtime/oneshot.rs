//! Oneshot mode: obtains a fresh identity and writes every output once, a few at the same time. Nothing is retried.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::running_agent::RunningAgent;
use crate::agent::bot::renewal::RenewalError;
use crate::agent::runtime::concurrency::WriteLimit;
use crate::agent::runtime::control::Signals;
use crate::agent::runtime::error::{AgentError, OutputFailure};
use crate::agent::service::error::OutputError;
use crate::agent::teleport::auth_client::AuthClient;

/// The outputs being written: the index of each in the configuration, and its result.
type Writes = JoinSet<(usize, Result<(), OutputError>)>;

impl RunningAgent {
    /// Joins or renews, writes every output once, and returns. After a shutdown it returns as soon as a requested identity
    /// is saved.
    pub(super) async fn run_oneshot(self: &Arc<Self>, mut signals: Signals) -> Result<(), AgentError> {
        let mut writes = Writes::new();
        let ended = tokio::select! {
            biased;
            ended = self.write_all(&mut writes) => ended,
            () = signals.shutdown() => Err(AgentError::Interrupted),
        };
        // Wait for the tasks, because they share the storage and its lock.
        writes.shutdown().await;
        self.bot.flush().await;
        ended
    }

    async fn write_all(self: &Arc<Self>, writes: &mut Writes) -> Result<(), AgentError> {
        let obtained = self.bot.obtain().await?;
        obtained.log();
        let identity = Arc::clone(obtained.identity());
        // Connect even if there is no output, so that a successful run proves that the identity is accepted.
        let client = AuthClient::connect(&self.bot.route, &identity).await.map_err(RenewalError::Api)?;
        let (client, write_limit) = (Arc::new(client), Arc::new(WriteLimit::new()));
        for (index, output) in self.outputs.iter().cloned().enumerate() {
            let (agent, write_limit) = (Arc::clone(self), Arc::clone(&write_limit));
            let (client, identity) = (Arc::clone(&client), Arc::clone(&identity));
            writes.spawn(async move {
                let cx = agent.issue_context();
                let written = write_limit.run(|| output.write(&client, &identity, &cx)).await;
                if written.is_ok() {
                    tracing::info!(output = %output.settings.name, "wrote credentials");
                }
                (index, written.map(drop))
            });
        }
        let mut failures = Vec::new();
        while let Some(ended) = writes.join_next().await {
            match ended {
                Ok((_, Ok(()))) => {}
                Ok((index, Err(error))) => failures.push((index, error)),
                // No task is cancelled here, so it panicked.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        self.result(failures)
    }

    /// Returns the failures in the order of the configuration.
    fn result(&self, mut failures: Vec<(usize, OutputError)>) -> Result<(), AgentError> {
        if failures.is_empty() {
            return Ok(());
        }
        failures.sort_by_key(|(index, _)| *index);
        let named = failures.into_iter().filter_map(|(index, error)| {
            let output = self.outputs.get(index)?;
            Some(OutputFailure { name: output.settings.name.clone(), error })
        });
        Err(AgentError::Outputs(named.collect()))
    }
}
