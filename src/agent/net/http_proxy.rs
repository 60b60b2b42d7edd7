//! The HTTP proxy that the environment configures for a URL. A variable that cannot be used is an error: without it,
//! connections would silently bypass the proxy.

use std::fmt;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use url::Url;

use super::loopback::{host, is_loopback_url};
use super::no_proxy;
use crate::agent::platform::{Environment, Hint, NotUtf8};

/// The environment names an HTTP proxy that cannot be used. This is reported before the first request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpProxyError {
    /// A variable is not UTF-8.
    #[error(transparent)]
    NotUtf8(#[from] NotUtf8),
    /// A variable is not the address of a proxy. The value may contain a password, so it is not shown.
    #[error("environment variable {0} is not the address of an HTTP proxy")]
    Malformed(&'static str),
    /// The proxy's scheme is not `http`.
    #[error(
        "environment variable {variable} names a proxy with the scheme {scheme}, but only http is supported"
    )]
    Scheme {
        /// The variable.
        variable: &'static str,
        /// The scheme of the proxy.
        scheme: String,
    },
}

impl HttpProxyError {
    /// Returns advice for the operator.
    #[must_use]
    pub fn hint(&self) -> Hint {
        match self {
            Self::NotUtf8(error) => error.hint(),
            Self::Malformed(_) => Hint::new("set it to http://HOST:PORT, or unset it"),
            Self::Scheme { .. } => {
                Hint::new("use a proxy with an http:// address, or add the host of the server to NO_PROXY")
            }
        }
    }
}

/// An HTTP proxy. Displays its URL without its credentials, and the variable that names it.
#[derive(Clone)]
pub struct HttpProxy {
    intercept: Intercept,
    variable: &'static str,
}

impl HttpProxy {
    /// Returns the proxy for a URL, or `None` for a direct connection. As in Go programs, this is HTTPS_PROXY, unless NO_PROXY
    /// names the host or the host is loopback. Without HTTPS_PROXY, it is ALL_PROXY, which Go programs do not read.
    ///
    /// # Errors
    ///
    /// Returns an error if the variable that names the proxy is not UTF-8 or not the address of a proxy.
    pub fn for_url(url: &Url, environment: &Environment) -> Result<Option<Self>, HttpProxyError> {
        if is_loopback_url(url) {
            return Ok(None);
        }
        for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            let Some(value) = environment.get_utf8(variable)? else { continue };
            // A matcher would take the first `@` for the end of the password, and so a part of it for the host.
            let encoded = value.rsplit_once('@').map(|(user, host)| user.replace('@', "%40") + "@" + host);
            let value = encoded.as_deref().unwrap_or(value);
            let excluded = environment.first_of(&["NO_PROXY", "no_proxy"])?.unwrap_or_default();
            let Ok(uri) = url.as_str().parse::<Uri>() else { return Ok(None) };
            // A matcher ignores what it cannot parse.
            let intercept = Matcher::builder().all(value).build().intercept(&uri);
            let proxy = intercept.map(|intercept| Self { intercept, variable });
            let proxy = proxy.filter(Self::has_valid_host_and_port);
            let proxy = proxy.ok_or(HttpProxyError::Malformed(variable))?;
            return Ok(Some(proxy).filter(|_| !is_excluded(url, excluded)));
        }
        Ok(None)
    }

    fn has_valid_host_and_port(&self) -> bool {
        let authority = self.uri().authority().map_or("", |authority| authority.as_str());
        Url::parse(&format!("http://{authority}")).is_ok()
    }

    /// Returns the environment variable that names the proxy.
    pub(super) fn variable(&self) -> &'static str {
        self.variable
    }

    /// Returns the value of the header `Proxy-Authorization`.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.intercept.basic_auth()
    }

    /// Returns the proxy's URL, which contains no credentials.
    pub(super) fn uri(&self) -> &Uri {
        self.intercept.uri()
    }

    /// Returns the proxy's host, without the brackets of an IPv6 address.
    pub(super) fn host(&self) -> &str {
        self.uri().host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    /// Returns the proxy's port, which is 80 by default.
    pub(super) fn port(&self) -> u16 {
        self.uri().port_u16().unwrap_or(80)
    }
}

/// Returns true if `list`, the value of NO_PROXY, names the host of a URL.
fn is_excluded(url: &Url, list: &str) -> bool {
    let port = url.port_or_known_default().unwrap_or_default();
    host(url).is_some_and(|host| no_proxy::contains(list, host, port))
}

impl fmt::Display for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_user = self.intercept.basic_auth().is_some() || self.intercept.raw_auth().is_some();
        let user = if has_user { "...@" } else { "" };
        let scheme = self.uri().scheme_str().unwrap_or("http");
        let host = self.uri().authority().map_or("", |authority| authority.as_str());
        write!(f, "{scheme}://{user}{host} ({})", self.variable)
    }
}

/// Like [`fmt::Display`], because the fields contain a password.
impl fmt::Debug for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn proxy(variables: &[(&str, &str)]) -> Result<Option<String>, HttpProxyError> {
        let url = Url::parse("https://a.example").unwrap();
        let proxy = HttpProxy::for_url(&url, &variables.iter().copied().collect())?;
        Ok(proxy.map(|proxy| proxy.to_string()))
    }

    #[test]
    fn a_malformed_variable_is_an_error_that_names_it_and_hides_its_value() {
        for value in
            ["http//proxy:3128", "http://", "http://:3128", "http://proxy:99999", "://x", "ftp://x", "a b"]
        {
            for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
                let error = proxy(&[(variable, value)]).unwrap_err();
                assert_eq!(error, HttpProxyError::Malformed(variable), "{value}");
            }
        }
        let secret = proxy(&[("HTTPS_PROXY", "http//user:hunter2@proxy")]).unwrap_err();
        assert!(!secret.to_string().contains("hunter2"), "{secret}");
    }

    #[test]
    fn a_proxy_may_lack_scheme_and_port() {
        let accepted = |value| proxy(&[("HTTPS_PROXY", value)]).unwrap().unwrap();
        assert_eq!(accepted("proxy.example:3128"), "http://proxy.example:3128 (HTTPS_PROXY)");
        assert_eq!(accepted("http://proxy.example"), "http://proxy.example (HTTPS_PROXY)");
        assert_eq!(accepted("http://[::1]:3128"), "http://[::1]:3128 (HTTPS_PROXY)");
        assert_eq!(
            accepted("http://user:hunter2@proxy.example:1"),
            "http://...@proxy.example:1 (HTTPS_PROXY)"
        );
    }

    #[test]
    fn a_password_may_contain_an_at_sign() {
        let url = Url::parse("https://a.example").unwrap();
        for password in ["hunter@2", "hunter%402", "@hunter2@@"] {
            let value = format!("http://user:{password}@proxy.example:3128");
            let proxy =
                HttpProxy::for_url(&url, &[("HTTPS_PROXY", value)].into_iter().collect()).unwrap().unwrap();
            assert_eq!(proxy.to_string(), "http://...@proxy.example:3128 (HTTPS_PROXY)");
            let sent = STANDARD.encode(format!("user:{}", password.replace("%40", "@")));
            assert_eq!(proxy.authorization().unwrap().to_str().unwrap(), format!("Basic {sent}"));
        }
    }

    #[test]
    fn the_specific_variable_takes_precedence_and_no_proxy_excludes_hosts() {
        let all = ("ALL_PROXY", "http://all.example:1");
        assert_eq!(proxy(&[all]).unwrap().as_deref(), Some("http://all.example:1 (ALL_PROXY)"));
        let https = ("https_proxy", "http://https.example:1");
        assert_eq!(proxy(&[all, https]).unwrap().as_deref(), Some("http://https.example:1 (https_proxy)"));
        for excluded in ["a.example", "a.example:443", "*.example", "*"] {
            assert_eq!(proxy(&[https, ("NO_PROXY", excluded)]), Ok(None));
        }
        assert_eq!(proxy(&[]), Ok(None));
    }
}
