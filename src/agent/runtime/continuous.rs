//! Continuous mode: one loop keeps the bot's identity fresh, one loop per output keeps the output fresh, one task per listening
//! service serves its clients, two loops follow rotations of the cluster's CAs and revocations of X.509 SVIDs, and one sends
//! heartbeats.
//!
//! Once the agent has an identity, no error ends a loop; the loop waits and retries. If a loop ends anyway, because it has
//! panicked, the agent ends with an error: half an agent would fail unnoticed.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::Level;

use super::application_proxy::ApplicationProxyRunner;
use super::concurrency::WriteLimit;
use super::connections::{self, Connections};
use super::control::{Signal, Signals};
use super::current_identity::CurrentIdentity;
use super::error::AgentError;
use super::health::{Health, IDENTITY, Reporter};
use super::health_server::{HEALTH_SERVER, HealthServer};
use super::outputs::OutputRunner;
use super::retry::Retry;
use super::running_agent::RunningAgent;
use super::schedule::Wait;
use super::services::ListeningService;
use super::tasks::AgentTasks;
use super::tunnels::TunnelRunner;
use crate::agent::bot::renewal::{ObtainedIdentity, RenewalError};
use crate::agent::credential::identity::Identity;
use crate::agent::credential::revocation_list::RevocationList;
use crate::agent::net::listener::Listener;
use crate::agent::platform::error_text::error_line;

/// The names of the tasks that do not serve one service, in errors.
const ROTATIONS: &str = "CA rotations";
const REVOCATIONS: &str = "revocations";
const HEARTBEATS: &str = "heartbeats";

/// The reason of a failure if the cluster issued an identity that is of no use to this machine.
const ALREADY_EXPIRED: &str =
    "the identity that was just issued has already expired; check this machine's clock";

impl RunningAgent {
    /// Runs until a shutdown. Returns an error only while there is no identity, or if a task has ended.
    pub(super) async fn run_continuously(
        self: &Arc<Self>,
        signals: Signals,
        health: &Arc<Health>,
        server: Option<HealthServer>,
        listeners: Vec<Listener>,
    ) -> Result<(), AgentError> {
        // Kept until all tasks have ended, so that no task ends because another one did.
        let sender = Arc::new(watch::Sender::new(CurrentIdentity::Pending));
        let (rotation, signals) = signals.with_rotation();
        let write_limit = Arc::new(WriteLimit::new());
        let (revocations_sender, revocations) = watch::channel(RevocationList::default());
        let mut tasks = AgentTasks::default();
        let (identity_reporter, mut reporters) = health.reporters();
        for (output, reporter) in self.outputs.iter().zip(&mut reporters) {
            let (agent, write_limit) = (Arc::clone(self), Arc::clone(&write_limit));
            let runner = OutputRunner { agent, output: output.clone(), write_limit, reporter };
            let run = runner.run(sender.subscribe(), signals.clone(), revocations.clone());
            tasks.spawn_endless(&output.settings.name, run);
        }
        let mut connections = Vec::new();
        for ((service, listener), reporter) in self.listening.iter().zip(listeners).zip(&mut reporters) {
            let (agent, current, signals) = (Arc::clone(self), sender.subscribe(), signals.clone());
            let of_service = Connections::default();
            connections.push(of_service.clone());
            match service {
                ListeningService::Tunnel(tunnel) => {
                    let runner = TunnelRunner::new(agent, Arc::clone(tunnel), reporter);
                    tasks.spawn_endless(service.name(), runner.run(listener, of_service, current, signals));
                }
                ListeningService::ApplicationProxy(proxy) => {
                    let runner = ApplicationProxyRunner::new(agent, Arc::clone(proxy), current, reporter);
                    tasks.spawn_endless(service.name(), runner.run(listener, of_service, signals));
                }
            }
        }
        tasks.spawn_endless(ROTATIONS, Arc::clone(self).follow_rotations(sender.subscribe(), rotation));
        let (agent, current) = (Arc::clone(self), sender.subscribe());
        tasks.spawn_endless(REVOCATIONS, async move {
            agent.follow_revocations(current, revocations_sender).await;
        });
        let heartbeats = Arc::clone(self).send_heartbeats(sender.subscribe(), Arc::clone(health));
        tasks.spawn_endless(HEARTBEATS, heartbeats);
        if let Some(server) = server {
            tasks.spawn_endless(HEALTH_SERVER, server.serve(Arc::clone(health), self.bot.warnings.clone()));
        }
        let (agent, identity_sender) = (Arc::clone(self), Arc::clone(&sender));
        tasks.spawn(IDENTITY, async move {
            agent.keep_identity_fresh(&identity_sender, signals, &identity_reporter).await
        });
        let result = tasks.first_to_end().await;
        // Wait for the tasks, because they share the storage and its lock.
        tasks.cancel().await;
        tokio::join!(self.drain(), connections::drain(connections));
        result
    }

    async fn keep_identity_fresh(
        self: &Arc<Self>,
        sender: &watch::Sender<CurrentIdentity>,
        mut signals: Signals,
        reporter: &Reporter,
    ) -> Result<(), AgentError> {
        let mut retry = Retry::new(IDENTITY, &self.bot.clock);
        loop {
            reporter.started();
            let obtained = tokio::select! {
                biased;
                () = signals.shutdown() => return Ok(()),
                obtained = self.bot.obtain_identity() => obtained,
            };
            let wait = match obtained {
                Ok(obtained) => {
                    sender.send_replace(CurrentIdentity::Available(Arc::clone(obtained.identity())));
                    self.after_renewal(&obtained, &mut retry, reporter)
                }
                Err(error) => {
                    let reason = error_line(&error, error.hint().as_ref());
                    reporter.failed(&reason);
                    // Unless someone fixes a permanent error, the bot stops working when its certificate expires.
                    let level = if error.is_transient() { Level::WARN } else { Level::ERROR };
                    if sender.borrow().get().is_none() {
                        let stored = tokio::select! {
                            biased;
                            () = signals.shutdown() => return Ok(()),
                            stored = self.stored_identity(error, reporter) => stored?,
                        };
                        let missing = || CurrentIdentity::Missing(reason.as_str().into());
                        sender.send_replace(stored.map_or_else(missing, CurrentIdentity::Available));
                    }
                    self.begin_wait(retry.failed(&reason, level, &self.randomness))
                }
            };
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Signal::Shutdown => return Ok(()),
                    Signal::Reload => tracing::info!("renewing everything now (reload requested)"),
                    Signal::Rotation => tracing::info!("renewing everything now (a CA was rotated)"),
                },
                () = wait.finished(&self.bot.clock) => {}
            }
        }
    }

    /// Reports an identity that was obtained, and returns the wait until the next attempt.
    fn after_renewal(&self, obtained: &ObtainedIdentity, retry: &mut Retry, reporter: &Reporter) -> Wait {
        let identity = obtained.identity();
        let not_after = identity.user.not_after;
        let wait = self.until_renewal(self.interval, not_after);
        if let Some(suspension) = obtained.suspension() {
            reporter.kept(not_after);
            reporter.failed(&suspension);
            retry.log_failure(&suspension, Level::ERROR, wait.duration());
            wait
        } else if identity.is_expired(self.bot.clock.now()) {
            // Without this, the next renewal would be due at once, again and again.
            reporter.failed(ALREADY_EXPIRED);
            self.begin_wait(retry.failed(ALREADY_EXPIRED, Level::ERROR, &self.randomness))
        } else {
            retry.succeeded();
            obtained.log(Some(wait.duration()));
            reporter.renewed(not_after);
            wait
        }
    }

    /// Returns the stored identity, to be used after an attempt to obtain the first one has failed with `error`. Returns `None` if
    /// there is none, and a retry may help.
    ///
    /// # Errors
    ///
    /// Returns `error` if there is no identity to use, and a retry cannot help.
    async fn stored_identity(
        &self,
        error: RenewalError,
        reporter: &Reporter,
    ) -> Result<Option<Arc<Identity>>, RenewalError> {
        match self.bot.stored_identity().await {
            Some(identity) if !matches!(error, RenewalError::OtherCluster { .. }) => {
                reporter.kept(identity.user.not_after);
                Ok(Some(identity))
            }
            // An identity that was issued cannot be obtained again.
            _ if error.is_transient() || self.bot.has_unsaved() => Ok(None),
            _ => Err(error),
        }
    }
}
