//! Keeps an output fresh in continuous mode: writes it again before its credentials expire, on a reload, when the list of revoked
//! X.509 SVIDs changes, and after a failure.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;
use tracing::Level;

use super::attempt::{AttemptError, attempt};
use super::concurrency::WriteLimit;
use super::control::Signals;
use super::current_identity::{CurrentIdentity, first_identity};
use super::health::Reporter;
use super::retry::Retry;
use super::revocations;
use super::running_agent::RunningAgent;
use crate::agent::credential::identity::Identity;
use crate::agent::credential::revocation_list::RevocationList;
use crate::agent::service::output::Output;

/// Runs one output.
pub(super) struct OutputRunner {
    pub(super) agent: Arc<RunningAgent>,
    pub(super) output: Output,
    pub(super) write_limit: Arc<WriteLimit>,
    pub(super) reporter: Reporter,
}

impl OutputRunner {
    /// Keeps the output fresh until dropped. Returns if the sender of `current` was dropped.
    pub(super) async fn run(
        self,
        mut current: watch::Receiver<CurrentIdentity>,
        mut signals: Signals,
        mut revocations: watch::Receiver<RevocationList>,
    ) {
        let (agent, settings) = (&self.agent, &self.output.settings);
        let mut retry = Retry::new(&settings.name, &agent.bot.clock);
        let writes_revocations = self.output.kind.includes_revocations();
        loop {
            let Some(identity) = first_identity(&mut current, &self.reporter).await else { return };
            let wait = match self.write(identity, &mut revocations).await {
                Ok(not_after) => {
                    retry.succeeded();
                    self.reporter.renewed(not_after);
                    let wait = agent.until_renewal(settings.interval, not_after);
                    agent.log_written(&self.output, not_after, Some(wait.duration()));
                    wait
                }
                Err(error) => {
                    let reason = error.reason();
                    self.reporter.failed(&reason);
                    agent.begin_wait(retry.failed(&reason, Level::WARN, &agent.randomness))
                }
            };
            tokio::select! {
                biased;
                _ = signals.renewal() => {}
                // After a failure, a new identity is a reason to retry immediately.
                Ok(()) = current.changed(), if retry.is_failing() => {}
                () = revocations::changed(&mut revocations, &agent.bot.clock), if writes_revocations => {}
                () = wait.finished(&agent.bot.clock) => {}
            }
        }
    }

    /// Writes the output as `identity`. Returns when its credentials expire.
    async fn write(
        &self,
        identity: Arc<Identity>,
        revocations: &mut watch::Receiver<RevocationList>,
    ) -> Result<SystemTime, AttemptError> {
        // The list of revocations cannot be obtained with it either, so waiting for the list would not end.
        if identity.is_expired(self.agent.bot.clock.now()) {
            return Err(AttemptError::IdentityExpired);
        }
        let list = revocations::list_for(&self.output, revocations).await;
        let issue = |client, identity: Arc<Identity>| async move {
            self.output.write(&client, &identity, &self.agent.issue_context(list)).await
        };
        let write = || {
            self.reporter.started();
            attempt(&self.agent, Some(identity), issue)
        };
        self.write_limit.run(write).await
    }
}
