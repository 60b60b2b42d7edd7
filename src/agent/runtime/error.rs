//! The reasons why an agent does not start, or stops with an error. Every message is complete without its sources.

use super::health_server::HealthServerError;
use super::unsupported::Unsupported;
use crate::agent::bot::renewal::RenewalError;
use crate::agent::bot::storage::StorageError;
use crate::agent::destination::writer::DestinationError;
use crate::agent::net::address::AddressError;
use crate::agent::net::route::HttpProxyError;
use crate::agent::net::web::WebError;
use crate::agent::service::error::OutputError;
use crate::config::JoinMethod;

/// An agent did not start, or stopped with an error.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The configuration contains parts that this version cannot run. Nothing was joined or written.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// Neither `proxy_server` nor `auth_server` is set.
    #[error("no address: set proxy_server to the web address of a Teleport proxy, as host:port")]
    NoAddress,
    /// The address cannot be parsed.
    #[error("{field}: {error}")]
    Address {
        /// `proxy_server` or `auth_server`.
        field: &'static str,
        /// The problem.
        error: AddressError,
    },
    /// The environment names an HTTP proxy that cannot be used.
    #[error(transparent)]
    HttpProxy(#[from] HttpProxyError),
    /// `onboarding.join_method` is not set.
    #[error("onboarding.join_method is not set: choose how the bot joins, for example `join_method: token`")]
    NoJoinMethod,
    /// `onboarding.token` is not set, and the join method needs the name of a join token.
    #[error(
        "onboarding.token is not set: the join method {method} needs the name of a join token for that method"
    )]
    NoTokenName {
        /// The join method.
        method: JoinMethod,
    },
    /// TLS to the proxy cannot be set up.
    #[error(transparent)]
    Web(#[from] WebError),
    /// A destination does not support what its configuration requires.
    #[error("output {output}: {error}")]
    Destination {
        /// The output's name.
        output: String,
        /// The problem.
        error: DestinationError,
    },
    /// The health server cannot listen.
    #[error(transparent)]
    HealthServer(#[from] HealthServerError),
    /// The storage cannot be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The bot has no identity and cannot obtain one.
    #[error(transparent)]
    Renewal(#[from] RenewalError),
    /// Oneshot mode could not write these outputs; it has written the others.
    #[error("{}", failures(.0))]
    Outputs(Vec<OutputFailure>),
    /// Oneshot mode was stopped before all outputs were written.
    #[error("stopped before all outputs were written")]
    Interrupted,
}

impl AgentError {
    /// Returns true if the configuration must change. The agent has neither joined nor written anything.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Unsupported(_)
                | Self::NoAddress
                | Self::Address { .. }
                | Self::NoJoinMethod
                | Self::NoTokenName { .. }
        )
    }
}

/// An output that failed.
#[derive(Debug)]
pub struct OutputFailure {
    /// The service's name, or its type and number.
    pub name: String,
    /// The error.
    pub error: OutputError,
}

fn failures(failures: &[OutputFailure]) -> String {
    let messages = failures.iter().map(|failure| format!("output {}: {}", failure.name, failure.error));
    messages.collect::<Vec<_>>().join("; ")
}
