//! The public agent: created from a configuration, then run once or until it is stopped.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use super::control::Signals;
use super::error::AgentError;
use super::health_server::HealthServer;
use super::setup::{AgentOptions, Plan};
use crate::config::Config;

/// An agent for one configuration.
pub struct Agent {
    plan: Plan,
    diag_addr: OnceLock<SocketAddr>,
}

impl Agent {
    /// Creates an agent from a valid configuration. Reads root certificates; all other I/O happens when the agent runs.
    ///
    /// # Errors
    ///
    /// Returns [`AgentError::Unsupported`] with everything that this version cannot run. Other errors are a missing or
    /// invalid address, a missing join method or token name, and missing root certificates. Nothing was joined or written.
    pub fn new(config: &Config, options: AgentOptions) -> Result<Self, AgentError> {
        Plan::new(config, options).map(|plan| Self { plan, diag_addr: OnceLock::new() })
    }

    /// Joins or renews, writes every output once, and returns. Nothing is retried.
    ///
    /// # Errors
    ///
    /// Returns the first error. Errors of outputs are returned together, after all other outputs are written.
    pub async fn run_once(&self, signals: Signals) -> Result<(), AgentError> {
        let agent = Arc::new(self.plan.open().await?);
        agent.run_oneshot(signals).await
    }

    /// Keeps the identity and every output fresh until a shutdown.
    ///
    /// # Errors
    ///
    /// Returns an error only at the start: if `diag_addr` is in use, if the storage cannot be opened, or if there is no
    /// stored identity and the cluster refuses to issue one. An outage is not an error; the agent retries.
    pub async fn run(&self, signals: Signals) -> Result<(), AgentError> {
        let server = match self.plan.diag_addr() {
            Some(address) => Some(HealthServer::bind(address).await?),
            None => None,
        };
        if let Some(address) = server.as_ref().and_then(HealthServer::address) {
            let address = self.diag_addr.get_or_init(|| address);
            tracing::info!("serving /livez, /readyz and /metrics on {address}");
        }
        let agent = Arc::new(self.plan.open().await?);
        agent.run_continuously(signals, server).await
    }

    /// Returns the address at which a running agent serves its health; `None` before it listens, or without `diag_addr`.
    #[must_use]
    pub fn diag_addr(&self) -> Option<SocketAddr> {
        self.diag_addr.get().copied()
    }

    /// Returns a file of an output whose destination is memory. `output` is its index in `services` followed by `outputs`.
    #[must_use]
    pub fn in_memory(&self, output: usize, file: &str) -> Option<Vec<u8>> {
        self.plan.destination(output)?.read_from_memory(file)
    }
}
