//! Finds out whether a server is an auth server, and which CAs, cluster and version it claims to have: with `GetClusterCACert` and
//! `Ping`, which an auth server accepts without an identity. The responses are not verified.

use rustls::pki_types::CertificateDer;

use super::api_error::ApiError;
use super::grpc::{connect, unary};
use super::messages::{GetClusterCaCertResponse, PingRequest, PingResponse};
use crate::agent::credential::cluster_name::{ClusterName, ClusterNameError};
use crate::agent::credential::x509;
use crate::agent::net::connection_error::ConnectionError;
use crate::agent::net::dialler::Dialler;
use crate::agent::net::tls::TlsError;
use crate::agent::platform::Hint;
use crate::untrusted::escape;

const PING: &str = "/proto.AuthService/Ping";
const GET_CLUSTER_CA_CERT: &str = "/proto.AuthService/GetClusterCACert";

/// An auth server as it describes itself.
#[derive(Clone, Debug)]
pub(crate) struct UnverifiedAuthServer {
    pub(crate) cluster_name: ClusterName,
    /// The CAs that issue the certificates of the cluster's servers; at least one.
    pub(crate) host_cas: Vec<CertificateDer<'static>>,
    /// Empty if the server does not tell it without an identity.
    pub(crate) server_version: String,
}

/// Why there is no usable description of an auth server.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum AuthDiscoveryError {
    /// There is no connection to an auth server.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("the response to {GET_CLUSTER_CA_CERT} does not contain the certificate authority of a cluster")]
    NoAuthority,
    #[error(transparent)]
    ClusterName(#[from] ClusterNameError),
}

impl AuthDiscoveryError {
    /// Returns true if the server may be of another kind.
    pub(super) fn may_be_proxy(&self) -> bool {
        matches!(self, Self::Connection(error) if !error.failed_before_tls())
    }

    pub(super) fn hint(&self) -> Option<Hint> {
        match self {
            Self::Connection(error) => error.hint(),
            Self::Tls(error) => error.hint(),
            Self::Api(error @ ApiError::NoResponse { .. }) => error.hint(),
            // The hints for a refused call are about an identity.
            Self::Api(_) | Self::NoAuthority | Self::ClusterName(_) => None,
        }
    }

    /// Returns whether a retry may succeed without any change by the operator.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Connection(_) => true,
            Self::Api(error) => error.is_transient(),
            Self::Tls(_) | Self::NoAuthority | Self::ClusterName(_) => false,
        }
    }
}

/// Requests the description of an auth server.
pub(super) async fn describe(dialler: &Dialler) -> Result<UnverifiedAuthServer, AuthDiscoveryError> {
    let channel = connect(dialler.to_unverified_auth()?).await?;
    let response: GetClusterCaCertResponse = unary(&channel, GET_CLUSTER_CA_CERT, ()).await?;
    let server = parse(&response)?;
    // Needed only for a warning and to choose how to join, so it may be missing.
    let ping: Result<PingResponse, _> = unary(&channel, PING, PingRequest {}).await;
    let version = ping.map(|ping| escape(&ping.server_version).into()).unwrap_or_default();
    Ok(UnverifiedAuthServer { server_version: version, ..server })
}

pub(crate) fn parse(response: &GetClusterCaCertResponse) -> Result<UnverifiedAuthServer, AuthDiscoveryError> {
    let pem = String::from_utf8_lossy(&response.tls_ca);
    let host_cas = x509::certificates(&pem).map_err(|_| AuthDiscoveryError::NoAuthority)?;
    let cluster = host_cas.first().and_then(|der| x509::certificate(der).ok()).and_then(|ca| {
        // The CA of a cluster has the cluster's name.
        x509::organization(ca.subject())
    });
    let cluster_name = cluster.ok_or(AuthDiscoveryError::NoAuthority)?.parse()?;
    Ok(UnverifiedAuthServer { cluster_name, host_cas, server_version: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    #[test]
    fn the_cluster_has_the_name_of_its_authority() {
        let tls_ca = recorded("outputs/identity/teleport-host-ca.crt").repeat(2);
        let described = parse(&GetClusterCaCertResponse { tls_ca: tls_ca.into() }).unwrap();
        assert_eq!((&*described.cluster_name, described.host_cas.len()), ("dev.test", 2));
        let empty = parse(&GetClusterCaCertResponse::default()).unwrap_err();
        assert!(matches!(empty, AuthDiscoveryError::NoAuthority), "{empty}");
    }
}
