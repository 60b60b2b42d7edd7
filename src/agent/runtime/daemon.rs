//! The running agent: one loop keeps the bot's identity fresh, one loop an output keeps that output fresh, and one
//! follows rotations of the cluster's authorities.
//!
//! No loop ends because of an error once the agent has an identity: it waits and tries again.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Level;

use super::running_agent::RunningAgent;
use crate::agent::bot::renewal::{Obtained, RenewalError};
use crate::agent::credential::identity::Identity;
use crate::agent::runtime::concurrency::WriteLimit;
use crate::agent::runtime::control::{Signal, Signals};
use crate::agent::runtime::error::AgentError;
use crate::agent::runtime::health::{Health, IDENTITY, Reporter};
use crate::agent::runtime::health_server::Listener;
use crate::agent::runtime::retry::Retry;
use crate::agent::runtime::schedule::{self, Rounded};
use crate::agent::service::output::Output;
use crate::agent::teleport::auth_client::AuthClient;

/// The identity that everything is asked for with; none before there is one.
pub(super) type Current = Option<Arc<Identity>>;

impl RunningAgent {
    /// Runs until told to stop. Fails only while there is no identity to run with.
    pub(super) async fn run_continuously(
        self: &Arc<Self>,
        signals: Signals,
        listener: Option<Listener>,
    ) -> Result<(), AgentError> {
        let (sender, current) = watch::channel(None);
        let (rotation, signals) = signals.with_rotation();
        let health = Health::new(self.outputs.iter().map(|output| output.settings.name.as_str()));
        let write_limit = Arc::new(WriteLimit::new());
        let mut beside = JoinSet::new();
        for index in 0..self.outputs.len() {
            let (agent, current, signals) = (Arc::clone(self), current.clone(), signals.clone());
            let (write_limit, reporter) = (Arc::clone(&write_limit), health.reporter(index + 1));
            beside.spawn(async move {
                if let Some(output) = agent.outputs.get(index) {
                    agent.keep_output(output, current, signals, &write_limit, &reporter).await;
                }
            });
        }
        beside.spawn(Arc::clone(self).follow_rotations(current, rotation));
        if let Some(listener) = listener {
            beside.spawn(listener.serve(Arc::clone(&health), self.bot.clock.clone()));
        }
        let ended = self.keep_identity(&sender, signals, &health.reporter(0)).await;
        // Waited for, because the loops share the storage and its lock. A set of files under way is written to its end
        // all the same.
        beside.shutdown().await;
        ended
    }

    async fn keep_identity(
        self: &Arc<Self>,
        sender: &watch::Sender<Current>,
        mut signals: Signals,
        reporter: &Reporter,
    ) -> Result<(), AgentError> {
        let mut retry = Retry::new(IDENTITY);
        let mut held_back = false;
        loop {
            reporter.begins();
            let obtained = tokio::select! {
                biased;
                () = signals.shutdown() => break,
                obtained = self.bot.obtain() => obtained,
            };
            let wait = match obtained {
                Ok(obtained) => {
                    retry.succeeded();
                    let said = std::mem::replace(&mut held_back, matches!(obtained, Obtained::HeldBack(..)));
                    if !(said && held_back) {
                        obtained.say();
                    }
                    let identity = Arc::clone(obtained.identity());
                    let not_after = identity.user.not_after;
                    if held_back {
                        reporter.goes_on(not_after);
                        reporter.failed();
                    } else {
                        reporter.renewed(self.bot.clock.now(), not_after);
                    }
                    sender.send_replace(Some(identity));
                    self.until_renewal(self.interval, not_after)
                }
                Err(error) => {
                    reporter.failed();
                    if sender.borrow().is_none() {
                        match self.bot.stored().await {
                            Some(identity) if !matches!(error, RenewalError::OtherCluster { .. }) => {
                                reporter.goes_on(identity.user.not_after);
                                sender.send_replace(Some(identity));
                            }
                            _ if error.is_transient() => {}
                            _ => return Err(error.into()),
                        }
                    }
                    held_back = false;
                    // What does not pass by itself ends with the certificate.
                    let level = if error.is_transient() { Level::WARN } else { Level::ERROR };
                    retry.failed(&error, level, &self.randomness)
                }
            };
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Signal::Shutdown => break,
                    Signal::Reload => tracing::info!("renewing now, as told"),
                    Signal::Rotation => tracing::info!("renewing now, to follow the cluster's authorities"),
                },
                () = schedule::wait(wait, &self.bot.clock) => {}
            }
        }
        // What the server has been asked for must be saved.
        self.bot.settled().await;
        Ok(())
    }

    async fn keep_output(
        &self,
        output: &Output,
        mut current: watch::Receiver<Current>,
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
                reporter.failed();
                let expired = "the bot's identity has expired; the output is written when there is a new one";
                retry.failed(&expired, Level::WARN, &self.randomness)
            } else {
                let write = || async {
                    reporter.begins();
                    let client = AuthClient::connect(&self.bot.route, &identity).await?;
                    output.write(&client, &identity, &self.issue_context()).await
                };
                match write_limit.run(write).await {
                    Ok(not_after) => {
                        retry.succeeded();
                        reporter.renewed(self.bot.clock.now(), not_after);
                        let wait = self.until_renewal(output.settings.interval, not_after);
                        tracing::info!(output = %output.settings.name, next = %Rounded(wait), "wrote");
                        wait
                    }
                    Err(error) => {
                        reporter.failed();
                        retry.failed(&error, Level::WARN, &self.randomness)
                    }
                }
            };
            tokio::select! {
                biased;
                _ = signals.renewal() => {}
                // A fresh identity is worth an attempt at once, where the last one failed.
                Ok(()) = current.changed(), if retry.is_failing() => {}
                () = schedule::wait(wait, &self.bot.clock) => {}
            }
        }
    }

    fn until_renewal(&self, interval: Duration, not_after: SystemTime) -> Duration {
        schedule::until_renewal(interval, not_after, self.bot.clock.now(), &self.randomness)
    }
}
