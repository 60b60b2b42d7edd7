//! Why an agent cannot start or stopped. Every message is complete without its sources.

use crate::agent::bot::renewal::RenewalError;
use crate::agent::bot::storage::StorageError;
use crate::agent::destination::writer::DestinationError;
use crate::agent::net::address::AddressError;
use crate::agent::net::route::HttpProxyError;
use crate::agent::net::web::WebError;
use crate::agent::runtime::health_server::DiagError;
use crate::agent::runtime::unsupported::Unsupported;
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
        /// What is wrong with it.
        error: AddressError,
    },
    /// The environment names an HTTP proxy that cannot be used.
    #[error(transparent)]
    HttpProxy(#[from] HttpProxyError),
    /// `onboarding.join_method` is not set.
    #[error(
        "onboarding.join_method is not set: set it to how the bot joins, for example `join_method: token`"
    )]
    NoJoinMethod,
    /// `onboarding.token` is not set, and the join method needs the name of a token.
    #[error("onboarding.token is not set: the join method {method} needs the name of a token of that method")]
    NoTokenName {
        /// The join method.
        method: JoinMethod,
    },
    /// TLS for the proxy cannot be set up.
    #[error(transparent)]
    Web(#[from] WebError),
    /// A destination does not support its configuration.
    #[error("output {output}: {error}")]
    Destination {
        /// The output's name.
        output: String,
        /// The problem.
        error: DestinationError,
    },
    /// The health server cannot listen.
    #[error(transparent)]
    Diag(#[from] DiagError),
    /// The storage cannot be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The bot has no identity and cannot get one.
    #[error(transparent)]
    Renewal(#[from] RenewalError),
    /// A oneshot run could not write these outputs; the others are written.
    #[error("{}", failures(.0))]
    Outputs(Vec<OutputFailure>),
    /// A oneshot run was stopped before it had finished.
    #[error("stopped before all outputs were written")]
    Interrupted,
}

impl AgentError {
    /// Returns true if the configuration must change. Nothing was joined or written.
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
    let each = failures.iter().map(|failure| format!("output {}: {}", failure.name, failure.error));
    each.collect::<Vec<_>>().join("; ")
}
