//! A client's connection to one of the servers.

use std::net::SocketAddr;
use std::sync::Mutex;

use rustls::pki_types::CertificateDer;
use tokio::sync::Notify;

use crate::connection_upgrade::PendingUpgrade;
use crate::error::ApiError;
use crate::identity::Caller;
use crate::shared::Shared;
use crate::tls::Backend;

/// An established TLS connection.
pub(crate) struct Connection {
    pub(crate) peer_addr: SocketAddr,
    pub(crate) backend: Backend,
    /// The client, or the reason why its certificate is not accepted.
    pub(crate) caller: Result<Caller, ApiError>,
    /// Closes the connection without a response.
    pub(crate) abort: Notify,
    /// The connection's upgrade, once requested.
    pub(crate) upgrade: Mutex<Option<PendingUpgrade>>,
}

impl Connection {
    pub(crate) fn new(peer_addr: SocketAddr, backend: Backend, client_chain: &[CertificateDer<'_>]) -> Self {
        Self {
            peer_addr,
            backend,
            caller: caller(client_chain),
            abort: Notify::new(),
            upgrade: Mutex::default(),
        }
    }

    /// Returns the client, unless it is locked or does not exist.
    pub(crate) fn admit(&self, shared: &Shared) -> Result<Caller, ApiError> {
        let caller = self.caller.clone()?;
        let state = shared.state();
        state.admit(&caller.username)?;
        state.admit_instance(&caller)?;
        drop(state);
        Ok(caller)
    }
}

/// Reads a client's certificate chain. The auth server accepts only chains of one certificate.
fn caller(chain: &[CertificateDer<'_>]) -> Result<Caller, ApiError> {
    match chain {
        [leaf] => Ok(Caller::from_der(leaf)?),
        [] => Err(ApiError::access_denied()),
        _ => Err(ApiError::permission_denied("access denied: intermediaries are not supported")),
    }
}
