//! The HTTP proxy that the environment configures for a URL.

use std::fmt;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use url::Url;

use super::address::is_loopback_url;
use crate::agent::platform::{Environment, NotUtf8};

/// An HTTP proxy. Displays its URL without its credentials.
#[derive(Clone)]
pub struct HttpProxy(Intercept);

impl HttpProxy {
    /// Returns the proxy for a URL, or `None` for a direct connection. As in Go programs, this is HTTPS_PROXY (or
    /// ALL_PROXY), unless NO_PROXY names the host or the host is loopback.
    ///
    /// # Errors
    ///
    /// Returns an error if one of these variables is not UTF-8.
    pub fn for_url(url: &Url, environment: &Environment) -> Result<Option<Self>, NotUtf8> {
        if is_loopback_url(url) {
            return Ok(None);
        }
        let first_set = |names: &[&str]| Ok(environment.first_of(names)?.unwrap_or_default().to_owned());
        let matcher = Matcher::builder()
            .all(first_set(&["ALL_PROXY", "all_proxy"])?)
            .https(first_set(&["HTTPS_PROXY", "https_proxy"])?)
            .no(first_set(&["NO_PROXY", "no_proxy"])?)
            .build();
        Ok(url.as_str().parse::<Uri>().ok().and_then(|uri| matcher.intercept(&uri)).map(Self))
    }

    pub(super) fn intercept(&self) -> &Intercept {
        &self.0
    }

    /// Returns the proxy's URL, which contains no credentials.
    pub(super) fn uri(&self) -> &Uri {
        self.0.uri()
    }
}

impl fmt::Display for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_user = self.0.basic_auth().is_some() || self.0.raw_auth().is_some();
        let user = if has_user { "...@" } else { "" };
        let scheme = self.uri().scheme_str().unwrap_or("http");
        let host = self.uri().authority().map_or("", |authority| authority.as_str());
        write!(f, "{scheme}://{user}{host}")
    }
}
