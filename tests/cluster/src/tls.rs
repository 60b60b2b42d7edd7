//! One port, two servers: the ClientHello decides between the proxy's web server and the auth server behind it.
//! Depends on rustls; knows no request. Sources: protocol facts, sections 4.1, 4.2 and 9.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use crate::ca::{AUTH_NAME, Authorities, ServerKey, TlsAuthority};
use crate::clock::{Clock, TlsClock};
use crate::error::Error;
use crate::keys::hex;

/// A DNS label cannot be longer, so the hex of a long cluster name is no server name.
const MAX_LABEL: usize = 63;

/// What the first ALPN entry is for the proxy's own gRPC.
const JOIN_PROTOCOL: &[u8] = b"teleport-proxy-grpc";

/// Which server a connection asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Web,
    /// What the proxy itself serves by gRPC, to everybody.
    Join,
    Auth,
}

/// The TLS of both servers.
pub(crate) struct Tls {
    web: Arc<ServerConfig>,
    join: Arc<ServerConfig>,
    grpc: Arc<ServerConfig>,
    rest: Arc<ServerConfig>,
    /// What the first ALPN entry must be to reach auth.
    auth_protocol: Vec<u8>,
}

impl Tls {
    pub(crate) fn new(cluster: &str, authorities: &Authorities, clock: &Clock) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let loopback = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let server_key = |ca: &TlsAuthority, dns, ips: &[IpAddr]| ca.server(clock(), dns, ips.to_vec());
        let web_key = || server_key(&authorities.web, vec!["localhost".into()], &loopback);

        let label = hex(cluster.as_bytes());
        let mut names = vec![AUTH_NAME.to_owned(), format!("*.{AUTH_NAME}")];
        if label.len() <= MAX_LABEL {
            names.push(format!("{label}.{AUTH_NAME}"));
        }
        let serving = authorities.host.serving.tls.as_ref();
        let serving = serving.ok_or(Error::Crypto("find the host authority's TLS key"))?;
        let auth_key = || server_key(serving, names.clone(), &[]);

        let clients = || Some(authorities.user.trusted_tls().map(TlsAuthority::der).collect());

        let mut web = config(&provider, clock, None, web_key()?)?;
        web.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut join = config(&provider, clock, None, web_key()?)?;
        join.alpn_protocols = vec![b"h2".to_vec()];
        let mut grpc = config(&provider, clock, clients(), auth_key()?)?;
        grpc.alpn_protocols = vec![b"h2".to_vec()];
        // Auth knows only `h2`; towards a client that does not offer it, it pretends to know no ALPN at all.
        let rest = config(&provider, clock, clients(), auth_key()?)?;
        Ok(Self {
            web: Arc::new(web),
            join: Arc::new(join),
            grpc: Arc::new(grpc),
            rest: Arc::new(rest),
            auth_protocol: format!("teleport-auth@{label}.{AUTH_NAME}").into_bytes(),
        })
    }

    /// The server for a connection, or none when it names the auth server of another cluster.
    pub(crate) fn route(&self, hello: &ClientHello<'_>) -> Option<(Route, Arc<ServerConfig>)> {
        let offered: Vec<&[u8]> = hello.alpn().into_iter().flatten().collect();
        match offered.first() {
            Some(first) if *first == self.auth_protocol => {
                let config = if offered.contains(&b"h2".as_slice()) { &self.grpc } else { &self.rest };
                Some((Route::Auth, config.clone()))
            }
            Some(first) if first.starts_with(b"teleport-auth@") => None,
            Some(first) if *first == JOIN_PROTOCOL => Some((Route::Join, self.join.clone())),
            _ => Some((Route::Web, self.web.clone())),
        }
    }
}

/// A server's TLS; with `clients`, a client certificate of one of these authorities is required.
fn config(
    provider: &Arc<CryptoProvider>,
    clock: &Clock,
    clients: Option<Vec<CertificateDer<'static>>>,
    server: ServerKey,
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_details(provider.clone(), Arc::new(TlsClock(clock.clone())))
        .with_safe_default_protocol_versions()?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                roots.add(authority)?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(vec![server.certificate], server.key)?;
    // A resumed session is not verified again, so a certificate that has expired meanwhile would go on working.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
