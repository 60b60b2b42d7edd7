//! Why connections do not reach the auth server, before a join.

use super::connection_error::{ConnectionError, TlsFailure, UnexpectedServer};
use crate::agent::platform::Hint;

/// The bot could not use an identity, because a connection does not reach the auth server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthRouteError {
    /// The connection failed.
    #[error("cannot connect to the auth server of {cluster} {route}")]
    Connect {
        /// The name of the cluster.
        cluster: String,
        /// How the auth server is reached: through which proxy, or at which address.
        route: String,
        /// Why the connection failed.
        source: ConnectionError,
    },
    /// Another server responded.
    #[error("a connection {route} does not reach the auth server of {cluster}")]
    OtherServer {
        /// The name of the cluster.
        cluster: String,
        /// How the auth server should be reached: through which proxy, or at which address.
        route: String,
    },
}

impl AuthRouteError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            // Only a direct connection verifies the issuer before a join.
            Self::Connect { source, .. } if source.tls_failure() == Some(TlsFailure::UnknownIssuer) => {
                Some(Hint::new(
                    "its certificate was not issued by a CA in onboarding.ca_pins or onboarding.ca_path: unless these are \
                     outdated, another server responds instead of the auth server",
                ))
            }
            Self::Connect { source, .. } => {
                let check_server = "check that the server is up, and that this machine can connect to it";
                source.hint().or_else(|| Some(Hint::new(check_server)))
            }
            Self::OtherServer { .. } => Some(UnexpectedServer::HINT),
        }
    }
}
