//! Builds TLS configurations: with the web PKI for the proxy's web API, with the cluster's CAs for the auth API.
//!
//! Opens no socket.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::{Resumption, WantsClientCert, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use super::certificate_verifier::CertificateVerifier;
use super::system_roots::{self, RootsError};
use crate::agent::credential::identity::Identity;
use crate::agent::credential::x509;
use crate::agent::platform::hex::hex;
use crate::agent::platform::{Clock, Environment, Hint};

/// TLS cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The trusted root certificates cannot be loaded.
    #[error(transparent)]
    Roots(Box<RootsError>),
    /// rustls refused the certificates, the key, the server's name or its own defaults.
    #[error("cannot set up TLS: {0}")]
    Refused(String),
}

impl TlsError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Roots(error) => Some(error.hint()),
            Self::Refused(_) => None,
        }
    }
}

impl From<RootsError> for TlsError {
    fn from(error: RootsError) -> Self {
        Self::Roots(Box::new(error))
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Refused(error.to_string())
    }
}

/// The protocol that follows the routing entry in the ALPN list of a connection to the auth server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InnerAlpn {
    Http1,
    Http2,
}

impl InnerAlpn {
    fn name(self) -> Vec<u8> {
        match self {
            Self::Http1 => b"http/1.1".to_vec(),
            Self::Http2 => b"h2".to_vec(),
        }
    }
}

/// A name in every certificate that the host CA of a cluster issues to the cluster's own servers.
const CLUSTER_NAME: &str = "teleport.cluster.local";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Returns a builder for TLS 1.2 and 1.3 that checks validity by the agent's clock.
fn builder(clock: &Clock) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsError> {
    let time: Arc<dyn TimeProvider> = Arc::new(TlsClock(clock.clone()));
    Ok(ClientConfig::builder_with_details(provider(), time).with_safe_default_protocol_versions()?)
}

#[derive(Debug)]
struct TlsClock(Clock);

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.now().duration_since(SystemTime::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

/// Returns the configuration for servers with certificates of the web PKI, such as the proxy's web API.
///
/// # Errors
///
/// Returns an error if there are no root certificates, unless `insecure`.
pub fn web(environment: &Environment, insecure: bool, clock: &Clock) -> Result<ClientConfig, TlsError> {
    let builder =
        if insecure { accepting_any(clock) } else { trusting(system_roots::load(environment)?, clock) };
    Ok(builder?.with_no_client_auth())
}

/// Returns a builder with a verifier of the server's certificate.
fn verified_by(
    verifier: CertificateVerifier,
    clock: &Clock,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    Ok(builder(clock)?.dangerous().with_custom_certificate_verifier(Arc::new(verifier)))
}

/// Returns a builder that accepts any certificate.
fn accepting_any(clock: &Clock) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    verified_by(CertificateVerifier::accepting_any(provider()), clock)
}

/// Returns a builder that accepts the certificates that one of `trusted` issued, and `trusted` themselves.
fn trusting(
    trusted: Vec<CertificateDer<'static>>,
    clock: &Clock,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let verifier = CertificateVerifier::trusting(trusted, provider());
    verified_by(verifier.map_err(|error| TlsError::Refused(error.to_string()))?, clock)
}

/// Returns a configuration that trusts no certificate, for requests in clear text.
///
/// # Errors
///
/// Returns an error if rustls refuses its own defaults.
pub fn without_roots(clock: &Clock) -> Result<ClientConfig, TlsError> {
    Ok(builder(clock)?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// Which server a connection for the auth server begins with.
#[derive(Clone, Copy)]
pub(super) enum AuthRoute<'a> {
    /// A proxy, which routes the connection to the auth server of this cluster by the first entry of the ALPN list.
    Proxy(&'a str),
    /// The auth server itself.
    Direct,
}

impl AuthRoute<'_> {
    /// Returns the ALPN list.
    fn protocols(self, alpn: InnerAlpn) -> Vec<Vec<u8>> {
        match self {
            Self::Proxy(cluster) => vec![auth_route(cluster).into_bytes(), alpn.name()],
            Self::Direct => vec![alpn.name()],
        }
    }
}

/// Returns the configuration for the auth API as `identity`: the identity's CAs are the only roots, and only the leaf
/// certificate is sent, because the auth server refuses intermediates.
pub(super) fn auth(
    identity: &Identity,
    route: AuthRoute<'_>,
    insecure: bool,
    clock: &Clock,
) -> Result<ClientConfig, TlsError> {
    let trust = if insecure {
        AuthTrust::AnyCertificate
    } else {
        let cas = identity.certs.tls_cas.iter().map(|ca| x509::certificates(ca));
        let cas = cas.collect::<Result<Vec<_>, _>>();
        AuthTrust::Authorities(cas.map_err(|error| TlsError::Refused(error.to_string()))?.concat())
    };
    let builder = trusting_auth(&trust, clock)?;
    let mut config =
        builder.with_client_auth_cert(vec![identity.user.der.clone()], identity.key.private_der())?;
    config.alpn_protocols = route.protocols(InnerAlpn::Http2);
    Ok(config)
}

/// Returns the configuration of [`auth`] for HTTP/1.1. Cheaper than a new configuration, which would check the private key again.
pub(super) fn auth_over_http1(config: &ClientConfig) -> ClientConfig {
    let mut config = config.clone();
    // The inner protocol is the last one.
    config.alpn_protocols.pop();
    config.alpn_protocols.push(InnerAlpn::Http1.name());
    // A copy shares its sessions, and those are of HTTP/2.
    config.resumption = Resumption::disabled();
    config
}

/// How the certificate of an auth server is verified.
#[derive(Clone, Debug)]
pub(crate) enum AuthTrust {
    /// Only these CAs may have issued it.
    Authorities(Vec<CertificateDer<'static>>),
    /// It is not verified (`insecure: true`).
    AnyCertificate,
}

fn trusting_auth(
    trust: &AuthTrust,
    clock: &Clock,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    match trust {
        AuthTrust::AnyCertificate => accepting_any(clock),
        AuthTrust::Authorities(authorities) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(authorities.iter().cloned());
            Ok(builder(clock)?.with_root_certificates(roots))
        }
    }
}

/// Returns the configuration for a direct connection to an auth server before a join.
pub(super) fn auth_before_join(
    trust: &AuthTrust,
    alpn: InnerAlpn,
    clock: &Clock,
) -> Result<ClientConfig, TlsError> {
    let mut config = trusting_auth(trust, clock)?.with_no_client_auth();
    config.alpn_protocols = AuthRoute::Direct.protocols(alpn);
    Ok(config)
}

/// Returns the configuration for a direct connection to an unknown server that tests whether it is an auth server: its
/// certificate must contain the name of one, but anyone may have issued it.
pub(super) fn unverified_auth(clock: &Clock) -> Result<ClientConfig, TlsError> {
    let verifier = CertificateVerifier::accepting_any_for(cluster_server_name()?, provider());
    let mut config = verified_by(verifier, clock)?.with_no_client_auth();
    config.alpn_protocols = AuthRoute::Direct.protocols(InnerAlpn::Http2);
    Ok(config)
}

/// Returns the configuration for a connection to the auth server of `cluster` that only tests the route: it accepts any
/// certificate and presents none.
pub(super) fn auth_without_identity(cluster: &str, clock: &Clock) -> Result<ClientConfig, TlsError> {
    let mut config = accepting_any(clock)?.with_no_client_auth();
    config.alpn_protocols = AuthRoute::Proxy(cluster).protocols(InnerAlpn::Http2);
    Ok(config)
}

/// Returns true if the first certificate of a chain is for the server `name`, whoever issued it.
pub(super) fn is_certificate_for(chain: Option<&[CertificateDer<'_>]>, name: &ServerName<'_>) -> bool {
    let leaf = chain.and_then(<[_]>::first).and_then(|der| ParsedCertificate::try_from(der).ok());
    leaf.is_some_and(|leaf| verify_server_name(&leaf, name).is_ok())
}

/// Returns the configuration for the proxy's join service, which presents the proxy's web certificate; `web` is the
/// configuration for the web API. The routing entry must come first; `h2` is negotiated.
pub(crate) fn join_service(web: &ClientConfig) -> ClientConfig {
    let mut config = web.clone();
    config.alpn_protocols = vec![b"teleport-proxy-grpc".to_vec(), b"h2".to_vec()];
    config
}

/// Returns the configuration for the proxy's join service inside an upgraded connection. There, the proxy presents a
/// certificate of the cluster's host CA, which is unknown before a join. So this checks only its name and validity; the
/// outer connection has verified the certificate in front of the proxy.
pub(super) fn upgraded_join_service(insecure: bool, clock: &Clock) -> Result<ClientConfig, TlsError> {
    let builder = if insecure {
        accepting_any(clock)
    } else {
        verified_by(CertificateVerifier::accepting_any_for(cluster_server_name()?, provider()), clock)
    };
    Ok(join_service(&builder?.with_no_client_auth()))
}

/// Returns the configuration for a resource behind the proxy, such as a database, to which the certificate of `identity`
/// gives access. The proxy presents its web certificate; `web` is the configuration for the web API.
pub(super) fn resource(
    web: &ClientConfig,
    identity: &Identity,
    protocol: &'static str,
) -> Result<ClientConfig, TlsError> {
    let client =
        CertifiedKey::from_der(vec![identity.user.der.clone()], identity.key.private_der(), &provider())?;
    let mut config = web.clone();
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(client));
    // A resumed session keeps the certificate that it began with.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![protocol.into()];
    Ok(config)
}

/// Returns the configuration for a resource inside an upgraded connection, where the proxy presents a certificate of the
/// cluster's host CA.
pub(super) fn upgraded_resource(
    identity: &Identity,
    insecure: bool,
    protocol: &'static str,
    clock: &Clock,
) -> Result<ClientConfig, TlsError> {
    let mut config = auth(identity, AuthRoute::Direct, insecure, clock)?;
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![protocol.into()];
    Ok(config)
}

/// Returns the configuration for the proxy's service for SSH as `identity`. There, the proxy presents a certificate of the cluster's
/// host CA. With TLS routing, the routing entry must come first.
pub(super) fn ssh_service(
    identity: &Identity,
    tls_routing: bool,
    insecure: bool,
    clock: &Clock,
) -> Result<ClientConfig, TlsError> {
    let mut config = auth(identity, AuthRoute::Direct, insecure, clock)?;
    if tls_routing {
        config.alpn_protocols.insert(0, b"teleport-proxy-ssh-grpc".to_vec());
    }
    Ok(config)
}

/// Returns the configuration for the test of whether a connection needs the upgrade: it offers only a protocol that every
/// proxy supports, accepts any certificate, and presents none.
pub(super) fn upgrade_test(clock: &Clock) -> Result<ClientConfig, TlsError> {
    let mut config = accepting_any(clock)?.with_no_client_auth();
    config.alpn_protocols = vec![b"teleport-reversetunnel".to_vec()];
    Ok(config)
}

/// The root certificates to verify a Kubernetes API server with.
pub(crate) enum KubernetesTrust {
    /// Only these CAs, in PEM.
    Authorities(String),
    /// The system's root certificates.
    System,
    /// Any certificate: `insecure-skip-tls-verify`.
    AnyCertificate,
}

/// A client certificate and its key, in PEM.
pub(crate) struct ClientPem {
    pub(crate) certificates: String,
    pub(crate) key: String,
}

/// Returns the configuration for a Kubernetes API server.
pub(crate) fn kubernetes(
    environment: &Environment,
    trust: &KubernetesTrust,
    client: Option<ClientPem>,
    clock: &Clock,
) -> Result<ClientConfig, TlsError> {
    let refused = |error: &dyn std::fmt::Display| TlsError::Refused(error.to_string());
    let builder = match trust {
        KubernetesTrust::AnyCertificate => accepting_any(clock),
        KubernetesTrust::System => trusting(system_roots::load(environment)?, clock),
        KubernetesTrust::Authorities(pem) => {
            trusting(x509::certificates(pem).map_err(|error| refused(&error))?, clock)
        }
    }?;
    let Some(ClientPem { certificates, key }) = client else { return Ok(builder.with_no_client_auth()) };
    let certificates = x509::certificates(&certificates).map_err(|error| refused(&error))?;
    let key =
        PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| refused(&"the client key is not PEM"))?;
    Ok(builder.with_client_auth_cert(certificates, key)?)
}

/// Returns the ALPN entry by which a proxy routes a connection to the auth server of `cluster`. It must come first.
fn auth_route(cluster: &str) -> String {
    format!("teleport-auth@{}.{CLUSTER_NAME}", hex(cluster))
}

/// Returns the name to verify the auth server's certificate against. If the hexadecimal cluster name is too long for a
/// DNS label (63 octets), this is the plain name, which the auth server's certificates contain as well.
pub(crate) fn auth_server_name(cluster: &str) -> Result<ServerName<'static>, TlsError> {
    let label = hex(cluster);
    let name = if label.len() > 63 { CLUSTER_NAME.to_owned() } else { format!("{label}.{CLUSTER_NAME}") };
    server_name(&name)
}

/// Returns the name in the certificate of every server of a cluster, to verify one whose cluster is unknown.
pub(super) fn cluster_server_name() -> Result<ServerName<'static>, TlsError> {
    server_name(CLUSTER_NAME)
}

/// Returns the name to verify a host's certificate against: a DNS name, or an IP address without brackets.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(host.to_owned()).map_err(|error| TlsError::Refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_auth_server_name_is_hexadecimal_unless_too_long() {
        let name = auth_server_name("lab.example").unwrap();
        assert_eq!(name.to_str(), "6c61622e6578616d706c65.teleport.cluster.local");
        let long = "a-cluster-whose-name-is-longer-than-31-octets.example";
        assert_eq!(auth_server_name(long).unwrap().to_str(), "teleport.cluster.local");
        assert!(auth_route(long).len() > 63, "the routing entry keeps the whole name");
    }
}
