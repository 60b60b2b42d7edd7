//! The running agent: one loop keeps the bot's identity fresh, one loop an output keeps that output fresh.
//!
//! No loop ends because of an error once the agent has an identity: it waits and tries again. What happens again and
//! again in the same words is said once, then at debug.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Level;

use super::Inner;
use super::api::AuthClient;
use super::control::{Signal, Signals};
use super::error::{AgentError, OutputFailure};
use super::identity::Identity;
use super::output::{Output, OutputError};
use super::renewal::{Obtained, RenewalError};
use super::schedule::{self, Backoff};

type Current = Option<Arc<Identity>>;

impl Inner {
    /// Joins or renews, writes every output once, and ends.
    pub(super) async fn once(self: &Arc<Self>) -> Result<(), AgentError> {
        let obtained = self.bot.obtain().await?;
        say_obtained(&obtained);
        let identity = obtained.identity();
        // Even with no output to write, a run that ends well has shown that the identity is accepted.
        let client = AuthClient::connect(&self.bot.route, identity).await.map_err(RenewalError::Api)?;
        let mut failures = Vec::new();
        for output in &self.outputs {
            match output.write(&client, identity, &self.surroundings()).await {
                Ok(_) => tracing::info!(output = %output.name, "wrote"),
                Err(error) => failures.push(OutputFailure { name: output.name.clone(), error }),
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(AgentError::Outputs(failures)) }
    }

    /// Runs until told to stop. Fails only while there is no identity to run with.
    pub(super) async fn keep(self: &Arc<Self>, signals: Signals) -> Result<(), AgentError> {
        let (sender, current) = watch::channel(None);
        let mut outputs = JoinSet::new();
        for index in 0..self.outputs.len() {
            let (inner, current, signals) = (Arc::clone(self), current.clone(), signals.clone());
            outputs.spawn(async move {
                if let Some(output) = inner.outputs.get(index) {
                    inner.keep_output(output, current, signals).await;
                }
            });
        }
        let ended = self.keep_identity(&sender, signals).await;
        // Waited for, because the loops share the storage and its lock. A set of files under way is written to its end
        // all the same.
        outputs.shutdown().await;
        ended
    }

    async fn keep_identity(
        self: &Arc<Self>,
        sender: &watch::Sender<Current>,
        mut signals: Signals,
    ) -> Result<(), AgentError> {
        let mut retry = Retry::new("identity");
        let mut held_back = false;
        loop {
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
                        say_obtained(&obtained);
                    }
                    let identity = Arc::clone(obtained.identity());
                    let wait = self.until_renewal(self.interval, &identity);
                    sender.send_replace(Some(identity));
                    wait
                }
                Err(error) => {
                    if sender.borrow().is_none() {
                        match self.bot.stored().await {
                            Some(identity) if !matches!(error, RenewalError::OtherCluster { .. }) => {
                                sender.send_replace(Some(identity));
                            }
                            _ if error.is_transient() => {}
                            _ => return Err(error.into()),
                        }
                    }
                    held_back = false;
                    // What does not pass by itself ends with the certificate.
                    let level = if error.is_transient() { Level::WARN } else { Level::ERROR };
                    retry.failed(&error, level, self)
                }
            };
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Signal::Shutdown => break,
                    Signal::Reload => tracing::info!("renewing now, as told"),
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
    ) {
        let mut retry = Retry::new(&output.name);
        loop {
            let Ok(identity) = current.wait_for(Option::is_some).await.map(|current| current.clone()) else {
                return;
            };
            let Some(identity) = identity else { return };
            let wait = match self.write(output, &identity).await {
                Ok(not_after) => {
                    retry.succeeded();
                    let now = self.bot.clock.now();
                    let wait = schedule::until_renewal(output.interval, not_after, now, &self.randomness);
                    tracing::info!(output = %output.name, next = ?wait, "wrote");
                    wait
                }
                Err(error) => retry.failed(&error, Level::WARN, self),
            };
            tokio::select! {
                biased;
                () = signals.reload() => {}
                // A fresh identity is worth an attempt at once, where the last one failed.
                Ok(()) = current.changed(), if retry.is_failing() => {}
                () = schedule::wait(wait, &self.bot.clock) => {}
            }
        }
    }

    async fn write(
        &self,
        output: &Output,
        identity: &Identity,
    ) -> Result<std::time::SystemTime, OutputError> {
        let client = AuthClient::connect(&self.bot.route, identity).await?;
        output.write(&client, identity, &self.surroundings()).await
    }

    fn until_renewal(&self, interval: Duration, identity: &Identity) -> Duration {
        schedule::until_renewal(interval, identity.user.not_after, self.bot.clock.now(), &self.randomness)
    }
}

fn say_obtained(obtained: &Obtained) {
    let user = &obtained.identity().user;
    let generation = user.generation.unwrap_or_default();
    match obtained {
        Obtained::Joined(_, reason) => {
            tracing::info!(user = %user.username, cluster = %user.cluster, generation, "joined, because {reason}");
        }
        Obtained::Renewed(_) => {
            tracing::info!(user = %user.username, cluster = %user.cluster, generation, "renewed the bot's identity");
        }
        Obtained::HeldBack(_, cure) => {
            tracing::error!(user = %user.username, generation, "a renewal was asked for and its answer is lost: {cure}");
        }
    }
}

/// Says what fails, once for each way to fail, and when to try again.
struct Retry {
    what: String,
    backoff: Backoff,
    last: Option<String>,
}

impl Retry {
    fn new(what: &str) -> Self {
        Self { what: what.to_owned(), backoff: Backoff::new(), last: None }
    }

    fn is_failing(&self) -> bool {
        self.last.is_some()
    }

    fn failed(&mut self, error: &impl Display, level: Level, inner: &Inner) -> Duration {
        let wait = self.backoff.next(&inner.randomness);
        let error = error.to_string();
        if self.last.as_ref() == Some(&error) {
            tracing::debug!(what = %self.what, retry = ?wait, "failed again: {error}");
            return wait;
        }
        if level == Level::ERROR {
            tracing::error!(what = %self.what, retry = ?wait, "{error}");
        } else {
            tracing::warn!(what = %self.what, retry = ?wait, "{error}");
        }
        self.last = Some(error);
        wait
    }

    fn succeeded(&mut self) {
        if self.last.take().is_some() {
            tracing::info!(what = %self.what, "works again");
            self.backoff = Backoff::new();
        }
    }
}
