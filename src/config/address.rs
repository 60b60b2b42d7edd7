//! Parses addresses: of a server to connect to, and to listen on. The checks and the agent use the same parsers. Depends
//! on nothing.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The port of a proxy whose address does not contain one.
const DEFAULT_PROXY_PORT: u16 = 443;

const HTTP_SCHEME: &str = "http://";

/// The address of a server: a host (a name, or an IP address without brackets) and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

/// An address to listen on, of the form `host:port` or `:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    host: Option<String>,
    port: u16,
}

/// Returns true if a host, which is a name or an IP address without brackets, is this machine: `localhost`, 127.0.0.0/8 or `::1`.
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
}

/// Why a string is not an address. Contains nothing of the string, which may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is nothing before the port.
    #[error("the address has no host")]
    NoHost,
    /// The host is neither a name nor an IP address.
    #[error("the host of the address is neither a name nor an IP address")]
    InvalidHost,
    /// An IPv6 address is not enclosed in brackets, so that its end cannot be told from a port.
    #[error("the address contains an IPv6 address without brackets")]
    NoBrackets,
    /// The port is missing, although it is required.
    #[error("the address has no port")]
    NoPort,
    /// The port is not a number from 1 to 65535.
    #[error("the address has an invalid port")]
    InvalidPort,
    /// There is a user name or a password before the host.
    #[error("the address contains a user name")]
    UserInformation,
    /// There is a path, a query or a fragment after the port, or an unknown scheme before the host.
    #[error("the address contains more than a host and a port")]
    MoreThanHostAndPort,
}

impl AddressError {
    /// Returns how to write the address of a server.
    pub(crate) const fn help_for_server(self) -> &'static str {
        match self {
            Self::NoBrackets => "write `[<IPv6 address>]:<port>`",
            Self::InvalidPort => "write `<host>:<port>`, with a port from 1 to 65535",
            _ => "write `<host>:<port>`, such as `teleport.example.com:443`",
        }
    }

    /// Returns how to write an address to listen on.
    pub(crate) const fn help_for_listener(self) -> &'static str {
        match self {
            Self::NoBrackets => "write `[<IPv6 address>]:<port>`",
            _ => "write `<ip>:<port>`, such as `127.0.0.1:3001`",
        }
    }
}

impl Address {
    /// Creates an address from its parts.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port }
    }

    /// Returns the host name or IP address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the TCP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns whether the port is one that proxies usually have.
    #[must_use]
    pub const fn has_proxy_port(&self) -> bool {
        matches!(self.port, 443 | 3080)
    }

    /// Returns what usually has this port if it is a default port of Teleport, but not that of a proxy's web UI.
    #[must_use]
    pub const fn usual_server(&self) -> Option<&'static str> {
        match self.port {
            3022 => Some("an SSH server"),
            3023 => Some("the proxy's SSH server"),
            3024 => Some("the proxy's reverse tunnels"),
            3025 => Some("the auth server"),
            3026 => Some("the proxy's Kubernetes server"),
            _ => None,
        }
    }

    /// Returns whether an address asks for a connection without TLS, which the agent never makes.
    pub(super) fn has_http_scheme(input: &str) -> bool {
        input.starts_with(HTTP_SCHEME)
    }

    /// Returns whether a valid address contains a port.
    pub(super) fn has_port(input: &str) -> bool {
        matches!(split(without_scheme(input)), Ok((_, Some(_))))
    }
}

/// Accepts a leading scheme (`https://`), brackets around an IPv6 address, and a missing port (443).
impl FromStr for Address {
    type Err = AddressError;

    fn from_str(input: &str) -> Result<Self, AddressError> {
        let (host, port) = split(without_scheme(input))?;
        let host = host.ok_or(AddressError::NoHost)?;
        match port.map_or(Ok(DEFAULT_PROXY_PORT), parse_port)? {
            0 => Err(AddressError::InvalidPort),
            port => Ok(Self::new(host, port)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_address(f, &self.host, self.port)
    }
}

impl ListenAddress {
    /// Returns how to write an address instead of `input`, which cannot be parsed.
    #[must_use]
    pub fn help_for(input: &str, error: AddressError) -> String {
        match input.parse::<u16>() {
            Ok(port) => format!("write `127.0.0.1:{port}`"),
            Err(_) => error.help_for_listener().to_owned(),
        }
    }

    /// Returns the host, without brackets. `None` means all addresses of the machine.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Sets the host, if there is none.
    pub(crate) fn or_host(self, host: &str) -> Self {
        Self { host: self.host.or_else(|| Some(host.to_owned())), ..self }
    }

    /// Returns the TCP port. The system chooses a free port in place of 0.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(input: &str) -> Result<Self, AddressError> {
        let (host, port) = split(input)?;
        let port = parse_port(port.ok_or(AddressError::NoPort)?)?;
        Ok(Self { host: host.map(str::to_owned), port })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_address(f, self.host.as_deref().unwrap_or_default(), self.port)
    }
}

fn fmt_address(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
}

fn without_scheme(input: &str) -> &str {
    let rest = ["tcp://", HTTP_SCHEME, "https://"].iter().find_map(|scheme| input.strip_prefix(scheme));
    rest.unwrap_or(input).trim_end_matches('/')
}

/// Splits an address into a valid host and what is written after the `:`. The host is `None` if it is empty.
fn split(input: &str) -> Result<(Option<&str>, Option<&str>), AddressError> {
    if input.contains('@') {
        return Err(AddressError::UserInformation);
    }
    if input.contains(['/', '?', '#']) {
        return Err(AddressError::MoreThanHostAndPort);
    }
    if input.parse::<Ipv6Addr>().is_ok() {
        return Err(AddressError::NoBrackets);
    }
    if let Some(rest) = input.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(AddressError::InvalidHost)?;
        host.parse::<Ipv6Addr>().map_err(|_| AddressError::InvalidHost)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((Some(host), Some(port))),
            None if rest.is_empty() => Ok((Some(host), None)),
            None => Err(AddressError::InvalidHost),
        };
    }
    let (host, port) = input.split_once(':').map_or((input, None), |(host, port)| (host, Some(port)));
    if host.is_empty() {
        return Ok((None, port));
    }
    if is_host(host) { Ok((Some(host), port)) } else { Err(AddressError::InvalidHost) }
}

fn parse_port(port: &str) -> Result<u16, AddressError> {
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|_| is_number).ok_or(AddressError::InvalidPort)
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    host.parse::<IpAddr>().is_ok()
        || host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_scheme_and_lack_a_port() {
        for (input, expected, has_port) in [
            ("teleport.example.com:3080", "teleport.example.com:3080", true),
            ("teleport.example.com", "teleport.example.com:443", false),
            ("https://teleport.example.com:443/", "teleport.example.com:443", true),
            ("https://teleport.example.com", "teleport.example.com:443", false),
            ("127.0.0.1:4080", "127.0.0.1:4080", true),
            ("[::1]:3080", "[::1]:3080", true),
            ("[::1]", "[::1]:443", false),
            ("my_host.:1", "my_host.:1", true),
        ] {
            assert_eq!(input.parse::<Address>().unwrap().to_string(), expected, "{input}");
            assert_eq!(Address::has_port(input), has_port, "{input}");
        }
    }

    #[test]
    fn anything_but_a_host_and_a_port_is_refused() {
        for (input, expected) in [
            ("", AddressError::NoHost),
            (":443", AddressError::NoHost),
            ("host:port", AddressError::InvalidPort),
            ("host:", AddressError::InvalidPort),
            ("host:0", AddressError::InvalidPort),
            ("host:+1", AddressError::InvalidPort),
            ("host:65536", AddressError::InvalidPort),
            ("user@host:1", AddressError::UserInformation),
            ("https://user:password@host:1", AddressError::UserInformation),
            ("host/path", AddressError::MoreThanHostAndPort),
            ("ftp://host", AddressError::MoreThanHostAndPort),
            ("host:1?x", AddressError::MoreThanHostAndPort),
            ("::1", AddressError::NoBrackets),
            ("[::1", AddressError::InvalidHost),
            ("[::1]443", AddressError::InvalidHost),
            ("[host]:443", AddressError::InvalidHost),
            ("${HOST}:443", AddressError::InvalidHost),
            ("a b:443", AddressError::InvalidHost),
            ("a..b:443", AddressError::InvalidHost),
        ] {
            assert_eq!(input.parse::<Address>(), Err(expected), "{input}");
        }
    }

    #[test]
    fn an_address_to_listen_on_has_a_port_and_may_lack_a_host() {
        for input in ["127.0.0.1:3001", ":3001", "localhost:0", "[::1]:3001"] {
            assert_eq!(input.parse::<ListenAddress>().unwrap().to_string(), input);
        }
        for (input, expected) in [
            ("3001", AddressError::NoPort),
            ("localhost", AddressError::NoPort),
            ("localhost:http", AddressError::InvalidPort),
            ("tcp://127.0.0.1:1", AddressError::MoreThanHostAndPort),
        ] {
            assert_eq!(input.parse::<ListenAddress>(), Err(expected), "{input}");
        }
    }
}
