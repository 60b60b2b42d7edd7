//! Oneshot mode: obtains a fresh identity and writes every output once, several at a time. Nothing is retried.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::concurrency::WriteLimit;
use super::control::Signals;
use super::current_identity::CurrentIdentity;
use super::error::{AgentError, OutputFailure};
use super::revocations;
use super::running_agent::RunningAgent;
use crate::agent::bot::IDENTITY;
use crate::agent::bot::renewal::RenewalError;
use crate::agent::credential::revocation_list::RevocationList;
use crate::agent::service::error::OutputError;
use crate::agent::service::output::Output;
use crate::agent::teleport::auth_client::AuthClient;

/// The tasks that write the outputs. Each returns the index of its output in the configuration, and the error if it failed.
type Writes = JoinSet<(usize, Option<OutputError>)>;

/// A run that has attempted to write every output.
struct OneshotResult {
    client: Arc<AuthClient>,
    /// Why each output failed, in the order of the configuration. `None` for those that were written.
    failures: Vec<Option<OutputError>>,
}

impl RunningAgent {
    /// Joins or renews, writes every output once, and returns. After a shutdown, it returns as soon as an identity that
    /// was already requested is saved.
    pub(super) async fn run_oneshot(self: &Arc<Self>, mut signals: Signals) -> Result<(), AgentError> {
        let started = Instant::now();
        for service in &self.listening {
            tracing::info!(service = %service.name(), "skipped, because nothing listens in oneshot mode");
        }
        let mut writes = Writes::new();
        let attempted = tokio::select! {
            biased;
            attempted = self.write_all(&mut writes) => attempted,
            () = signals.shutdown() => Err(AgentError::Interrupted),
        };
        if let Ok(OneshotResult { client, failures }) = &attempted {
            // A shutdown now interrupts only the heartbeat: the result of the run is known.
            tokio::select! {
                biased;
                () = self.send_oneshot_heartbeat(client, started, failures) => {}
                () = signals.shutdown() => {}
            }
        }
        // Wait for the tasks, because they share the storage and its lock.
        writes.shutdown().await;
        self.drain().await;
        self.result_of(attempted?.failures)
    }

    async fn write_all(self: &Arc<Self>, writes: &mut Writes) -> Result<OneshotResult, AgentError> {
        let obtained = self.bot.obtain_identity().await?;
        obtained.log(None);
        if let Some(suspension) = obtained.suspension() {
            tracing::error!(service = IDENTITY, "{suspension}");
        }
        let identity = Arc::clone(obtained.identity());
        // Connect even if there is no output, so that a successful run proves that the identity is accepted.
        let client = AuthClient::connect(&self.bot.dialler, &identity).await.map_err(RenewalError::Api)?;
        let (client, write_limit) = (Arc::new(client), Arc::new(WriteLimit::new()));
        let (revocations_sender, revocations) = watch::channel(RevocationList::default());
        for (index, output) in self.outputs.iter().cloned().enumerate() {
            let (agent, write_limit) = (Arc::clone(self), Arc::clone(&write_limit));
            let (client, identity) = (Arc::clone(&client), Arc::clone(&identity));
            let mut revocations = revocations.clone();
            let write = async move {
                let list = revocations::list_for(&output, &mut revocations).await;
                let context = agent.issue_context(list);
                let result = write_limit.run(|| output.write(&client, &identity, &context)).await;
                if let Ok(not_after) = result {
                    agent.log_written(&output, not_after, None);
                }
                (index, result.err())
            };
            writes.spawn(write.in_current_span());
        }
        let (_current, current) = watch::channel(CurrentIdentity::Available(identity));
        let mut failures: Vec<_> = self.outputs.iter().map(|_| None).collect();
        let complete = async {
            while let Some(joined) = writes.join_next().await {
                match joined {
                    Ok((index, failure)) => failures[index] = failure,
                    // Tasks are not cancelled before this point, so this one panicked.
                    Err(_) => return Err(AgentError::TaskEnded { task: "outputs".to_owned() }),
                }
            }
            Ok(())
        };
        tokio::select! {
            completed = complete => completed?,
            () = self.follow_revocations(current, revocations_sender) => {
                return Err(AgentError::TaskEnded { task: "revocations".to_owned() });
            }
        }
        Ok(OneshotResult { client, failures })
    }

    /// Returns an error with the failures, unless there is none.
    fn result_of(&self, failures: Vec<Option<OutputError>>) -> Result<(), AgentError> {
        let named = |output: &Output, error| OutputFailure { name: output.settings.name.clone(), error };
        let failures: Vec<_> = self
            .outputs
            .iter()
            .zip(failures)
            .filter_map(|(output, failure)| failure.map(|error| named(output, error)))
            .collect();
        if failures.is_empty() { Ok(()) } else { Err(AgentError::Outputs(failures)) }
    }
}
