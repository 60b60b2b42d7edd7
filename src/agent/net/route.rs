//! The route to a server: TCP, through an HTTP proxy if HTTPS_PROXY names one.

use std::io;
use std::sync::Arc;

use url::Url;

use super::byte_stream::BoxedByteStream;
use super::http_proxy::{HttpProxy, HttpProxyError};
use super::http_tunnel;
use super::resolver;
use crate::agent::platform::{Clock, Environment};
use crate::config::Address;

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
        if let Some(proxy) = &http_proxy
            && let Some(scheme) = proxy.uri().scheme_str().filter(|scheme| *scheme != "http")
        {
            return Err(HttpProxyError::Scheme { variable: proxy.variable(), scheme: scheme.to_owned() });
        }
        Ok(Self { address, http_proxy, insecure, clock })
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

    /// Opens a connection to the server. An error at the HTTP proxy contains an [`HttpTunnelError`].
    pub(super) async fn connect_tcp(&self) -> io::Result<BoxedByteStream> {
        match &self.http_proxy {
            Some(http_proxy) => {
                http_tunnel::connect(http_proxy, &self.address).await.map_err(io::Error::other)
            }
            None => Ok(Box::new(resolver::connect(self.address.host(), self.address.port()).await?)),
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
        assert_eq!(refused, HttpProxyError::Scheme { variable: "HTTPS_PROXY", scheme: "https".to_owned() });
    }
}
