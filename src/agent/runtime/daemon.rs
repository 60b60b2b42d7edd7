//! Continuous mode: one loop keeps the bot's identity fresh, one loop per output keeps the output fresh, and one loop
//! follows rotations of the cluster's CAs.
//!
//! Once the agent has an identity, no error ends a loop; the loop waits and retries.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Level;

use super::concurrency::WriteLimit;
use super::control::{Signal, Signals};
use super::error::AgentError;
use super::health::{Health, IDENTITY, Reporter};
use super::health_server::HealthServer;
use super::retry::Retry;
use super::running_agent::RunningAgent;
use super::schedule::{self, Rounded};
use crate::agent::bot::renewal::{ObtainedIdentity, RenewalError};
use crate::agent::credential::identity::Identity;
use crate::agent::platform::error_text::error_line;
use crate::agent::service::output::Output;
use crate::agent::teleport::auth_client::AuthClient;

/// The identity for all requests; `None` until there is one.
pub(super) type CurrentIdentity = Option<Arc<Identity>>;

impl RunningAgent {
    /// Runs until a shutdown. Returns an error only while there is no identity.
    pub(super) async fn run_continuously(
        self: &Arc<Self>,
        signals: Signals,
        server: Option<HealthServer>,
    ) -> Result<(), AgentError> {
        let (sender, current) = watch::channel(None);
        let (rotation, signals) = signals.with_rotation();
        let names = self.outputs.iter().map(|output| output.settings.name.as_str());
        let health = Health::new(names, self.bot.clock.clone());
        let write_limit = Arc::new(WriteLimit::new());
        let mut tasks = JoinSet::new();
        for index in 0..self.outputs.len() {
            let (agent, current, signals) = (Arc::clone(self), current.clone(), signals.clone());
            let (write_limit, reporter) = (Arc::clone(&write_limit), health.reporter(index + 1));
            tasks.spawn(async move {
                if let Some(output) = agent.outputs.get(index) {
                    agent.keep_output_fresh(output, current, signals, &write_limit, &reporter).await;
                }
            });
        }
        tasks.spawn(Arc::clone(self).follow_rotations(current, rotation));
        if let Some(server) = server {
            tasks.spawn(server.serve(Arc::clone(&health)));
        }
        let result = self.keep_identity_fresh(&sender, signals, &health.reporter(0)).await;
        // Wait for the other loops, because they share the storage and its lock.
        tasks.shutdown().await;
        self.finish_writes().await;
        result
    }

    async fn keep_identity_fresh(
        self: &Arc<Self>,
        sender: &watch::Sender<CurrentIdentity>,
        mut signals: Signals,
        reporter: &Reporter,
    ) -> Result<(), AgentError> {
        let mut retry = Retry::new(IDENTITY);
        let mut is_suspended = false;
        loop {
            reporter.started();
            let obtained = tokio::select! {
                biased;
                () = signals.shutdown() => break,
                obtained = self.bot.obtain() => obtained,
            };
            let wait = match obtained {
                Ok(obtained) => {
                    retry.succeeded();
                    let was_suspended = is_suspended;
                    is_suspended = matches!(obtained, ObtainedIdentity::RenewalSuspended(..));
                    if !(was_suspended && is_suspended) {
                        obtained.log();
                    }
                    let identity = Arc::clone(obtained.identity());
                    let not_after = identity.user.not_after;
                    if let ObtainedIdentity::RenewalSuspended(_, hint) = &obtained {
                        reporter.has_credentials(not_after);
                        reporter.failed(&format!("renewal suspended: {hint}"));
                    } else {
                        reporter.renewed(not_after);
                    }
                    sender.send_replace(Some(identity));
                    self.until_renewal(self.interval, not_after)
                }
                Err(error) => {
                    let reason = error_line(&error, error.hint().as_ref());
                    reporter.failed(&reason);
                    if sender.borrow().is_none() {
                        match self.bot.stored().await {
                            Some(identity) if !matches!(error, RenewalError::OtherCluster { .. }) => {
                                reporter.has_credentials(identity.user.not_after);
                                sender.send_replace(Some(identity));
                            }
                            _ if error.is_transient() => {}
                            _ => return Err(error.into()),
                        }
                    }
                    is_suspended = false;
                    // Unless someone fixes a permanent error, the bot stops working when its certificate expires.
                    let level = if error.is_transient() { Level::WARN } else { Level::ERROR };
                    retry.failed(&reason, level, &self.randomness)
                }
            };
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Signal::Shutdown => break,
                    Signal::Reload => tracing::info!("renewing now (reload requested)"),
                    Signal::Rotation => tracing::info!("renewing now (CA rotated)"),
                },
                () = schedule::wait(wait, &self.bot.clock) => {}
            }
        }
        // If an identity was requested, it must be saved.
        self.bot.flush().await;
        Ok(())
    }

    async fn keep_output_fresh(
        &self,
        output: &Output,
        mut current: watch::Receiver<CurrentIdentity>,
        mut signals: Signals,
        write_limit: &WriteLimit,
        reporter: &Reporter,
    ) {
        let mut retry = Retry::new(&output.settings.name);
        loop {
            let Ok(identity) = current.wait_for(Option::is_some).await.map(|current| current.clone()) else {
                return;
            };
            let Some(identity) = identity else { return };
            let wait = if identity.is_expired(self.bot.clock.now()) {
                let expired =
                    "the bot's identity has expired: waiting for a new one before writing the output";
                reporter.failed(expired);
                retry.failed(expired, Level::WARN, &self.randomness)
            } else {
                let write = || async {
                    reporter.started();
                    let client = AuthClient::connect(&self.bot.route, &identity).await?;
                    output.write(&client, &identity, &self.issue_context()).await
                };
                match write_limit.run(write).await {
                    Ok(not_after) => {
                        retry.succeeded();
                        reporter.renewed(not_after);
                        let wait = self.until_renewal(output.settings.interval, not_after);
                        tracing::info!(output = %output.settings.name, next_renewal = %Rounded(wait), "wrote credentials");
                        wait
                    }
                    Err(error) => {
                        let reason = error_line(&error, error.hint().as_ref());
                        reporter.failed(&reason);
                        retry.failed(&reason, Level::WARN, &self.randomness)
                    }
                }
            };
            tokio::select! {
                biased;
                _ = signals.renewal() => {}
                // After a failure, a new identity is a reason to retry immediately.
                Ok(()) = current.changed(), if retry.is_failing() => {}
                () = schedule::wait(wait, &self.bot.clock) => {}
            }
        }
    }

    fn until_renewal(&self, interval: Duration, not_after: SystemTime) -> Duration {
        schedule::until_renewal(interval, not_after, self.bot.clock.now(), &self.randomness)
    }
}
