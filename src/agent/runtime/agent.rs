//! The agent as embedders see it: made from a configuration, then run once or until it is stopped.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use super::control::Signals;
use super::error::AgentError;
use super::health_server::Listener;
use super::setup::{AgentOptions, Plan};
use crate::config::Config;

/// An agent for one configuration. Making one does no I/O but reading root certificates; running it does the rest.
pub struct Agent {
    plan: Plan,
    diag_addr: OnceLock<SocketAddr>,
}

impl Agent {
    /// Takes a valid configuration.
    ///
    /// # Errors
    ///
    /// [`AgentError::Unsupported`] names everything that this version cannot run; other errors are a missing or
    /// unreadable address, a missing join method or name of a token, and no root certificates. Nothing has been joined or written then.
    pub fn new(config: &Config, options: AgentOptions) -> Result<Self, AgentError> {
        Plan::new(config, options).map(|plan| Self { plan, diag_addr: OnceLock::new() })
    }

    /// Joins or renews, writes every output once, and ends. Nothing is tried twice.
    ///
    /// # Errors
    ///
    /// The first thing that failed; for outputs all that failed, after the others are written.
    pub async fn run_once(&self, signals: Signals) -> Result<(), AgentError> {
        let agent = Arc::new(self.plan.open().await?);
        agent.run_oneshot(signals).await
    }

    /// Runs until told to stop, and keeps the identity and every output fresh.
    ///
    /// # Errors
    ///
    /// Only at the start: `diag_addr` is taken, the storage cannot be opened, or there is no identity and the cluster refuses to give one. An
    /// outage is no error; the agent waits for its end.
    pub async fn run(&self, signals: Signals) -> Result<(), AgentError> {
        let listener = match self.plan.diag_addr() {
            Some(address) => Some(Listener::bind(address).await?),
            None => None,
        };
        if let Some(address) = listener.as_ref().and_then(Listener::address) {
            let address = self.diag_addr.get_or_init(|| address);
            tracing::info!("serving /livez, /readyz and /metrics on {address}");
        }
        let agent = Arc::new(self.plan.open().await?);
        agent.run_continuously(signals, listener).await
    }

    /// Where a running agent serves its health: none before it listens, and where `diag_addr` is not set.
    #[must_use]
    pub fn diag_addr(&self) -> Option<SocketAddr> {
        self.diag_addr.get().copied()
    }

    /// A file of an output whose destination is memory: its place among `services` and then `outputs`, and its name.
    #[must_use]
    pub fn in_memory(&self, output: usize, file: &str) -> Option<Vec<u8>> {
        self.plan.destination(output)?.in_memory(file)
    }
}
