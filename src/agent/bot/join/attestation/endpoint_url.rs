//! Decides which URLs the agent sends a token to, or accepts a token from. Pure.
//!
//! Credentials travel over https only. Metadata servers use plain http, so they must be on the machine's own link.
//! Plain http to loopback is always accepted. Errors are messages for the `problem` of an
//! [`AttestationError`](super::error::AttestationError).

use url::{Host, Url};

use crate::agent::net::loopback::is_loopback_url;

const NOT_A_URL: &str = "it is not a URL";

/// Parses a URL to which a credential may be sent.
pub(super) fn parse_credential_url(value: &str) -> Result<Url, &'static str> {
    let url = Url::parse(value).map_err(|_| NOT_A_URL)?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback_url(&url) => Ok(url),
        _ => Err("tokens are sent only over https, or over http to a loopback address"),
    }
}

/// Parses a container credential endpoint: any https URL, or an http URL on the machine's own link.
pub(super) fn parse_container_url(value: &str) -> Result<Url, &'static str> {
    let url = Url::parse(value).map_err(|_| NOT_A_URL)?;
    match url.scheme() {
        "https" => Ok(url),
        "http" => require_own_link(url),
        _ => Err("it is neither an http nor an https URL"),
    }
}

/// Returns the URL of `path` on a metadata server. `host` may include a port.
pub(super) fn metadata_url_from_host(host: &str, path: &str) -> Result<Url, &'static str> {
    let url = Url::parse(&format!("http://{host}{path}")).map_err(|_| "it is not a host")?;
    if url.path() != path || !has_only_host_and_path(&url) {
        return Err("expected a host with an optional port");
    }
    require_own_link(url)
}

/// Parses the base URL of a metadata server.
pub(super) fn parse_metadata_url(value: &str) -> Result<Url, &'static str> {
    let url = Url::parse(value).map_err(|_| NOT_A_URL)?;
    if url.scheme() != "http" || url.path() != "/" || !has_only_host_and_path(&url) {
        return Err("expected http:// and a host with an optional port");
    }
    require_own_link(url)
}

fn has_only_host_and_path(url: &Url) -> bool {
    url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none()
}

/// Returns `url` if requests to it do not leave the machine's own link.
fn require_own_link(url: Url) -> Result<Url, &'static str> {
    let is_on_own_link = match url.host() {
        Some(Host::Ipv4(address)) => address.is_link_local(),
        Some(Host::Ipv6(address)) => address.is_unicast_link_local() || address.is_unique_local(),
        Some(Host::Domain(name)) => name == "metadata.google.internal",
        None => false,
    };
    if is_on_own_link || is_loopback_url(&url) {
        Ok(url)
    } else {
        Err(
            "metadata servers use unencrypted http, so the host must be a link-local address, a loopback address or \
             metadata.google.internal",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_sent_over_https_or_to_loopback() {
        for valid in ["https://ci.example/token?a=b", "http://127.0.0.1:1/token", "http://[::1]:1/"] {
            assert!(parse_credential_url(valid).is_ok(), "{valid}");
        }
        for invalid in ["http://ci.example/token", "ftp://127.0.0.1/", "ci.example", ""] {
            assert!(parse_credential_url(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_metadata_server_must_be_on_the_machines_own_link() {
        for valid in [
            "169.254.169.254",
            "169.254.169.252:988",
            "metadata.google.internal",
            "127.0.0.1:8080",
            "[fd20:ce::254]",
        ] {
            let url = metadata_url_from_host(valid, "/a");
            assert_eq!(url.map(|url| url.path().to_owned()).as_deref(), Ok("/a"), "{valid}");
            assert!(parse_metadata_url(&format!("http://{valid}/")).is_ok(), "{valid}");
        }
        for invalid in
            ["10.0.0.1", "metadata.example", "127.0.0.1/x", "u@127.0.0.1", "127.0.0.1?", "127.0.0.1#", "a b"]
        {
            assert!(metadata_url_from_host(invalid, "/a").is_err(), "{invalid}");
            assert!(parse_metadata_url(&format!("http://{invalid}")).is_err(), "{invalid}");
        }
        for invalid in ["https://127.0.0.1", "127.0.0.1", "ftp://127.0.0.1", ""] {
            assert!(parse_metadata_url(invalid).is_err(), "{invalid}");
        }
    }
}
