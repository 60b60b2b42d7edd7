//! Selects the server of a connection by its ClientHello, because the proxy's web server, the proxy's join service and, behind
//! the proxy, the auth server all listen on one port. The auth server also has its own port. Knows nothing about requests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::authorities::{AUTH_NAME, Authorities};
use crate::clock::{Clock, TlsClock};
use crate::error::Error;
use crate::keys::hex;
use crate::tls_authority::{ServerKey, TlsAuthority};

/// The maximum length of a DNS label. The hex of a long cluster name exceeds it and cannot be used as a server name.
const MAX_LABEL_LEN: usize = 63;

/// The first ALPN entry of a connection to the proxy's own gRPC server.
const JOIN_PROTOCOL: &[u8] = b"teleport-proxy-grpc";

/// The first ALPN entry of a connection that opens a reverse tunnel. Agents test with it whether the proxy sees ALPN.
const REVERSE_TUNNEL_PROTOCOL: &[u8] = b"teleport-reversetunnel";

/// The first ALPN entry of a connection to the proxy's gRPC server for SSH.
const SSH_PROTOCOL: &[u8] = b"teleport-proxy-ssh-grpc";

/// The first ALPN entries of connections to databases and TCP applications.
const RESOURCE_PROTOCOLS: [&[u8]; 4] =
    [b"teleport-postgres", b"teleport-mysql", b"teleport-redis", b"teleport-tcp"];
/// The first ALPN entry of a connection to any other application.
const HTTP: &[u8] = b"http/1.1";

/// The server that a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The proxy's web server.
    Web,
    /// The proxy's server for reverse tunnels, which only ends the connection.
    ReverseTunnel,
    /// The proxy's forwarding to the database or TCP application in the client's certificate. Connections to other
    /// applications arrive at the web server.
    Resource,
    /// The proxy's gRPC server for SSH.
    Ssh,
    /// The proxy's gRPC server for joins, which requires no client certificate.
    Join,
    Auth,
    /// The auth server, for a client without a certificate that has connected to the server's own port.
    Anonymous,
}

/// The TLS configurations of all servers.
pub(crate) struct TlsConfigs {
    web: Arc<ServerConfig>,
    reverse_tunnel: Arc<ServerConfig>,
    resource: Arc<ServerConfig>,
    /// For clients inside an upgraded connection.
    upgraded_resource: Arc<ServerConfig>,
    ssh: Arc<ServerConfig>,
    join: Arc<ServerConfig>,
    /// For clients inside an upgraded connection, who cannot verify the web certificate.
    upgraded_join: Arc<ServerConfig>,
    auth_grpc: Arc<ServerConfig>,
    auth_rest: Arc<ServerConfig>,
    direct_grpc: Arc<ServerConfig>,
    direct_rest: Arc<ServerConfig>,
    /// The first ALPN entry of a connection to the auth server.
    auth_protocol: Vec<u8>,
}

/// The versions of TLS that servers accept.
pub type ProtocolVersions = &'static [&'static SupportedProtocolVersion];

impl TlsConfigs {
    pub(crate) fn new(
        cluster: &str,
        authorities: &Authorities,
        clock: &Clock,
        versions: ProtocolVersions,
    ) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let common = CommonSettings { provider, clock: clock.clone(), versions: rustls::DEFAULT_VERSIONS };
        let of_resources = CommonSettings { versions, ..common.clone() };
        let loopback = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let server_key = |ca: &TlsAuthority, dns, ips: &[IpAddr]| ca.server(clock(), dns, ips.to_vec());
        let web_key = || server_key(&authorities.web, vec!["localhost".into()], &loopback);

        let label = hex(cluster.as_bytes());
        let mut names = vec![AUTH_NAME.to_owned(), format!("*.{AUTH_NAME}")];
        if label.len() <= MAX_LABEL_LEN {
            names.push(format!("{label}.{AUTH_NAME}"));
        }
        let serving = authorities.host.serving.tls()?;
        let auth_key = || server_key(serving, names.clone(), &[]);

        let users = || authorities.user.trusted_tls().map(TlsAuthority::der).collect();
        let required = || Clients::WithCertificate(users());
        let optional = || Clients::WithOrWithoutCertificate(users());

        // The host CA certifies the proxy for the names of its web address as well.
        let mut proxy_names = names.clone();
        proxy_names.push("localhost".to_owned());
        let proxy_key = || server_key(serving, proxy_names.clone(), &loopback);

        // The web server also serves applications, whose clients have a certificate.
        let mut web = config(&common, optional(), web_key()?)?;
        web.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut join = config(&common, Clients::Any, web_key()?)?;
        join.alpn_protocols = vec![b"h2".to_vec()];
        let mut upgraded_join = config(&common, Clients::Any, auth_key()?)?;
        upgraded_join.alpn_protocols.clone_from(&join.alpn_protocols);
        let mut reverse_tunnel = config(&common, Clients::Any, web_key()?)?;
        reverse_tunnel.alpn_protocols = vec![REVERSE_TUNNEL_PROTOCOL.to_vec()];
        let mut resource = config(&of_resources, required(), web_key()?)?;
        resource.alpn_protocols = RESOURCE_PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
        let mut upgraded_resource = config(&of_resources, required(), proxy_key()?)?;
        upgraded_resource.alpn_protocols.clone_from(&resource.alpn_protocols);
        upgraded_resource.alpn_protocols.push(HTTP.to_vec());
        // As observed, no protocol is negotiated here.
        let ssh = config(&common, required(), proxy_key()?)?;
        let mut grpc = config(&common, required(), auth_key()?)?;
        grpc.alpn_protocols = vec![b"h2".to_vec()];
        // The auth server supports only `h2`; with a client that does not offer it, no protocol is negotiated.
        let rest = config(&common, required(), auth_key()?)?;
        let direct = || config(&common, optional(), auth_key()?);
        let mut direct_grpc = direct()?;
        direct_grpc.alpn_protocols.clone_from(&grpc.alpn_protocols);
        let direct_rest = direct()?;
        Ok(Self {
            web: Arc::new(web),
            reverse_tunnel: Arc::new(reverse_tunnel),
            resource: Arc::new(resource),
            upgraded_resource: Arc::new(upgraded_resource),
            ssh: Arc::new(ssh),
            join: Arc::new(join),
            upgraded_join: Arc::new(upgraded_join),
            auth_grpc: Arc::new(grpc),
            auth_rest: Arc::new(rest),
            direct_grpc: Arc::new(direct_grpc),
            direct_rest: Arc::new(direct_rest),
            auth_protocol: format!("teleport-auth@{label}.{AUTH_NAME}").into_bytes(),
        })
    }

    /// Returns the server for a connection, or `None` if the client asks for another cluster's auth server.
    pub(crate) fn select(
        &self,
        hello: &ClientHello<'_>,
        is_upgraded: bool,
        serves_ssh: bool,
    ) -> Option<(Backend, Arc<ServerConfig>)> {
        let offered: Vec<&[u8]> = hello.alpn().into_iter().flatten().collect();
        match offered.first() {
            Some(first) if *first == self.auth_protocol => {
                let config =
                    if offered.contains(&b"h2".as_slice()) { &self.auth_grpc } else { &self.auth_rest };
                Some((Backend::Auth, config.clone()))
            }
            Some(first) if first.starts_with(b"teleport-auth@") => None,
            Some(first) if *first == JOIN_PROTOCOL => {
                let config = if is_upgraded { &self.upgraded_join } else { &self.join };
                Some((Backend::Join, config.clone()))
            }
            Some(first) if serves_ssh && *first == SSH_PROTOCOL => Some((Backend::Ssh, self.ssh.clone())),
            Some(first) if *first == REVERSE_TUNNEL_PROTOCOL => {
                Some((Backend::ReverseTunnel, self.reverse_tunnel.clone()))
            }
            Some(first) if is_upgraded && *first == HTTP => {
                Some((Backend::Resource, self.upgraded_resource.clone()))
            }
            Some(first) if RESOURCE_PROTOCOLS.contains(first) => {
                let config = if is_upgraded { &self.upgraded_resource } else { &self.resource };
                Some((Backend::Resource, config.clone()))
            }
            _ => Some((Backend::Web, self.web.clone())),
        }
    }

    /// Returns the configuration for a connection to the proxy's port for SSH.
    pub(crate) fn ssh(&self) -> Arc<ServerConfig> {
        self.ssh.clone()
    }

    /// Returns the configuration for a connection to the auth server's own port.
    pub(crate) fn direct(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let offers_grpc = hello.alpn().into_iter().flatten().any(|protocol| protocol == b"h2");
        if offers_grpc { self.direct_grpc.clone() } else { self.direct_rest.clone() }
    }
}

/// The clients that a server accepts.
enum Clients {
    Any,
    /// Clients with a certificate of one of these authorities.
    WithCertificate(Vec<CertificateDer<'static>>),
    /// Clients without a certificate, and those with one of one of these authorities.
    WithOrWithoutCertificate(Vec<CertificateDer<'static>>),
}

/// The settings of several servers.
#[derive(Clone)]
struct CommonSettings {
    provider: Arc<CryptoProvider>,
    clock: Clock,
    versions: ProtocolVersions,
}

/// Returns the TLS configuration of a server.
fn config(
    CommonSettings { provider, clock, versions }: &CommonSettings,
    clients: Clients,
    server: ServerKey,
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_details(provider.clone(), Arc::new(TlsClock(clock.clone())))
        .with_protocol_versions(versions)?;
    let verifier = |authorities: Vec<CertificateDer<'static>>| {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority)?;
        }
        Ok::<_, Error>(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()))
    };
    let builder = match clients {
        Clients::Any => builder.with_no_client_auth(),
        Clients::WithCertificate(authorities) => {
            builder.with_client_cert_verifier(verifier(authorities)?.build()?)
        }
        Clients::WithOrWithoutCertificate(authorities) => {
            builder.with_client_cert_verifier(verifier(authorities)?.allow_unauthenticated().build()?)
        }
    };
    let mut config = builder.with_single_cert(vec![server.certificate], server.key)?;
    // A resumed session is not verified again, so a certificate would be accepted after its expiry.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
