//! Builds TLS configurations: with the web PKI for the proxy's web API, with the cluster's CAs for the auth API.
//!
//! Opens no socket. Reads root certificates from the files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, or from the
//! system's store.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::{WantsClientCert, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_native_certs::{CertificateResult, load_certs_from_paths};

use super::certificate_verifier::{AnyCertificateVerifier, TrustedCertificateVerifier};
use crate::agent::credential::identity::Identity;
use crate::agent::credential::x509;
use crate::agent::platform::hex::hex;
use crate::agent::platform::{Clock, Environment, Hint};

/// TLS cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// No usable root certificate was found.
    #[error("no trusted root certificate found in {searched}{}", problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default())]
    NoRoots {
        /// Where the agent searched for root certificates.
        searched: &'static str,
        /// The first error from reading them, if any.
        problem: Option<String>,
    },
    /// rustls refused the certificates, the key, the server's name or its own defaults.
    #[error("cannot set up TLS: {0}")]
    Refused(String),
}

impl TlsError {
    /// Returns what the operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::NoRoots { .. } => {
                Some(Hint::new("install the system's CA certificates, or set SSL_CERT_FILE"))
            }
            Self::Refused(_) => None,
        }
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
    let builder = builder(clock)?;
    if insecure {
        let verifier = Arc::new(AnyCertificateVerifier(provider()));
        return Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth());
    }
    Ok(trusting(builder, system_certificates(environment)?)?.with_no_client_auth())
}

/// Lets a configuration accept the certificates that one of `trusted` issued, and `trusted` themselves.
fn trusting(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    trusted: Vec<CertificateDer<'static>>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let verifier = TrustedCertificateVerifier::new(trusted, provider())
        .map_err(|error| TlsError::Refused(error.to_string()))?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)))
}

/// Returns a configuration that trusts no certificate, for requests in clear text.
///
/// # Errors
///
/// Returns an error if rustls refuses its own defaults.
pub fn without_roots(clock: &Clock) -> Result<ClientConfig, TlsError> {
    Ok(builder(clock)?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// Returns the configuration for the auth API as `identity`: the identity's CAs are the only roots, and only the leaf
/// certificate is sent, because the auth server refuses intermediates.
pub(crate) fn auth(
    identity: &Identity,
    insecure: bool,
    alpn: InnerAlpn,
    clock: &Clock,
) -> Result<ClientConfig, TlsError> {
    let builder = builder(clock)?;
    let builder = if insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificateVerifier(provider())))
    } else {
        let mut roots = RootCertStore::empty();
        for ca in &identity.certs.tls_cas {
            let parsed = x509::certificates(ca).map_err(|error| TlsError::Refused(error.to_string()))?;
            roots.add_parsable_certificates(parsed);
        }
        builder.with_root_certificates(roots)
    };
    let mut config =
        builder.with_client_auth_cert(vec![identity.user.der.clone()], identity.key.private_der())?;
    let alpn = match alpn {
        InnerAlpn::Http1 => b"http/1.1".to_vec(),
        InnerAlpn::Http2 => b"h2".to_vec(),
    };
    config.alpn_protocols = vec![auth_route(identity.cluster()).into_bytes(), alpn];
    Ok(config)
}

/// Returns the configuration for a connection to the auth server of `cluster` that only tests the route: it accepts any
/// certificate and presents none.
pub(super) fn auth_without_identity(cluster: &str, clock: &Clock) -> Result<ClientConfig, TlsError> {
    let verifier = Arc::new(AnyCertificateVerifier(provider()));
    let mut config =
        builder(clock)?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![auth_route(cluster).into_bytes(), b"h2".to_vec()];
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

/// The root certificates to verify a Kubernetes API server with.
pub(crate) enum Trust {
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
    trust: &Trust,
    client: Option<ClientPem>,
    clock: &Clock,
) -> Result<ClientConfig, TlsError> {
    let refused = |error: &dyn std::fmt::Display| TlsError::Refused(error.to_string());
    let builder = builder(clock)?;
    let builder = match trust {
        Trust::AnyCertificate => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificateVerifier(provider())))
        }
        Trust::System => trusting(builder, system_certificates(environment)?)?,
        Trust::Authorities(pem) => {
            trusting(builder, x509::certificates(pem).map_err(|error| refused(&error))?)?
        }
    };
    let Some(ClientPem { certificates, key }) = client else { return Ok(builder.with_no_client_auth()) };
    let certificates = x509::certificates(&certificates).map_err(|error| refused(&error))?;
    let key =
        PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| refused(&"the client key is not PEM"))?;
    Ok(builder.with_client_auth_cert(certificates, key)?)
}

/// Returns the ALPN entry by which a proxy routes a connection to the auth server of `cluster`. It must come first.
fn auth_route(cluster: &str) -> String {
    format!("teleport-auth@{}.teleport.cluster.local", hex(cluster))
}

/// Returns the name to verify the auth server's certificate against. If the hexadecimal cluster name is too long for a
/// DNS label (63 octets), this is the plain name, which the auth server's certificates contain as well.
pub(crate) fn auth_server_name(cluster: &str) -> Result<ServerName<'static>, TlsError> {
    let label = hex(cluster);
    let name = if label.len() > 63 {
        "teleport.cluster.local".to_owned()
    } else {
        format!("{label}.teleport.cluster.local")
    };
    server_name(&name)
}

/// Returns the name to verify a host's certificate against: a DNS name, or an IP address without brackets.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(host.to_owned()).map_err(|error| TlsError::Refused(error.to_string()))
}

/// Returns the certificates that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, or those of the system's store.
fn system_certificates(environment: &Environment) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = environment.get("SSL_CERT_FILE");
    let directories = environment.get("SSL_CERT_DIR");
    // Reading a named pipe could block forever.
    if let Some(file) = file.map(Path::new)
        && file.exists()
        && !file.is_file()
    {
        let problem = Some(format!("{} is not a regular file", file.display()));
        return Err(TlsError::NoRoots { searched: "SSL_CERT_FILE", problem });
    }
    let (loaded, searched) = if file.is_none() && directories.is_none() {
        (load_system_store(), "the system's store")
    } else {
        let mut all = CertificateResult::default();
        let directories =
            directories.into_iter().flat_map(|list| list.split(':')).map(|directory| (None, Some(directory)));
        for (file, directory) in file.map(|file| (Some(file), None)).into_iter().chain(directories) {
            let one = load_certs_from_paths(file.map(Path::new), directory.map(Path::new));
            all.certs.extend(one.certs);
            all.errors.extend(one.errors);
        }
        (all, "SSL_CERT_FILE and SSL_CERT_DIR")
    };
    if loaded.certs.is_empty() {
        let problem = loaded.errors.first().map(ToString::to_string);
        return Err(TlsError::NoRoots { searched, problem });
    }
    Ok(loaded.certs)
}

/// Loads the certificates of the system's store.
///
/// `load_native_certs` would read `SSL_CERT_FILE` and `SSL_CERT_DIR` of the process, even if the caller passed another
/// environment. So this loads the paths that it would search without them.
#[cfg(not(target_os = "macos"))]
fn load_system_store() -> CertificateResult {
    const FILES: [&str; 7] = [
        "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Gentoo
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL, CentOS; must precede the next one
        "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora
        "/etc/ssl/ca-bundle.pem",             // openSUSE
        "/etc/pki/tls/cacert.pem",            // OpenELEC
        "/etc/ssl/cert.pem",                  // Alpine, BSD
        "/opt/etc/ssl/certs/ca-certificates.crt", // Entware
    ];
    const DIRECTORIES: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];
    let file = FILES.iter().map(Path::new).find(|file| file.exists());
    let mut all = load_certs_from_paths(file, None);
    for directory in DIRECTORIES.iter().map(Path::new).filter(|directory| directory.exists()) {
        let one = load_certs_from_paths(None, Some(directory));
        all.certs.extend(one.certs);
        all.errors.extend(one.errors);
    }
    all
}

#[cfg(target_os = "macos")]
#[expect(clippy::disallowed_methods, reason = "nothing else reads the keychain")]
fn load_system_store() -> CertificateResult {
    rustls_native_certs::load_native_certs()
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

    #[test]
    fn missing_roots_are_an_error_unless_insecure() {
        let environment = [("SSL_CERT_FILE", "/nonexistent/roots.pem")].into_iter().collect();
        let refused = web(&environment, false, &Clock::system()).unwrap_err();
        assert!(matches!(refused, TlsError::NoRoots { searched: "SSL_CERT_FILE and SSL_CERT_DIR", .. }));
        assert!(web(&environment, true, &Clock::system()).is_ok(), "insecure needs no roots");
    }

    #[test]
    fn roots_are_not_read_from_a_pipe() {
        let root = tempfile::tempdir().unwrap();
        let pipe = root.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        let environment = [("SSL_CERT_FILE", &pipe)].into_iter().collect();
        let refused = web(&environment, false, &Clock::system()).unwrap_err();
        assert!(matches!(refused, TlsError::NoRoots { searched: "SSL_CERT_FILE", .. }), "{refused}");
    }
}
