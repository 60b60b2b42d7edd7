//! Chooses the endpoint that receives the event, and the proxy to reach it. Pure: neither resolves names nor opens sockets.

use std::fmt;

use tbot::agent::internal::{HttpProxy, is_loopback_url};
use tbot::agent::{Environment, Hint, HttpProxyError, NotUtf8};
use tbot::event::internal::Transport;
use url::{Position, Url};

/// The URL to send the event to, and the proxy to use.
#[derive(Clone)]
pub(crate) struct TelemetryEndpoint {
    url: Url,
    proxy: Option<HttpProxy>,
}

/// Why an address cannot be used. Names the variable but never the address, any part of which may be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndpointError {
    #[error(transparent)]
    NotUtf8(#[from] NotUtf8),
    #[error(transparent)]
    HttpProxy(#[from] HttpProxyError),
    #[error("{0} is not a URL")]
    NotUrl(String),
    #[error("{0} is neither an https URL nor an http URL of this machine")]
    NotSecure(String),
    #[error("{0} contains a user name or password, which would add a header to the request")]
    UserInfo(String),
}

impl EndpointError {
    /// Returns advice for the user.
    pub(crate) fn hint(&self) -> Hint {
        match self {
            Self::NotUtf8(error) => error.hint(),
            Self::HttpProxy(error) => error.hint(),
            Self::NotUrl(_) | Self::NotSecure(_) => "set it to https://HOST, or unset it".into(),
            Self::UserInfo(_) => "remove it from the URL".into(),
        }
    }
}

impl TelemetryEndpoint {
    /// Returns the endpoint that the environment variable names, or the declared one if that is unset.
    pub(crate) fn choose(transport: &Transport, environment: &Environment) -> Result<Self, EndpointError> {
        let variable = transport.endpoint_variable.as_str();
        let address = environment.get_utf8(variable)?.unwrap_or(&transport.endpoint);
        let mut url = Url::parse(address).map_err(|_| EndpointError::NotUrl(variable.to_owned()))?;
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback_url(&url)) {
            return Err(EndpointError::NotSecure(variable.to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::UserInfo(variable.to_owned()));
        }
        let path = format!("{}{}", url.path().trim_end_matches('/'), transport.path);
        url.set_path(&path);
        url.set_fragment(None);
        let proxy = HttpProxy::for_url(&url, environment)?;
        Ok(Self { url, proxy })
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// The value of the `Host` header.
    pub(crate) fn host(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// The HTTP proxy to use.
    pub(crate) const fn proxy(&self) -> Option<&HttpProxy> {
        self.proxy.as_ref()
    }
}

/// Displays the URL without its query, which may contain secrets: `https://example.com/path?...`.
impl fmt::Display for TelemetryEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url[..Position::AfterPath])?;
        f.write_str(if self.url.query().is_some() { "?..." } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tbot::event::internal::Rules;

    const ADDRESS: &str = "TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS";
    const PATH: &str = "/prehog.v1alpha.TbotReportingService/SubmitTbotEvent";

    fn choose(variables: &[(&str, &str)]) -> Result<TelemetryEndpoint, EndpointError> {
        let rules = Rules::embedded().unwrap();
        TelemetryEndpoint::choose(&rules.transport, &variables.iter().copied().collect())
    }

    fn rejected(address: &str) -> EndpointError {
        choose(&[(ADDRESS, address)]).err().unwrap()
    }

    #[test]
    fn an_address_replaces_the_default_unless_it_is_empty() {
        let default = format!("https://reporting-tbot.teleportinfra.sh{PATH}");
        assert_eq!(choose(&[]).unwrap().to_string(), default);
        assert_eq!(choose(&[(ADDRESS, "")]).unwrap().to_string(), default);
        for (address, url) in [
            ("https://other.example", "https://other.example"),
            ("https://other.example/", "https://other.example"),
            ("https://other.example/base/#x", "https://other.example/base"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("http://127.8.8.8:9999", "http://127.8.8.8:9999"),
            ("http://[::1]:9999", "http://[::1]:9999"),
            ("http://LOCALHOST:9999", "http://localhost:9999"),
        ] {
            assert_eq!(choose(&[(ADDRESS, address)]).unwrap().to_string(), format!("{url}{PATH}"));
        }
    }

    #[test]
    fn a_malformed_proxy_is_an_error_that_names_the_variable() {
        let malformed = choose(&[("HTTPS_PROXY", "http//proxy:3128")]).err().unwrap();
        assert_eq!(malformed, EndpointError::HttpProxy(HttpProxyError::Malformed("HTTPS_PROXY")));
        assert!(choose(&[("HTTPS_PROXY", "x//y"), (ADDRESS, "http://127.0.0.1:80")]).is_ok());
    }

    #[test]
    fn only_this_machine_may_be_reached_without_tls() {
        for address in [
            "http://other.example",
            "http://localhost.other.example",
            "http://10.0.0.1",
            "http://[::2]",
            "ftp://127.0.0.1",
            "file:///tmp/x",
            "data:,x",
        ] {
            assert_eq!(rejected(address), EndpointError::NotSecure(ADDRESS.to_owned()), "{address}");
        }
        for address in ["other.example", "//other.example", "https://", "https://a b"] {
            assert_eq!(rejected(address), EndpointError::NotUrl(ADDRESS.to_owned()), "{address}");
        }
    }

    #[test]
    fn secrets_in_an_address_are_not_shown() {
        for user in ["user:hunter2", "hunter2", ":hunter2"] {
            let user = rejected(&format!("https://{user}@other.example"));
            assert_eq!(user, EndpointError::UserInfo(ADDRESS.to_owned()));
            assert!(!user.to_string().contains("hunter2"), "{user}");
        }
        let query = choose(&[(ADDRESS, "https://other.example/?key=hunter2")]).unwrap();
        assert_eq!(query.to_string(), format!("https://other.example{PATH}?..."));
        assert_eq!(query.url().query(), Some("key=hunter2"), "the query is still sent");
    }

    #[test]
    fn the_host_header_omits_the_default_port() {
        let host = |address| choose(&[(ADDRESS, address)]).unwrap().host().to_owned();
        assert_eq!(host("https://other.example:443"), "other.example");
        assert_eq!(host("https://other.example:8443"), "other.example:8443");
    }

    #[test]
    fn the_proxy_comes_from_the_environment() {
        let proxy = |variables: &[(&str, &str)]| choose(variables).unwrap().proxy().map(HttpProxy::to_string);
        let https = ("HTTPS_PROXY", "http://user:hunter2@proxy.example:3128");
        assert_eq!(proxy(&[]), None);
        assert_eq!(proxy(&[https]).as_deref(), Some("http://...@proxy.example:3128 (HTTPS_PROXY)"));
        assert_eq!(proxy(&[https, ("NO_PROXY", "teleportinfra.sh")]), None);
        assert_eq!(proxy(&[https, (ADDRESS, "http://127.0.0.1:1")]), None, "never for this machine");
        assert_eq!(
            proxy(&[("all_proxy", "proxy.example:1")]).as_deref(),
            Some("http://proxy.example:1 (all_proxy)")
        );
        assert_eq!(
            proxy(&[("HTTP_PROXY", "http://proxy.example:1")]),
            None,
            "HTTP_PROXY applies only to http"
        );
    }
}
