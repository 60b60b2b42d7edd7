//! The route to a server: TCP, through an HTTP proxy if HTTPS_PROXY names one, then TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

use super::connection_error::ConnectionError;
use super::http_proxy::{HttpProxy, HttpProxyError};
use super::http_tunnel;
use super::tls::{self, InnerAlpn, TlsError};
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
    TlsTerminated {
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
        let hint = match self {
            Self::Connect { source, .. } => {
                let check_proxy = "check that the proxy is up, and that this machine can connect to it";
                return source.hint().or_else(|| Some(Hint::new(check_proxy)));
            }
            Self::TlsTerminated { .. } => {
                "something in front of the proxy terminates TLS, such as a load balancer: let it pass TLS through, or set proxy_server to an address of the proxy itself"
            }
        };
        Some(Hint::new(hint))
    }
}

/// The address of a server and how to reach it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Route {
    address: Address,
    http_proxy: Option<Arc<HttpProxy>>,
    insecure: bool,
    clock: Clock,
}

impl Route {
    /// Returns the route to `address`, through the HTTP proxy that [`HttpProxy::for_url`] returns, if any.
    pub(crate) fn new(
        address: Address,
        environment: &Environment,
        insecure: bool,
        clock: Clock,
    ) -> Result<Self, HttpProxyError> {
        let url = Url::parse(&format!("https://{address}")).ok();
        let http_proxy = match url {
            Some(url) => HttpProxy::for_url(&url, environment)?.map(Arc::new),
            None => None,
        };
        match http_proxy.as_ref().and_then(|http_proxy| http_proxy.uri().scheme_str()) {
            None | Some("http") => Ok(Self { address, http_proxy, insecure, clock }),
            Some(scheme) => Err(HttpProxyError::Scheme(scheme.to_owned())),
        }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn insecure(&self) -> bool {
        self.insecure
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn http_proxy(&self) -> Option<&HttpProxy> {
        self.http_proxy.as_deref()
    }

    /// Returns the route to the auth server for connections as `identity`.
    pub(crate) fn to_auth(&self, identity: &Identity, alpn: InnerAlpn) -> Result<TlsRoute, TlsError> {
        Ok(TlsRoute {
            route: self.clone(),
            tls: Arc::new(tls::auth(identity, self.insecure, alpn, &self.clock)?),
            server_name: tls::auth_server_name(identity.cluster())?,
            alpn,
            peer: "the auth server",
        })
    }

    /// Returns the route to the join service, which the proxy serves over gRPC to clients without a certificate. `web`
    /// is the TLS configuration for its web API.
    pub(crate) fn to_join_service(&self, web: &ClientConfig) -> Result<TlsRoute, TlsError> {
        Ok(TlsRoute {
            route: self.clone(),
            tls: Arc::new(tls::join_service(web)),
            server_name: tls::server_name(self.address.host())?,
            alpn: InnerAlpn::Http2,
            peer: "the proxy's join service",
        })
    }

    /// Tests whether a connection through the proxy reaches the auth server of `cluster`, without an identity. Before a
    /// join, the cluster's CAs are unknown, so this checks only the name in the server's certificate.
    pub(crate) async fn test_to_auth(&self, cluster: &str) -> Result<(), AuthRouteError> {
        let failed = |source| AuthRouteError::Connect {
            cluster: cluster.to_owned(),
            proxy: self.address.clone(),
            source,
        };
        let refused = |error: TlsError| failed(ConnectionError::new(error));
        let tls = tls::auth_without_identity(cluster, &self.clock).map_err(refused)?;
        let server_name = tls::auth_server_name(cluster).map_err(refused)?;
        let connect = async {
            let tcp = self.connect_tcp().await?;
            TlsConnector::from(Arc::new(tls)).connect(server_name.clone(), tcp).await
        };
        let stream = tokio::time::timeout(TEST_TIMEOUT, connect)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| failed(ConnectionError::new(error)))?;
        let session = stream.get_ref().1;
        let is_auth_server = session.alpn_protocol() == Some(b"h2")
            && (self.insecure || tls::is_certificate_for(session.peer_certificates(), &server_name));
        if is_auth_server {
            return Ok(());
        }
        Err(AuthRouteError::TlsTerminated { cluster: cluster.to_owned(), proxy: self.address.clone() })
    }

    /// Opens a connection to the server. An error at the HTTP proxy contains an [`HttpTunnelError`].
    pub(super) async fn connect_tcp(&self) -> io::Result<TcpStream> {
        match &self.http_proxy {
            Some(http_proxy) => {
                http_tunnel::connect(http_proxy, &self.address).await.map_err(io::Error::other)
            }
            None => TcpStream::connect((self.address.host(), self.address.port())).await,
        }
    }
}

/// A route to the auth server as one identity, or to the proxy's join service without one.
#[derive(Clone)]
pub(crate) struct TlsRoute {
    route: Route,
    tls: Arc<ClientConfig>,
    server_name: rustls::pki_types::ServerName<'static>,
    alpn: InnerAlpn,
    /// The server that should respond, for error messages.
    peer: &'static str,
}

impl TlsRoute {
    /// Opens a new connection, and checks that the expected server responds.
    pub(crate) async fn open(&self) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let tcp = self.route.connect_tcp().await?;
        tcp.set_nodelay(true)?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(self.server_name.clone(), tcp).await?;
        let negotiated = stream.get_ref().1.alpn_protocol();
        // Both servers negotiate h2. For HTTP/1.1, the auth server negotiates nothing. With any other result, a
        // different server has responded.
        let is_expected = match self.alpn {
            InnerAlpn::Http2 => negotiated == Some(b"h2"),
            InnerAlpn::Http1 => negotiated.is_none() || negotiated == Some(b"http/1.1"),
        };
        if is_expected {
            Ok(TokioIo::new(stream))
        } else {
            Err(io::Error::other(format!(
                "the connection did not reach {}: does a load balancer terminate TLS in front of the Teleport proxy?",
                self.peer
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http_proxy_for(address: &str, variables: &[(&str, &str)]) -> Option<String> {
        let environment = variables.iter().copied().collect();
        let route = Route::new(address.parse().unwrap(), &environment, false, Clock::system()).unwrap();
        route.http_proxy().map(|http_proxy| http_proxy.uri().to_string())
    }

    #[test]
    fn the_environment_names_the_http_proxy() {
        let proxy = ("HTTPS_PROXY", "http://proxy.example:3128");
        assert_eq!(http_proxy_for("a.example:443", &[]), None);
        assert_eq!(http_proxy_for("a.example:443", &[proxy]).as_deref(), Some("http://proxy.example:3128/"));
        assert_eq!(http_proxy_for("a.example:443", &[proxy, ("NO_PROXY", "a.example")]), None);
        assert_eq!(
            http_proxy_for("a.example:443", &[("ALL_PROXY", "http://all.example:1")]).as_deref(),
            Some("http://all.example:1/")
        );
        assert_eq!(http_proxy_for("127.0.0.1:443", &[proxy]), None, "loopback is never proxied");
    }

    #[test]
    fn an_unsupported_proxy_is_refused_without_its_password() {
        let environment = [("HTTPS_PROXY", "https://user:hunter2@proxy.example")].into_iter().collect();
        let refused =
            Route::new("a.example".parse().unwrap(), &environment, false, Clock::system()).err().unwrap();
        assert_eq!(refused, HttpProxyError::Scheme("https".to_owned()));
    }
}
