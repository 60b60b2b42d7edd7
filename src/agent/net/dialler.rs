//! Opens TLS connections to the servers behind a Teleport proxy's web port: the auth server and the join service. The proxy
//! routes them by the first entry of the ALPN list.
//!
//! A connection reaches the proxy directly or through an HTTP proxy (see [`route`](super::route)). If something in front of the
//! proxy terminates TLS, which removes the ALPN list, the connection is made inside another one (see
//! [`connection_upgrade`](super::connection_upgrade)).

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::byte_stream::BoxedByteStream;
use super::connection_error::{ConnectionError, UnexpectedServer};
use super::connection_upgrade::{self, UpgradeError, UpgradeProtocol};
use super::route::Route;
use super::tls::{self, InnerAlpn, TlsError};
use super::web::{WebClient, WebError};
use crate::agent::credential::identity::Identity;
use crate::agent::platform::{Clock, Environment, Hint};
use crate::config::Address;

/// The timeout of a connection that only tests the route.
const TEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The bot could not use an identity, because a connection through the proxy does not reach the auth server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthRouteError {
    /// The connection failed.
    #[error("cannot connect to the auth server of {cluster} through the proxy {proxy}")]
    Connect {
        /// The name of the cluster.
        cluster: String,
        /// The address of the proxy.
        proxy: Address,
        /// Why the connection failed.
        source: ConnectionError,
    },
    /// Another server responded.
    #[error("a connection through the proxy {proxy} does not reach the auth server of {cluster}")]
    OtherServer {
        /// The name of the cluster.
        cluster: String,
        /// The address of the proxy.
        proxy: Address,
    },
}

impl AuthRouteError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Connect { source, .. } => {
                let check_proxy = "check that the proxy is up, and that this machine can connect to it";
                source.hint().or_else(|| Some(Hint::new(check_proxy)))
            }
            Self::OtherServer { .. } => Some(UnexpectedServer::HINT),
        }
    }
}

/// Opens connections to one Teleport proxy. Cheap to clone; clones share the protocol that was found to work.
#[derive(Clone)]
pub(crate) struct Dialler {
    web: WebClient,
    known: Arc<KnownProtocol>,
}

/// The protocol by which connections reach the proxy's TLS routing, once it is known.
struct KnownProtocol {
    /// Whether connections need the upgrade, if the environment says so.
    needs_upgrade: Option<bool>,
    tested: Mutex<TestResult>,
}

#[derive(Default)]
struct TestResult {
    /// `None` until the first connection, and after a connection that failed.
    protocol: Option<Protocol>,
    /// Whether the log says that connections are upgraded.
    is_logged: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Direct,
    Upgraded(UpgradeProtocol),
}

impl KnownProtocol {
    fn tested(&self) -> MutexGuard<'_, TestResult> {
        self.tested.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, protocol: Protocol) {
        let mut tested = self.tested();
        tested.protocol = Some(protocol);
        if matches!(protocol, Protocol::Upgraded(_)) && !tested.is_logged {
            tested.is_logged = true;
            tracing::info!(
                "TLS is terminated in front of the proxy, so connections to the cluster use the connection upgrade"
            );
        }
    }

    fn forget(&self) {
        self.tested().protocol = None;
    }
}

/// Forgets what is known about the protocol, unless the connection is reported to have succeeded. Also if the attempt is given up,
/// as with a timeout: the caller then drops the future.
struct Attempt<'a> {
    known: &'a KnownProtocol,
    has_succeeded: bool,
}

impl<'a> Attempt<'a> {
    fn new(known: &'a KnownProtocol) -> Self {
        Self { known, has_succeeded: false }
    }

    fn succeed(mut self) {
        self.has_succeeded = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.has_succeeded {
            self.known.forget();
        }
    }
}

impl Dialler {
    /// Returns a dialler. Without `needs_upgrade`, it tests whether connections need the upgrade.
    pub(crate) fn new(
        route: &Route,
        environment: &Environment,
        needs_upgrade: Option<bool>,
    ) -> Result<Self, WebError> {
        let known = KnownProtocol { needs_upgrade, tested: Mutex::default() };
        Ok(Self { web: WebClient::new(route, environment)?, known: Arc::new(known) })
    }

    /// Returns the client for the proxy's web API, which never needs the connection upgrade.
    pub(crate) fn web(&self) -> &WebClient {
        &self.web
    }

    /// Returns the address of the proxy.
    pub(crate) fn address(&self) -> &Address {
        self.route().address()
    }

    pub(crate) fn route(&self) -> &Route {
        self.web.route()
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.route().clock()
    }

    /// Returns the target of connections to the auth server as `identity`.
    pub(crate) fn to_auth(&self, identity: &Identity, alpn: InnerAlpn) -> Result<DialTarget, TlsError> {
        let tls = Arc::new(tls::auth(identity, self.route().insecure(), alpn, self.clock())?);
        Ok(DialTarget {
            dialler: self.clone(),
            tls_if_upgraded: Arc::clone(&tls),
            tls,
            server_name: tls::auth_server_name(identity.cluster())?,
            alpn,
            peer: "the auth server",
        })
    }

    /// Returns the target of connections to the join service, which the proxy serves over gRPC to clients without a
    /// certificate.
    pub(crate) fn to_join_service(&self) -> Result<DialTarget, TlsError> {
        let route = self.route();
        Ok(DialTarget {
            dialler: self.clone(),
            tls: Arc::new(tls::join_service(&self.web.tls())),
            tls_if_upgraded: Arc::new(tls::upgraded_join_service(route.insecure(), route.clock())?),
            server_name: tls::server_name(route.address().host())?,
            alpn: InnerAlpn::Http2,
            peer: "the proxy's join service",
        })
    }

    /// Tests whether a connection through the proxy reaches the auth server of `cluster`, without an identity. Before a
    /// join, the cluster's CAs are unknown, so this checks only the name in the server's certificate.
    pub(crate) async fn test_to_auth(&self, cluster: &str) -> Result<(), AuthRouteError> {
        let failed = |source| AuthRouteError::Connect {
            cluster: cluster.to_owned(),
            proxy: self.address().clone(),
            source,
        };
        let refused = |error: TlsError| failed(ConnectionError::new(error));
        let tls = Arc::new(tls::auth_without_identity(cluster, self.clock()).map_err(refused)?);
        let server_name = tls::auth_server_name(cluster).map_err(refused)?;
        let connect = async {
            let (transport, _) = self.connect().await?;
            TlsConnector::from(tls).connect(server_name.clone(), transport).await
        };
        let attempt = Attempt::new(&self.known);
        let stream = tokio::time::timeout(TEST_TIMEOUT, connect)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| failed(ConnectionError::new(error)))?;
        let session = stream.get_ref().1;
        let is_auth_server = session.alpn_protocol() == Some(b"h2")
            && (self.route().insecure()
                || tls::is_certificate_for(session.peer_certificates(), &server_name));
        if is_auth_server {
            attempt.succeed();
            return Ok(());
        }
        Err(AuthRouteError::OtherServer { cluster: cluster.to_owned(), proxy: self.address().clone() })
    }

    /// Returns a connection to the proxy's TLS routing, on which a TLS handshake can begin, and whether it was upgraded.
    async fn connect(&self) -> io::Result<(BoxedByteStream, bool)> {
        let protocol = self.known.tested().protocol;
        let protocol = match protocol {
            Some(protocol) => protocol,
            None => self.test_protocol().await?,
        };
        let (stream, protocol): (BoxedByteStream, _) = match protocol {
            Protocol::Direct => (Box::new(self.route().connect_tcp().await?), protocol),
            Protocol::Upgraded(upgrade) => match self.upgrade(upgrade).await {
                // Servers before 15.1 know only the older protocol. This is not known before the attempt.
                Err(error) if upgrade == UpgradeProtocol::WebSocket && is_unknown_protocol(&error) => {
                    let older = UpgradeProtocol::Alpn;
                    (self.upgrade(older).await?, Protocol::Upgraded(older))
                }
                upgraded => (upgraded?, protocol),
            },
        };
        self.known.set(protocol);
        Ok((stream, protocol != Protocol::Direct))
    }

    async fn test_protocol(&self) -> io::Result<Protocol> {
        let is_required = match self.known.needs_upgrade {
            Some(is_required) => is_required,
            None => connection_upgrade::is_required(self.route()).await?,
        };
        Ok(if is_required { Protocol::Upgraded(UpgradeProtocol::WebSocket) } else { Protocol::Direct })
    }

    async fn upgrade(&self, protocol: UpgradeProtocol) -> io::Result<BoxedByteStream> {
        connection_upgrade::connect(self.route(), &self.web.tls(), protocol).await
    }
}

/// Returns true if the server does not know the protocol of the upgrade that it was asked for.
fn is_unknown_protocol(error: &io::Error) -> bool {
    let upgrade = error.get_ref().and_then(|error| error.downcast_ref::<UpgradeError>());
    upgrade.is_some_and(UpgradeError::is_unknown_protocol)
}

/// The server that connections are for: the auth server as one identity, or the proxy's join service without one.
#[derive(Clone)]
pub(crate) struct DialTarget {
    dialler: Dialler,
    tls: Arc<ClientConfig>,
    tls_if_upgraded: Arc<ClientConfig>,
    server_name: ServerName<'static>,
    alpn: InnerAlpn,
    /// The server that should respond, for error messages.
    peer: &'static str,
}

impl DialTarget {
    /// Opens a new connection, and checks that the expected server responds.
    pub(crate) async fn open(&self) -> io::Result<TokioIo<TlsStream<BoxedByteStream>>> {
        // After a failure, the next connection tests again whether TLS is terminated on the way.
        let attempt = Attempt::new(&self.dialler.known);
        let stream = self.try_open().await?;
        attempt.succeed();
        Ok(TokioIo::new(stream))
    }

    async fn try_open(&self) -> io::Result<TlsStream<BoxedByteStream>> {
        let (transport, is_upgraded) = self.dialler.connect().await?;
        let tls = if is_upgraded { &self.tls_if_upgraded } else { &self.tls };
        let stream = TlsConnector::from(Arc::clone(tls)).connect(self.server_name.clone(), transport).await?;
        let negotiated = stream.get_ref().1.alpn_protocol();
        // Both servers negotiate h2. For HTTP/1.1, the auth server negotiates nothing. With any other result, a
        // different server has responded.
        let is_expected = match self.alpn {
            InnerAlpn::Http2 => negotiated == Some(b"h2"),
            InnerAlpn::Http1 => negotiated.is_none() || negotiated == Some(b"http/1.1"),
        };
        if is_expected { Ok(stream) } else { Err(io::Error::other(UnexpectedServer(self.peer))) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Returns the target of the join service behind this address.
    fn target(address: &str) -> DialTarget {
        let environment = Environment::default();
        let route = Route::new(address.parse().unwrap(), &environment, true, Clock::system()).unwrap();
        Dialler::new(&route, &environment, None).unwrap().to_join_service().unwrap()
    }

    #[tokio::test]
    async fn the_way_is_tested_again_after_an_attempt_that_was_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = target(&listener.local_addr().unwrap().to_string());
        let known = &target.dialler.known;
        known.set(Protocol::Direct);
        tokio::select! {
            biased;
            _ = target.open() => panic!("the server never responds"),
            accepted = listener.accept() => accepted.map(drop).unwrap(),
        }
        assert!(known.tested().protocol.is_none());
    }
}
