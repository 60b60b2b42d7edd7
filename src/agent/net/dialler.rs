//! Opens TLS connections to the auth server and the join service of a cluster: through a proxy's web port, where the proxy routes
//! them by the first entry of the ALPN list, or directly to an auth server, which serves both. Through a proxy, also to applications
//! and databases, which the proxy selects by the client's certificate.
//!
//! A connection reaches the server directly or through an HTTP proxy (see [`route`](super::route)). If something in front of a
//! Teleport proxy terminates TLS, which removes the ALPN list, the connection is made inside another one (see
//! [`connection_upgrade`](super::connection_upgrade)).

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::auth_route_error::AuthRouteError;
use super::byte_stream::BoxedByteStream;
use super::connection_error::{ConnectionError, UnexpectedServer};
use super::connection_upgrade::{self, UpgradeError, UpgradeProtocol};
use super::known_protocol::{Attempt, KnownProtocol, Protocol};
use super::known_server::{KnownServer, ServerKind};
use super::route::Route;
use super::tls::{self, AuthRoute, AuthTrust, InnerAlpn, TlsError};
use super::web::{HttpError, WebClient};
use crate::agent::credential::identity::Identity;
use crate::agent::platform::lock::lock;
use crate::agent::platform::{Clock, Environment};
use crate::config::Address;

/// The timeout of a connection for a client.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);
/// The timeout of a connection that only tests the route.
const TEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Opens connections to one server. Cheap to clone; clones share what was found out about it.
#[derive(Clone)]
pub(crate) struct Dialler {
    web: WebClient,
    known: Arc<KnownProtocol>,
    server: Arc<Mutex<KnownServer>>,
}

impl Dialler {
    /// Returns a dialler for a proxy. Without `needs_upgrade`, it tests whether connections need the upgrade.
    pub(crate) fn new(
        route: &Route,
        environment: &Environment,
        needs_upgrade: Option<bool>,
    ) -> Result<Self, HttpError> {
        let dialler = Self::without_roots(route, environment, needs_upgrade);
        dialler.web.tls()?;
        Ok(dialler)
    }

    /// Returns a dialler for a proxy that reads the root certificates only when a connection needs them.
    pub(crate) fn without_roots(
        route: &Route,
        environment: &Environment,
        needs_upgrade: Option<bool>,
    ) -> Self {
        Self::with_kind(ServerKind::Proxy, route, environment, needs_upgrade)
    }

    /// Returns a dialler for an auth server or a proxy. Until [`set_kind`](Self::set_kind) is called, the port decides which of
    /// them it is.
    pub(crate) fn for_either_kind(
        route: &Route,
        environment: &Environment,
        needs_upgrade: Option<bool>,
    ) -> Self {
        Self::with_kind(ServerKind::at(route.address()), route, environment, needs_upgrade)
    }

    fn with_kind(
        kind: ServerKind,
        route: &Route,
        environment: &Environment,
        needs_upgrade: Option<bool>,
    ) -> Self {
        Self {
            web: WebClient::new(route, environment),
            known: Arc::new(KnownProtocol::new(needs_upgrade)),
            server: Arc::new(Mutex::new(KnownServer { kind, trust_before_join: None })),
        }
    }

    fn server(&self) -> MutexGuard<'_, KnownServer> {
        lock(&self.server)
    }

    pub(crate) fn kind(&self) -> ServerKind {
        self.server().kind
    }

    pub(crate) fn set_kind(&self, kind: ServerKind) {
        self.server().kind = kind;
    }

    /// Sets how an auth server is verified from now on, before the bot has an identity.
    pub(crate) fn set_trust_before_join(&self, trust: AuthTrust) {
        self.server().trust_before_join = Some(trust);
    }

    /// Returns the client for the proxy's web API, which never needs the connection upgrade.
    pub(crate) fn web(&self) -> &WebClient {
        &self.web
    }

    /// Returns the address of the server.
    pub(crate) fn address(&self) -> &Address {
        self.route().address()
    }

    /// Returns how the auth server is reached, for error messages.
    pub(crate) fn describe_route(&self) -> String {
        match self.kind() {
            ServerKind::Proxy => format!("through the proxy {}", self.address()),
            ServerKind::Auth => format!("at {}", self.address()),
        }
    }

    pub(crate) fn route(&self) -> &Route {
        self.web.route()
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.route().clock()
    }

    /// Returns the target of connections to the auth server as `identity`.
    pub(crate) fn to_auth(&self, identity: &Identity) -> Result<DialTarget, TlsError> {
        let kind = self.kind();
        let route = match kind {
            ServerKind::Proxy => AuthRoute::Proxy(identity.cluster()),
            ServerKind::Auth => AuthRoute::Direct,
        };
        let tls = Arc::new(tls::auth(identity, route, self.route().insecure(), self.clock())?);
        Ok(DialTarget {
            dialler: self.clone(),
            kind,
            tls_if_upgraded: Arc::clone(&tls),
            tls,
            server_name: tls::auth_server_name(identity.cluster())?,
            negotiated: InnerAlpn::Http2.into(),
            peer: "the auth server",
        })
    }

    /// Returns the target of connections to the join service, which a proxy or an auth server serves over gRPC to clients without
    /// a certificate.
    pub(crate) fn to_join_service(&self) -> Result<DialTarget, HttpError> {
        if self.kind() == ServerKind::Auth {
            return Ok(self.to_auth_before_join(InnerAlpn::Http2)?);
        }
        let route = self.route();
        Ok(DialTarget {
            dialler: self.clone(),
            kind: ServerKind::Proxy,
            tls: Arc::new(tls::join_service(&*self.web.tls()?)),
            tls_if_upgraded: Arc::new(tls::upgraded_join_service(route.insecure(), route.clock())?),
            server_name: tls::server_name(route.address().host())?,
            negotiated: Negotiated::Http2,
            peer: "the proxy's join service",
        })
    }

    /// Returns the target of direct connections to the auth server without an identity.
    pub(crate) fn to_auth_before_join(&self, alpn: InnerAlpn) -> Result<DialTarget, TlsError> {
        let trust = self.server().trust_before_join.clone();
        // Without a decision, no certificate is trusted.
        let trust = trust.unwrap_or(AuthTrust::Authorities(Vec::new()));
        self.direct(tls::auth_before_join(&trust, alpn, self.clock())?, alpn)
    }

    /// Returns the target of connections that find out whether the server is an auth server, and whose response cannot be
    /// trusted.
    pub(crate) fn to_unverified_auth(&self) -> Result<DialTarget, TlsError> {
        self.direct(tls::unverified_auth(self.clock())?, InnerAlpn::Http2)
    }

    fn direct(&self, tls: ClientConfig, alpn: InnerAlpn) -> Result<DialTarget, TlsError> {
        let tls = Arc::new(tls);
        Ok(DialTarget {
            dialler: self.clone(),
            kind: ServerKind::Auth,
            tls_if_upgraded: Arc::clone(&tls),
            tls,
            server_name: tls::cluster_server_name()?,
            negotiated: alpn.into(),
            peer: "an auth server",
        })
    }

    /// Returns the target of connections to the application or database that the certificate of `identity` gives access to.
    /// `protocol` is the only entry of the ALPN list. The server must be a proxy.
    pub(crate) fn to_resource(
        &self,
        identity: &Identity,
        protocol: &'static str,
    ) -> Result<DialTarget, HttpError> {
        let route = self.route();
        Ok(DialTarget {
            dialler: self.clone(),
            kind: ServerKind::Proxy,
            tls: Arc::new(tls::resource(&*self.web.tls()?, identity, protocol)?),
            tls_if_upgraded: Arc::new(tls::upgraded_resource(
                identity,
                route.insecure(),
                protocol,
                route.clock(),
            )?),
            server_name: tls::server_name(route.address().host())?,
            negotiated: Negotiated::Exactly(protocol),
            peer: "the proxy",
        })
    }

    /// Returns the target of connections to the proxy's service for SSH as `identity`. Without `tls_routing`, the dialler's
    /// address must be that of the proxy's SSH port.
    pub(crate) fn to_ssh_service(
        &self,
        identity: &Identity,
        tls_routing: bool,
    ) -> Result<DialTarget, TlsError> {
        let tls = Arc::new(tls::ssh_service(identity, tls_routing, self.route().insecure(), self.clock())?);
        Ok(DialTarget {
            dialler: self.clone(),
            kind: ServerKind::Proxy,
            tls_if_upgraded: Arc::clone(&tls),
            tls,
            server_name: tls::server_name(self.address().host())?,
            negotiated: Negotiated::Anything,
            peer: "the proxy",
        })
    }

    /// Tests whether a connection reaches the auth server of `cluster`, without an identity. The CAs of a cluster behind a proxy
    /// are unknown before a join, so this checks only the name in the server's certificate.
    pub(crate) async fn test_to_auth(&self, cluster: &str) -> Result<(), AuthRouteError> {
        match self.kind() {
            ServerKind::Proxy => self.test_through_proxy(cluster).await,
            ServerKind::Auth => self.test_directly(cluster).await,
        }
    }

    async fn test_directly(&self, cluster: &str) -> Result<(), AuthRouteError> {
        let connect =
            async { self.to_auth_before_join(InnerAlpn::Http2).map_err(io::Error::other)?.open().await };
        let tested = tokio::time::timeout(TEST_TIMEOUT, connect).await;
        let tested = tested.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        tested.map(drop).map_err(|error| AuthRouteError::Connect {
            cluster: cluster.to_owned(),
            route: self.describe_route(),
            source: ConnectionError::new(error),
        })
    }

    async fn test_through_proxy(&self, cluster: &str) -> Result<(), AuthRouteError> {
        let failed = |source| AuthRouteError::Connect {
            cluster: cluster.to_owned(),
            route: self.describe_route(),
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
        Err(AuthRouteError::OtherServer { cluster: cluster.to_owned(), route: self.describe_route() })
    }

    /// Returns a connection to the proxy's TLS routing, on which a TLS handshake can begin, and whether it was upgraded.
    async fn connect(&self) -> io::Result<(BoxedByteStream, bool)> {
        let protocol = match self.known.get() {
            Some(protocol) => protocol,
            // If the test says nothing, the connection itself will fail as well, and say why.
            None => self.test_protocol().await?.unwrap_or(Protocol::Direct),
        };
        let (stream, protocol): (BoxedByteStream, _) = match protocol {
            Protocol::Direct => (self.route().connect_tcp().await?, protocol),
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

    /// Returns `None` if the test says nothing.
    async fn test_protocol(&self) -> io::Result<Option<Protocol>> {
        let is_required = match self.known.needs_upgrade {
            Some(is_required) => Some(is_required),
            None => connection_upgrade::is_required(self.route()).await?,
        };
        let protocol = |is_required| match is_required {
            true => Protocol::Upgraded(UpgradeProtocol::WebSocket),
            false => Protocol::Direct,
        };
        Ok(is_required.map(protocol))
    }

    /// Returns whether connections to a proxy need the upgrade, for programs that connect to it.
    ///
    /// # Errors
    ///
    /// Returns an error if this cannot be tested.
    pub(crate) async fn needs_upgrade_at(&self, proxy: &Address) -> io::Result<bool> {
        let test = async {
            if self.kind() == ServerKind::Proxy && proxy == self.address() {
                return match self.known.get() {
                    Some(protocol) => Ok(Some(protocol)),
                    None => self.test_protocol().await,
                };
            }
            let web = self.web.at(proxy).map_err(io::Error::other)?;
            let known = Arc::new(KnownProtocol::new(web.needs_upgrade()));
            Self { web, known, server: Arc::clone(&self.server) }.test_protocol().await
        };
        let tested = tokio::time::timeout(TEST_TIMEOUT, test).await;
        let protocol = tested.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        let failed = || io::Error::other("the TLS handshake of the test failed");
        protocol.map(|protocol| protocol != Protocol::Direct).ok_or_else(failed)
    }

    async fn upgrade(&self, protocol: UpgradeProtocol) -> io::Result<BoxedByteStream> {
        let tls = self.web.tls().map_err(io::Error::other)?;
        connection_upgrade::connect(self.route(), &tls, protocol).await
    }
}

/// Returns true if the server does not know the protocol of the upgrade that it was asked for.
fn is_unknown_protocol(error: &io::Error) -> bool {
    let upgrade = error.get_ref().and_then(|error| error.downcast_ref::<UpgradeError>());
    upgrade.is_some_and(UpgradeError::is_unknown_protocol)
}

/// The protocol that the expected server negotiates.
#[derive(Clone, Copy)]
enum Negotiated {
    Http2,
    /// The auth server negotiates nothing if HTTP/1.1 is offered.
    Http1,
    Exactly(&'static str),
    /// Old proxies negotiate nothing. Their certificate shows that they are the expected server.
    Anything,
}

impl From<InnerAlpn> for Negotiated {
    fn from(alpn: InnerAlpn) -> Self {
        match alpn {
            InnerAlpn::Http2 => Self::Http2,
            InnerAlpn::Http1 => Self::Http1,
        }
    }
}

/// The server that connections are for: the auth server, an application or a database as one identity, or the join service
/// without one.
#[derive(Clone)]
pub(crate) struct DialTarget {
    dialler: Dialler,
    /// The server that connections begin with.
    kind: ServerKind,
    tls: Arc<ClientConfig>,
    tls_if_upgraded: Arc<ClientConfig>,
    server_name: ServerName<'static>,
    negotiated: Negotiated,
    /// The server that should respond, for error messages.
    peer: &'static str,
}

impl DialTarget {
    pub(crate) fn dialler(&self) -> &Dialler {
        &self.dialler
    }

    /// Returns the target of HTTP/1.1 connections to the same auth server as the same identity. `self` must come from
    /// [`Dialler::to_auth`].
    pub(crate) fn auth_over_http1(&self) -> Self {
        let tls = Arc::new(tls::auth_over_http1(&self.tls));
        Self { tls_if_upgraded: Arc::clone(&tls), tls, negotiated: InnerAlpn::Http1.into(), ..self.clone() }
    }

    /// Opens a new connection, and checks that the expected server responds.
    pub(crate) async fn open(&self) -> io::Result<TokioIo<TlsStream<BoxedByteStream>>> {
        // After a failure, the next connection tests again whether TLS is terminated on the way.
        let attempt = Attempt::new(&self.dialler.known);
        let stream = self.try_open().await?;
        attempt.succeed();
        Ok(TokioIo::new(stream))
    }

    /// Like [`open`](Self::open), but with a timeout.
    pub(crate) async fn open_in_time(&self) -> io::Result<TokioIo<TlsStream<BoxedByteStream>>> {
        let opened = tokio::time::timeout(OPEN_TIMEOUT, self.open()).await;
        opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn try_open(&self) -> io::Result<TlsStream<BoxedByteStream>> {
        let (transport, is_upgraded): (BoxedByteStream, _) = match self.kind {
            ServerKind::Proxy => self.dialler.connect().await?,
            ServerKind::Auth => (self.dialler.route().connect_tcp().await?, false),
        };
        let tls = if is_upgraded { &self.tls_if_upgraded } else { &self.tls };
        let stream = TlsConnector::from(Arc::clone(tls)).connect(self.server_name.clone(), transport).await?;
        let negotiated = stream.get_ref().1.alpn_protocol();
        // With any other result, a different server has responded.
        let is_expected = match self.negotiated {
            Negotiated::Http2 => negotiated == Some(b"h2"),
            Negotiated::Http1 => negotiated.is_none() || negotiated == Some(b"http/1.1"),
            Negotiated::Exactly(protocol) => negotiated == Some(protocol.as_bytes()),
            Negotiated::Anything => true,
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
    async fn the_protocol_is_tested_again_after_a_cancelled_attempt() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = target(&listener.local_addr().unwrap().to_string());
        let known = &target.dialler.known;
        known.set(Protocol::Direct);
        tokio::select! {
            biased;
            _ = target.open() => panic!("the server never responds"),
            accepted = listener.accept() => accepted.map(drop).unwrap(),
        }
        assert!(known.get().is_none());
    }
}
