//! What an embedder or `main` gets when the agent cannot go on. Every message says it all: nothing is left to a chain.

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

/// Why an agent did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The configuration asks for what this version cannot do. Found before anything is joined or written.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// Neither `proxy_server` nor `auth_server` is set.
    #[error("no address: set proxy_server to the web address of a Teleport proxy, as host:port")]
    NoAddress,
    /// An address that cannot be read.
    #[error("{setting}: {error}")]
    Address {
        /// `proxy_server` or `auth_server`.
        setting: &'static str,
        /// What is wrong with it.
        error: AddressError,
    },
    /// The environment names an HTTP proxy that cannot be used.
    #[error(transparent)]
    HttpProxy(#[from] HttpProxyError),
    /// `onboarding.join_method` is not set.
    #[error("onboarding.join_method is not set: say how the bot joins, for example `join_method: token`")]
    NoJoinMethod,
    /// `onboarding.token` is not set, and the join method needs the name of a token.
    #[error("onboarding.token is not set: the join method {method} needs the name of a token of that method")]
    NoTokenName {
        /// The join method.
        method: JoinMethod,
    },
    /// TLS towards the proxy cannot be set up.
    #[error(transparent)]
    Web(#[from] WebError),
    /// A destination cannot do what is configured.
    #[error("output {output}: {error}")]
    Destination {
        /// The output's name.
        output: String,
        /// Why not.
        error: DestinationError,
    },
    /// Health cannot be served.
    #[error(transparent)]
    Diag(#[from] DiagError),
    /// The storage cannot be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The bot has no identity and cannot get one.
    #[error(transparent)]
    Renewal(#[from] RenewalError),
    /// A one-shot run could not write these outputs; the others are written.
    #[error("{}", failures(.0))]
    Outputs(Vec<OutputFailure>),
    /// A one-shot run was told to stop before it was done.
    #[error("stopped before everything was written")]
    Interrupted,
}

impl AgentError {
    /// True when the configuration has to change, and nothing has been joined or written.
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
    /// The service's name: its own, or its type and number.
    pub name: String,
    /// Why.
    pub error: OutputError,
}

fn failures(failures: &[OutputFailure]) -> String {
    let each = failures.iter().map(|failure| format!("output {}: {}", failure.name, failure.error));
    each.collect::<Vec<_>>().join("; ")
}
