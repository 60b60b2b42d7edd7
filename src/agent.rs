//! The agent: joins a Teleport cluster as a bot, keeps the bot's identity fresh, writes credentials for other programs.
//!
//! It reads the typed [`Config`], and everything else it needs comes in as [`AgentOptions`]. It never sends telemetry,
//! knows nothing of the event, and never prints: it speaks through [`tracing`] and through errors.
//!
//! ```text
//! configuration ─ refuse by name what cannot be run ─ open and lock the storage
//!     └ find (who is the proxy) ─ join, or renew what is stored ─ save ─┬ output: issue, fetch authorities, write as a set
//!                                        ▲                              └ output: …
//!                                        └── wait: interval, backoff, reload ──┘
//! ```
//!
//! Calls to the auth server go straight through the proxy's web port, as TLS that the proxy passes on by its first ALPN
//! entry. Joining directly at an auth server is not supported.
//!
//! # What the log's levels mean
//!
//! - **error**: a person has to act, or the bot stops working when its certificate ends.
//! - **warn**: something failed; the agent goes on and tries again. The same words come once, then at debug.
//! - **info**: joined, renewed, wrote, told to renew; one line each.
//! - **debug**: repetitions and details.
//!
//! Tokens, proofs and private keys are in no line and in no error.

mod access;
mod address;
mod advice;
mod api;
mod control;
mod daemon;
mod destination;
mod diag;
mod discovery;
mod durable;
mod error;
mod folder;
mod generation;
mod health;
#[cfg(test)]
mod hostile;
mod identity;
mod identity_file;
mod in_place;
mod join;
mod keys;
mod kube;
mod kube_proxy;
mod metrics;
mod once;
mod options;
mod output;
mod places;
mod proto;
mod readers;
#[cfg(test)]
mod recordings;
mod renewal;
mod rest;
mod retry;
mod rights;
mod rotation;
mod route;
mod schedule;
mod setup;
mod sshcert;
mod storage;
mod svid;
mod task;
mod tls;
mod token;
mod trust_bundle;
mod unsupported;
mod web;
mod x509;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use address::{Address, AddressError};
pub use api::ApiError;
pub use control::{Control, Signals, control};
pub use destination::DestinationError;
pub use diag::DiagError;
pub use discovery::DiscoveryError;
pub use error::{AgentError, OutputFailure};
pub use folder::FolderError;
pub use identity::IdentityError;
pub use identity_file::{IdentityFile, IdentityFileError};
pub use join::{JoinError, ProofError};
pub use keys::KeyError;
pub use kube::{ClusterError, KubeError, SecretName, SecretRequest};
pub use kube_proxy::KubeProxyError;
pub use options::{AgentOptions, Clock, Environment, Randomness};
pub use output::{LookupError, OutputError, WorkloadIdentityError};
pub use readers::ReaderError;
pub use renewal::{Cure, JoinReason, RenewalError};
pub use rest::RestError;
pub use route::HttpProxyError;
pub use sshcert::SshCertError;
pub use storage::StorageError;
pub use svid::SvidError;
pub use tls::TlsError;
pub use token::TokenError;
pub use unsupported::{Part, Unsupported};
pub use web::WebError;
pub use x509::X509Error;

use crate::config::Config;
use diag::Listener;
use output::{Output, Surroundings};
use renewal::Bot;
use setup::Plan;

/// An agent for one configuration. Making one does no I/O but reading root certificates; running it does the rest.
pub struct Agent {
    plan: Plan,
    diag_addr: OnceLock<SocketAddr>,
}

/// What a running agent consists of.
struct Inner {
    bot: Arc<Bot>,
    outputs: Vec<Output>,
    interval: Duration,
    randomness: Randomness,
    command: PathBuf,
    /// What files name as the proxy, where it is not what the cluster advertises.
    proxy_address: Option<String>,
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
        let inner = Arc::new(self.plan.open().await?);
        inner.once(signals).await
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
        let inner = Arc::new(self.plan.open().await?);
        inner.keep(signals, listener).await
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

impl Inner {
    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            route: &self.bot.route,
            web: self.bot.web(),
            clock: &self.bot.clock,
            command: &self.command,
            proxy_address: self.proxy_address.as_deref(),
            fallback_proxy_address: self.bot.proxy_address(),
        }
    }
}
