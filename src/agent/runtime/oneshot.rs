//! One run: a fresh identity, every output once, a few of them at the same time, and the end. Nothing is tried twice.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::running_agent::RunningAgent;
use crate::agent::bot::renewal::RenewalError;
use crate::agent::runtime::concurrency::WriteLimit;
use crate::agent::runtime::control::Signals;
use crate::agent::runtime::error::{AgentError, OutputFailure};
use crate::agent::service::error::OutputError;
use crate::agent::teleport::auth_client::AuthClient;

/// Outputs under way: each one's place in the configuration, and how it ended.
type Writing = JoinSet<(usize, Result<(), OutputError>)>;

impl RunningAgent {
    /// Joins or renews, writes every output once, and ends. When it is told to stop, it ends as soon as what the server
    /// has been asked for is saved.
    pub(super) async fn run_oneshot(self: &Arc<Self>, mut signals: Signals) -> Result<(), AgentError> {
        let mut writing = Writing::new();
        let ended = tokio::select! {
            biased;
            ended = self.write_all(&mut writing) => ended,
            () = signals.shutdown() => Err(AgentError::Interrupted),
        };
        // Waited for, because they share the storage and its lock.
        writing.shutdown().await;
        self.bot.settled().await;
        ended
    }

    async fn write_all(self: &Arc<Self>, writing: &mut Writing) -> Result<(), AgentError> {
        let obtained = self.bot.obtain().await?;
        obtained.say();
        let identity = Arc::clone(obtained.identity());
        // Even with no output to write, a run that ends well has shown that the identity is accepted.
        let client = AuthClient::connect(&self.bot.route, &identity).await.map_err(RenewalError::Api)?;
        let (client, write_limit) = (Arc::new(client), Arc::new(WriteLimit::new()));
        for (index, output) in self.outputs.iter().cloned().enumerate() {
            let (agent, write_limit) = (Arc::clone(self), Arc::clone(&write_limit));
            let (client, identity) = (Arc::clone(&client), Arc::clone(&identity));
            writing.spawn(async move {
                let cx = agent.issue_context();
                let written = write_limit.run(|| output.write(&client, &identity, &cx)).await;
                if written.is_ok() {
                    tracing::info!(output = %output.settings.name, "wrote");
                }
                (index, written.map(drop))
            });
        }
        let mut failures = Vec::new();
        while let Some(ended) = writing.join_next().await {
            match ended {
                Ok((_, Ok(()))) => {}
                Ok((index, Err(error))) => failures.push((index, error)),
                // Nobody cancels one here, so that it is a panic.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        self.failed(failures)
    }

    /// Reports failures in the order of the configuration, whichever came first.
    fn failed(&self, mut failures: Vec<(usize, OutputError)>) -> Result<(), AgentError> {
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
