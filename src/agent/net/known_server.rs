//! What is known about the server at an address.

use super::tls::AuthTrust;
use crate::config::Address;

/// The kind of server at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerKind {
    Proxy,
    Auth,
}

impl ServerKind {
    /// Returns the kind of server that usually has such an address.
    pub(super) fn at(address: &Address) -> Self {
        if address.has_proxy_port() { Self::Proxy } else { Self::Auth }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Proxy => Self::Auth,
            Self::Auth => Self::Proxy,
        }
    }
}

/// What is known about the server.
pub(super) struct KnownServer {
    pub(super) kind: ServerKind,
    /// How an auth server is verified before the bot has an identity, once this is known.
    pub(super) trust_before_join: Option<AuthTrust>,
}
