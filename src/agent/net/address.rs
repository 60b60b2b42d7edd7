//! Parses addresses of the form `host:port`, and recognises URLs on loopback.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// The port that an address without a port means.
const DEFAULT_PROXY_PORT: u16 = 443;

/// A host (a name, or an IP address without brackets) and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

/// The string is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an address: write host:port, for example teleport.example.com:443")]
pub struct AddressError(String);

impl Address {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port }
    }

    /// Returns the host name or IP address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Accepts a leading scheme (`https://`), brackets around an IPv6 address, and a missing port (443).
impl FromStr for Address {
    type Err = AddressError;

    fn from_str(input: &str) -> Result<Self, AddressError> {
        let invalid = || AddressError(input.to_owned());
        let rest = ["tcp://", "http://", "https://"].iter().find_map(|scheme| input.strip_prefix(scheme));
        let rest = rest.unwrap_or(input).trim_end_matches('/');
        let parsed = Url::parse(&format!("tbot://{rest}")).map_err(|_| invalid())?;
        let has_only_host_and_port = parsed.username().is_empty()
            && parsed.password().is_none()
            && matches!(parsed.path(), "" | "/")
            && parsed.query().is_none()
            && parsed.fragment().is_none();
        let host = parsed
            .host_str()
            .filter(|host| has_only_host_and_port && !host.is_empty())
            .ok_or_else(invalid)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: parsed.port().unwrap_or(DEFAULT_PROXY_PORT) })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Returns true if the host of `url` is this machine: 127.0.0.0/8, `::1` or `localhost`.
#[must_use]
pub fn is_loopback_url(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_scheme_and_lack_a_port() {
        for (input, expected) in [
            ("teleport.example.com:3080", "teleport.example.com:3080"),
            ("teleport.example.com", "teleport.example.com:443"),
            ("https://teleport.example.com:443/", "teleport.example.com:443"),
            ("127.0.0.1:4080", "127.0.0.1:4080"),
            ("[::1]:3080", "[::1]:3080"),
        ] {
            assert_eq!(input.parse::<Address>().unwrap().to_string(), expected, "{input}");
        }
    }

    #[test]
    fn anything_but_a_host_and_a_port_is_refused() {
        for input in ["", ":443", "host:port", "user@host:1", "host/path", "host:1?x"] {
            assert!(input.parse::<Address>().is_err(), "{input}");
        }
    }
}
