//! The agent's public interface: an agent is created from a configuration, then runs once or until it is stopped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use super::control::Signals;
use super::error::AgentError;
use super::health::Health;
use super::health_monitor::HealthMonitor;
use super::health_server::HealthServer;
use super::running_agent::RunningAgent;
use super::setup::{AgentOptions, Plan};
use crate::agent::destination::writer::DestinationWriter;
use crate::agent::net::listener::Listener;
use crate::agent::platform::lock::lock;
use crate::config::Config;

/// An agent for one configuration.
pub struct Agent {
    plan: Plan,
    health: Arc<Health>,
    addresses: Mutex<Addresses>,
}

/// The addresses on which the agent listens in its newest run.
#[derive(Default)]
struct Addresses {
    diag: Option<SocketAddr>,
    /// Those of services, by index in the list of services.
    services: Vec<(usize, SocketAddr)>,
}

impl Agent {
    /// Creates an agent from a configuration that [`load`](crate::config::load) returned with [`Purpose::Start`]: of what `load`
    /// checks, this repeats only a part. Reads root certificates, and the symbolic links in the paths of destinations; all other I/O
    /// happens when the agent runs.
    ///
    /// [`Purpose::Start`]: crate::config::Purpose::Start
    ///
    /// # Errors
    ///
    /// Returns [`AgentError::Unsupported`] with everything that this version cannot run, and [`AgentError::Overlap`] if
    /// destinations overlap in this process, which [`load`](crate::config::load) notices only if it knows the process. Returns
    /// another error if the address, the join method or the token name is missing or invalid, if there are no root certificates,
    /// or if a destination cannot be used. Returns several errors together, as [`AgentError::Several`]. After an error, the agent
    /// has neither joined nor written anything.
    pub fn new(config: &Config, options: AgentOptions) -> Result<Self, AgentError> {
        Plan::new(config, options).map(|plan| Self {
            health: plan.health(config),
            plan,
            addresses: Mutex::default(),
        })
    }

    /// Joins or renews, writes every output once, and returns. Nothing is retried; [`AgentError::is_transient`] says whether the
    /// caller can.
    ///
    /// To stop the agent, call [`Control::shutdown`](super::control::Control::shutdown) and await this future. If it is dropped,
    /// nothing waits for a renewal in progress, and an identity that could not be saved yet is lost. If the shutdown
    /// comes while the storage waits for a lock, a thread may keep the storage locked for another minute.
    ///
    /// # Errors
    ///
    /// Returns the first error. Errors of outputs are returned together, after all other outputs have been written.
    pub async fn run_once(&self, mut signals: Signals) -> Result<(), AgentError> {
        match self.open(Vec::new(), &mut signals).await? {
            Some(agent) => agent.run_oneshot(signals).await,
            None => Err(AgentError::Interrupted),
        }
    }

    /// Keeps the identity and every output fresh until a shutdown.
    ///
    /// To stop the agent, call [`Control::shutdown`](super::control::Control::shutdown) and await this future. If it is dropped,
    /// nothing waits for a renewal in progress, and an identity that could not be saved yet is lost. If the shutdown
    /// comes while the storage waits for a lock, a thread may keep the storage locked for another minute.
    ///
    /// # Errors
    ///
    /// Returns an error at the start if the agent cannot listen on `diag_addr` or for the clients of a service, or if the storage
    /// cannot be used.
    ///
    /// While the agent has no identity, returns an error if it cannot join, which may be hours later: an outage is not an error; the
    /// agent retries. Before a join that uses up a token, it also returns an error if a destination or the auth server cannot be
    /// used; the token stays unused. Returns an error, too, if the stored identity is of another cluster.
    ///
    /// Once the agent has an identity, returns an error only if a part of the agent has panicked.
    pub async fn run(&self, mut signals: Signals) -> Result<(), AgentError> {
        let mut failures = Vec::new();
        let server = match self.plan.diag_addr() {
            Some(address) => {
                HealthServer::bind(address).await.map_err(|error| failures.push(error.into())).ok()
            }
            None => None,
        };
        let (listeners, services) = self.listen(&mut failures).await;
        let diag = server.as_ref().and_then(HealthServer::address);
        *self.addresses() = Addresses { diag, services };
        if let Some(address) = diag {
            tracing::info!("serving /livez, /readyz, /wait and /metrics on {address}");
        }
        let Some(agent) = self.open(failures, &mut signals).await? else { return Ok(()) };
        self.health.reset();
        agent.run_continuously(signals, &self.health, server, listeners).await
    }

    /// Opens the storage, or returns `None` after a shutdown, which may come while another process holds the lock or the file system
    /// hangs. The cluster has issued nothing yet that could be lost.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Plan::open`], and after a shutdown those that are known already.
    async fn open(
        &self,
        mut failures: Vec<AgentError>,
        signals: &mut Signals,
    ) -> Result<Option<Arc<RunningAgent>>, AgentError> {
        tokio::select! {
            biased;
            () = signals.shutdown() => {}
            opened = self.plan.open(&mut failures) => return Ok(Some(Arc::new(opened?))),
        }
        if failures.is_empty() { Ok(None) } else { Err(AgentError::all(failures)) }
    }

    /// Returns the listeners of all services that listen, and their TCP addresses by the index of the service. Adds the errors
    /// to `failures`.
    async fn listen(&self, failures: &mut Vec<AgentError>) -> (Vec<Listener>, Vec<(usize, SocketAddr)>) {
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for service in self.plan.listening() {
            let (name, settings) = (service.name(), service.listener());
            match Listener::bind(&settings.listen).await {
                Ok(listener) => {
                    match listener.tcp_address() {
                        Some(address) => {
                            tracing::info!(service = %name, "listening on tcp://{address}");
                            addresses.push((settings.service.index, address));
                        }
                        None => tracing::info!(service = %name, "listening on {}", settings.listen),
                    }
                    listeners.push(listener);
                }
                Err(error) => failures.push(AgentError::Listener { service: name.to_owned(), error }),
            }
        }
        (listeners, addresses)
    }

    /// Returns a monitor of the agent's health while it [runs](Self::run) with these signals. In oneshot mode, every service
    /// stays [`Initializing`](super::health::HealthStatus::Initializing).
    #[must_use]
    pub fn health(&self, signals: &Signals) -> HealthMonitor {
        HealthMonitor::new(Arc::clone(&self.health), signals.clone())
    }

    /// Returns the address of a running agent's health server; `None` before it listens, or if `diag_addr` is not set.
    #[must_use]
    pub fn diag_addr(&self) -> Option<SocketAddr> {
        self.addresses().diag
    }

    /// Returns the TCP address on which a service of a running agent listens. `service` is the index in the list of `services`,
    /// followed by `outputs`.
    #[must_use]
    pub fn listen_addr(&self, service: usize) -> Option<SocketAddr> {
        let addresses = self.addresses();
        let mut services = addresses.services.iter();
        services.find_map(|(index, address)| (*index == service).then_some(*address))
    }

    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        lock(&self.addresses)
    }

    /// Returns the files of an output whose destination is memory, by name. The key and the certificates are always those of one
    /// renewal. Empty before the output is written, and for any other service. `output` is the index in the list of
    /// `services`, followed by `outputs`.
    #[must_use]
    pub fn files_in_memory(&self, output: usize) -> BTreeMap<String, Vec<u8>> {
        self.plan.destination(output).map(DestinationWriter::files_in_memory).unwrap_or_default()
    }
}
