//! The way to the cluster: TCP, through an HTTP proxy where HTTPS_PROXY says so, then TLS. One I/O edge.

use std::io;
use std::sync::Arc;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service as _;

use crate::agent::credential::identity::Identity;
use crate::agent::net::address::Address;
use crate::agent::net::tls::{self, Inner, TlsError};
use crate::agent::platform::options::{Clock, Environment};

/// A proxy in the environment that cannot be used. Found before anything is asked or joined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "HTTPS_PROXY or ALL_PROXY names a proxy of scheme {0}: only http:// proxies are supported; set one, or name the cluster's host in NO_PROXY"
)]
pub struct HttpProxyError(String);

/// Where the proxy is and how to get there. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Route {
    address: Address,
    through: Option<Arc<Intercept>>,
    insecure: bool,
    clock: Clock,
}

impl Route {
    /// HTTPS_PROXY (or ALL_PROXY) holds unless NO_PROXY names the host or the host is loopback, as for Go programs.
    pub(crate) fn new(
        address: Address,
        environment: &Environment,
        insecure: bool,
        clock: Clock,
    ) -> Result<Self, HttpProxyError> {
        let value = |names| environment.first_of(names).unwrap_or_default().to_owned();
        let matcher = Matcher::builder()
            .all(value(&["ALL_PROXY", "all_proxy"]))
            .https(value(&["HTTPS_PROXY", "https_proxy"]))
            .no(value(&["NO_PROXY", "no_proxy"]))
            .build();
        let destination = format!("https://{address}").parse::<Uri>().ok();
        let through = destination
            .filter(|_| !address.is_loopback())
            .and_then(|destination| matcher.intercept(&destination))
            .map(Arc::new);
        match through.as_ref().and_then(|intercept| intercept.uri().scheme_str()) {
            None | Some("http") => Ok(Self { address, through, insecure, clock }),
            Some(scheme) => Err(HttpProxyError(scheme.to_owned())),
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

    pub(crate) fn http_proxy(&self) -> Option<&Intercept> {
        self.through.as_deref()
    }

    /// The settings of a connection to auth as `identity`, good for any number of [`TlsRoute::open`].
    pub(crate) fn to_auth(&self, identity: &Identity, inner: Inner) -> Result<TlsRoute, TlsError> {
        Ok(TlsRoute {
            route: self.clone(),
            tls: Arc::new(tls::auth(identity, self.insecure, inner, &self.clock)?),
            name: tls::auth_server_name(identity.cluster())?,
            inner,
            other_end: "the auth server",
        })
    }

    /// The same for what the proxy itself serves by gRPC to those who have no certificate yet; `web` are the settings for
    /// its web pages.
    pub(crate) fn to_join_service(&self, web: &ClientConfig) -> Result<TlsRoute, TlsError> {
        Ok(TlsRoute {
            route: self.clone(),
            tls: Arc::new(tls::join_service(web)),
            name: tls::server_name(self.address.host())?,
            inner: Inner::Http2,
            other_end: "the proxy's join service",
        })
    }

    async fn tcp(&self) -> io::Result<TcpStream> {
        let Some(intercept) = &self.through else {
            return TcpStream::connect((self.address.host(), self.address.port())).await;
        };
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        let mut tunnel = Tunnel::new(intercept.uri().clone(), http);
        if let Some(authorization) = intercept.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let destination = format!("https://{}", self.address).parse().map_err(io::Error::other)?;
        let stream = tunnel
            .call(destination)
            .await
            .map_err(|error| io::Error::other(format!("the proxy of HTTPS_PROXY: {error}")))?;
        Ok(stream.into_inner())
    }
}

/// A way to auth as one identity, or to the proxy's join service as nobody.
#[derive(Clone)]
pub(crate) struct TlsRoute {
    route: Route,
    tls: Arc<ClientConfig>,
    name: rustls::pki_types::ServerName<'static>,
    inner: Inner,
    /// Who should be there.
    other_end: &'static str,
}

impl TlsRoute {
    pub(crate) async fn open(&self) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let tcp = self.route.tcp().await?;
        tcp.set_nodelay(true)?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(self.name.clone(), tcp).await?;
        let agreed = stream.get_ref().1.alpn_protocol();
        // Both name h2; auth names no protocol at all where HTTP/1.1 follows. Anything else answered for them.
        let expected = match self.inner {
            Inner::Http2 => agreed == Some(b"h2"),
            Inner::Http1 => agreed.is_none() || agreed == Some(b"http/1.1"),
        };
        if expected {
            Ok(TokioIo::new(stream))
        } else {
            Err(io::Error::other(format!(
                "the connection was not passed through to {}: does a load balancer end TLS before the Teleport proxy?",
                self.other_end
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxied(address: &str, variables: &[(&str, &str)]) -> Option<String> {
        let environment = variables.iter().copied().collect();
        let route = Route::new(address.parse().unwrap(), &environment, false, Clock::system()).unwrap();
        route.http_proxy().map(|intercept| intercept.uri().to_string())
    }

    #[test]
    fn the_environment_decides_about_an_http_proxy() {
        let proxy = ("HTTPS_PROXY", "http://proxy.example:3128");
        assert_eq!(proxied("a.example:443", &[]), None);
        assert_eq!(proxied("a.example:443", &[proxy]).as_deref(), Some("http://proxy.example:3128/"));
        assert_eq!(proxied("a.example:443", &[proxy, ("NO_PROXY", "a.example")]), None);
        assert_eq!(
            proxied("a.example:443", &[("ALL_PROXY", "http://all.example:1")]).as_deref(),
            Some("http://all.example:1/")
        );
        assert_eq!(proxied("127.0.0.1:443", &[proxy]), None, "loopback is never proxied");
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused() {
        let environment = [("HTTPS_PROXY", "https://user:hunter2@proxy.example")].into_iter().collect();
        let refused =
            Route::new("a.example".parse().unwrap(), &environment, false, Clock::system()).err().unwrap();
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
}
