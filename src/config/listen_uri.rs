//! Parses the `listen` of a service: a TCP address or a Unix socket. The checks and the agent use the same parser. Depends on
//! addresses.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::address::{AddressError, ListenAddress, is_loopback_host};

/// The host of an address that contains none, because a client may act as the bot.
const DEFAULT_HOST: &str = "127.0.0.1";

/// The longest path of a socket, in bytes. On Linux, `sun_path` has one more for the zero at its end.
const MAX_SOCKET_PATH: usize = 107;

/// Where a service listens for local programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenUri {
    /// `tcp://host:port`, or `//host:port`.
    Tcp(ListenAddress),
    /// `unix:///path`, or `unix:/path`.
    Unix(PathBuf),
}

/// Why a string is not a [`ListenUri`]. Contains nothing of the string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListenUriError {
    /// The scheme is missing, or not one of the two.
    #[error("the address to listen on begins neither with `tcp://` nor with `unix://`")]
    Scheme,
    /// The TCP address cannot be parsed.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The path of the socket is not absolute, or not UTF-8.
    #[error("the path of the Unix socket is not absolute")]
    Path,
    /// The path of the socket is that of a directory.
    #[error("the path of the Unix socket has no name at its end")]
    NoName,
    /// The system does not accept a path of this length.
    #[error("the path of the Unix socket has more than {MAX_SOCKET_PATH} bytes")]
    TooLong,
    /// There is a query or a fragment after the path of the socket.
    #[error("the address of the Unix socket contains more than a path")]
    MoreThanPath,
}

impl ListenUriError {
    /// Returns how to write the address.
    pub(crate) const fn help(self) -> &'static str {
        match self {
            Self::Address(AddressError::NoBrackets) => "write `tcp://[<IPv6 address>]:<port>`",
            Self::Path | Self::MoreThanPath => "write `unix:///<path>`",
            Self::NoName => "write the name of the socket: `unix:///<directory>/<name>.sock`",
            Self::TooLong => "use a shorter path",
            Self::Scheme | Self::Address(_) => "write `tcp://<ip>:<port>` or `unix:///<path>`",
        }
    }
}

impl ListenUri {
    /// Returns whether a URI is a TCP address without a host.
    pub(super) fn has_default_host(input: &str) -> bool {
        tcp_address(input).is_some_and(|address| address.starts_with(':'))
    }

    /// Returns whether only programs on this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(address) => address.host().is_some_and(is_loopback_host),
        }
    }
}

/// Returns what is after the scheme of a TCP address. The scheme may be empty.
fn tcp_address(input: &str) -> Option<&str> {
    strip_scheme(input, "tcp:").unwrap_or(input).strip_prefix("//")
}

/// Returns what is after a scheme, which is compared without regard to case.
fn strip_scheme<'a>(input: &'a str, scheme: &str) -> Option<&'a str> {
    let (start, rest) = input.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Without a host, only programs on this machine can connect. Accepts a `/` after the port. Decodes `%20` and the like in a
/// path, as Teleport's `tbot` does.
impl FromStr for ListenUri {
    type Err = ListenUriError;

    fn from_str(input: &str) -> Result<Self, ListenUriError> {
        if let Some(address) = tcp_address(input) {
            let address: ListenAddress = address.strip_suffix('/').unwrap_or(address).parse()?;
            return Ok(Self::Tcp(address.or_host(DEFAULT_HOST)));
        }
        let path = strip_scheme(input, "unix:").ok_or(ListenUriError::Scheme)?;
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.contains(['?', '#']) {
            return Err(ListenUriError::MoreThanPath);
        }
        let path = percent_decode_str(path).decode_utf8().map_err(|_| ListenUriError::Path)?;
        if !path.starts_with('/') {
            Err(ListenUriError::Path)
        } else if path.ends_with('/') {
            Err(ListenUriError::NoName)
        } else if path.len() > MAX_SOCKET_PATH {
            Err(ListenUriError::TooLong)
        } else {
            Ok(Self::Unix(PathBuf::from(&*path)))
        }
    }
}

impl fmt::Display for ListenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tcp_address_or_the_path_of_a_socket_is_accepted() {
        let longest = format!("unix:///{}", "a".repeat(106));
        for (input, expected, is_local) in [
            ("tcp://127.0.0.1:5432", "tcp://127.0.0.1:5432", true),
            ("tcp://localhost:0/", "tcp://localhost:0", true),
            ("tcp://[::1]:1", "tcp://[::1]:1", true),
            ("tcp://[::ffff:127.0.0.1]:1", "tcp://[::ffff:127.0.0.1]:1", true),
            ("tcp://:8080", "tcp://127.0.0.1:8080", true),
            ("tcp://0.0.0.0:8080", "tcp://0.0.0.0:8080", false),
            ("tcp://db.example.com:1", "tcp://db.example.com:1", false),
            ("unix:///run/a%20b.sock", "unix:///run/a b.sock", true),
            ("unix:/run/a.sock", "unix:///run/a.sock", true),
            ("Unix:///run/a.sock", "unix:///run/a.sock", true),
            ("TCP://0.0.0.0:80", "tcp://0.0.0.0:80", false),
            ("//127.0.0.1:8080", "tcp://127.0.0.1:8080", true),
            ("//:8080", "tcp://127.0.0.1:8080", true),
            (&longest, &longest, true),
        ] {
            let uri: ListenUri = input.parse().unwrap();
            assert_eq!((uri.to_string().as_str(), uri.is_local()), (expected, is_local), "{input}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for (input, expected) in [
            ("127.0.0.1:5432", ListenUriError::Scheme),
            ("localhost:5432", ListenUriError::Scheme),
            ("/run/a.sock", ListenUriError::Scheme),
            ("http://127.0.0.1:1", ListenUriError::Scheme),
            ("tcp://127.0.0.1", ListenUriError::Address(AddressError::NoPort)),
            ("tcp://::1", ListenUriError::Address(AddressError::NoBrackets)),
            ("tcp://127.0.0.1:1/a", ListenUriError::Address(AddressError::MoreThanHostAndPort)),
            ("tcp:/127.0.0.1:1", ListenUriError::Scheme),
            ("tcp:127.0.0.1:1", ListenUriError::Scheme),
            ("unix", ListenUriError::Scheme),
            ("unix://run/a.sock", ListenUriError::Path),
            ("unix://./a.sock", ListenUriError::Path),
            ("unix:a.sock", ListenUriError::Path),
            ("unix://", ListenUriError::Path),
            ("unix:///a%ff", ListenUriError::Path),
            ("unix:///", ListenUriError::NoName),
            ("unix:///run/a/", ListenUriError::NoName),
            (&format!("unix:///{}", "a".repeat(107)), ListenUriError::TooLong),
            ("unix:///a?b", ListenUriError::MoreThanPath),
        ] {
            assert_eq!(input.parse::<ListenUri>(), Err(expected), "{input}");
        }
    }
}
