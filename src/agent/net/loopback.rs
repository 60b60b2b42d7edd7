//! Recognises URLs of this machine.

use url::Url;

use crate::config::is_loopback_host;

/// Returns true if the host of `url` is this machine: 127.0.0.0/8, `::1` or `localhost`.
#[must_use]
pub fn is_loopback_url(url: &Url) -> bool {
    host(url).is_some_and(is_loopback_host)
}

/// Returns the host of a URL, without the brackets of an IPv6 address.
pub(super) fn host(url: &Url) -> Option<&str> {
    let host = url.host_str()?;
    Some(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
}
