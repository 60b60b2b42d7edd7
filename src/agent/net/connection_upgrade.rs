//! The connection upgrade: a TLS connection inside another one, for proxies behind a load balancer that terminates TLS.
//!
//! Such a load balancer removes the ALPN list by which the proxy routes connections. So the agent sends an HTTP request to
//! the proxy's web API, and asks it to switch to another protocol. On the upgraded connection, the agent begins a TLS
//! handshake with the ALPN list, and the proxy routes it as if it had arrived directly.

use std::error::Error;
use std::io;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL};
use http::header::{SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, ClientConfig, PeerMisbehaved};
use tokio_rustls::TlsConnector;

use super::byte_stream::{BoxedByteStream, ByteStream};
use super::http_upgrade::{self, UpgradeResponse};
use super::route::Route;
use super::tls;
use super::web_socket::WebSocketIo;
use crate::agent::platform::{Environment, Hint, NotUtf8};
use crate::config::Address;

const PATH: &str = "/webapi/connectionupgrade";
/// The variable that overrides the test of whether connections need the upgrade.
pub(crate) const VARIABLE: &str = "TELEPORT_TLS_ROUTING_CONN_UPGRADE";
/// With this subprotocol, the server sends pings, so that a load balancer keeps the connection open while it is idle.
const SUBPROTOCOL: &str = "alpn-ping";
const WEB_SOCKET: &str = "websocket";
const ALPN: &str = "alpn";
/// From RFC 6455, section 1.3.
const WEB_SOCKET_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The protocol that the proxy is asked to switch to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpgradeProtocol {
    /// Binary messages of a WebSocket connection: servers from 15.1 on.
    WebSocket,
    /// The bytes as they are: servers up to 18.
    Alpn,
}

/// The proxy did not upgrade a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    #[error("the server refused to upgrade the connection (HTTP {status})")]
    Refused { status: StatusCode },
    #[error("the server upgraded the connection to another protocol than requested")]
    OtherProtocol,
    #[error("the connection could not be upgraded")]
    Http(#[source] Box<dyn Error + Send + Sync>),
}

impl UpgradeError {
    pub(super) const HINT: Hint = Hint::new(
        "something in front of the proxy, such as a load balancer, terminates TLS: let it pass WebSocket connections to the proxy, \
         or pass TLS through; or set proxy_server to an address of the proxy itself",
    );

    /// Returns true if the server does not know the requested protocol. Proxies of every version respond with 404 to that.
    pub(super) fn is_unknown_protocol(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::NOT_FOUND, .. })
    }
}

/// `TELEPORT_TLS_ROUTING_CONN_UPGRADE` is neither a boolean nor a list of addresses. This is reported before the first request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionUpgradeVariableError {
    /// The variable is not UTF-8.
    #[error(transparent)]
    NotUtf8(#[from] NotUtf8),
    /// A part of the variable is not a boolean.
    #[error("environment variable {VARIABLE} is not valid: `{0}` is not a boolean")]
    NotBoolean(String),
}

impl ConnectionUpgradeVariableError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::NotUtf8(_) => None,
            Self::NotBoolean(_) => Some(Hint::new(
                "set it to `yes` or `no`, or to a list such as `proxy.example.com:443=yes`; or unset it to let the agent test it",
            )),
        }
    }
}

/// Returns whether the environment says that connections to `address` need the upgrade: a boolean for all addresses, or a
/// list of `ADDRESS=BOOLEAN`, separated by commas or semicolons. What it says about one address takes precedence.
pub(super) fn configured(
    environment: &Environment,
    address: &Address,
) -> Result<Option<bool>, ConnectionUpgradeVariableError> {
    let Some(value) = environment.get_utf8(VARIABLE)? else { return Ok(None) };
    let address = address.to_string();
    let (mut for_all, mut for_address) = (None, None);
    for part in value.split([',', ';']).map(str::trim).filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some((of, value)) if of.trim() == address => for_address = Some(parse_bool(value.trim())?),
            Some((_, value)) => {
                parse_bool(value.trim())?;
            }
            None => for_all = Some(parse_bool(part)?),
        }
    }
    Ok(for_address.or(for_all))
}

/// Parses a boolean as the Go agent does for this variable.
fn parse_bool(text: &str) -> Result<bool, ConnectionUpgradeVariableError> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "yeah" | "y" | "true" | "t" | "1" | "on" => Ok(true),
        "no" | "nope" | "n" | "false" | "f" | "0" | "off" => Ok(false),
        _ => Err(ConnectionUpgradeVariableError::NotBoolean(crate::untrusted::escape(text).into())),
    }
}

/// Tests whether connections need the upgrade, with a TLS handshake that offers only a protocol that every Teleport proxy
/// supports. Sends nothing else, so the server's certificate does not matter.
pub(super) async fn is_required(route: &Route) -> io::Result<bool> {
    let tls = tls::reverse_tunnel(route.clock()).map_err(io::Error::other)?;
    let server_name = tls::server_name(route.address().host()).map_err(io::Error::other)?;
    let tcp = route.connect_tcp().await?;
    match TlsConnector::from(Arc::new(tls)).connect(server_name, tcp).await {
        Ok(stream) => Ok(stream.get_ref().1.alpn_protocol().is_none()),
        // Any other failure says nothing about routing. The connection itself will fail again, and report it.
        Err(error) => Ok(is_about_alpn(&error)),
    }
}

fn is_about_alpn(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(
        error,
        Some(
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
                | rustls::Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol)
        )
    )
}

/// Opens a connection to the proxy's web API, for which `web` is the TLS configuration, and upgrades it. The returned
/// stream carries the bytes of the inner TLS connection.
///
/// # Errors
///
/// An error after the TLS handshake contains an [`UpgradeError`].
pub(super) async fn connect(
    route: &Route,
    web: &ClientConfig,
    protocol: UpgradeProtocol,
) -> io::Result<BoxedByteStream> {
    let server_name = tls::server_name(route.address().host()).map_err(io::Error::other)?;
    let mut web = web.clone();
    web.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tcp = route.connect_tcp().await?;
    let stream = TlsConnector::from(Arc::new(web)).connect(server_name, tcp).await?;
    upgrade(stream, &route.address().to_string(), protocol).await.map_err(io::Error::other)
}

async fn upgrade(
    stream: impl ByteStream + 'static,
    host: &str,
    protocol: UpgradeProtocol,
) -> Result<BoxedByteStream, UpgradeError> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|error| UpgradeError::Http(error.to_string().into()))?;
    let key = BASE64_STANDARD.encode(nonce);
    let request = request(host, protocol, &key).map_err(|error| UpgradeError::Http(error.into()))?;
    let response = http_upgrade::send(stream, request).await;
    match response.map_err(|error| UpgradeError::Http(error.into()))? {
        UpgradeResponse::Refused(status) => Err(UpgradeError::Refused { status }),
        UpgradeResponse::Switched(upgraded, headers) => {
            check_response(&headers, protocol, &key)?;
            let upgraded = TokioIo::new(upgraded);
            Ok(match protocol {
                UpgradeProtocol::WebSocket => Box::new(WebSocketIo::new(upgraded).await),
                UpgradeProtocol::Alpn => Box::new(upgraded),
            })
        }
    }
}

fn request(host: &str, protocol: UpgradeProtocol, key: &str) -> http::Result<Request<Empty<&'static [u8]>>> {
    let request = Request::get(PATH).header(HOST, host).header(CONNECTION, "Upgrade");
    let request = match protocol {
        UpgradeProtocol::WebSocket => request
            .header(UPGRADE, WEB_SOCKET)
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, key)
            .header(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL),
        // Load balancers may change `Upgrade`, but not a header that they do not know.
        UpgradeProtocol::Alpn => request.header(UPGRADE, ALPN).header("x-teleport-upgrade", ALPN),
    };
    request.body(Empty::new())
}

/// Checks that the server has switched to the requested protocol.
fn check_response(headers: &HeaderMap, protocol: UpgradeProtocol, key: &str) -> Result<(), UpgradeError> {
    let has = |name, expected: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.eq_ignore_ascii_case(expected))
    };
    let (upgrade, is_accepted) = match protocol {
        UpgradeProtocol::WebSocket => {
            let accept = headers.get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
            let is_accepted = accept == Some(web_socket_accept(key).as_bytes());
            (WEB_SOCKET, is_accepted && has(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL))
        }
        UpgradeProtocol::Alpn => (ALPN, true),
    };
    if has(UPGRADE, upgrade) && is_accepted { Ok(()) } else { Err(UpgradeError::OtherProtocol) }
}

/// Returns the value of `Sec-WebSocket-Accept` with which a server responds to `key`.
fn web_socket_accept(key: &str) -> String {
    let input = format!("{key}{WEB_SOCKET_GUID}");
    BASE64_STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, input.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured_for(value: &str) -> Result<Option<bool>, ConnectionUpgradeVariableError> {
        let environment = [(VARIABLE, value)].into_iter().collect();
        configured(&environment, &"a.example:443".parse().unwrap())
    }

    #[test]
    fn the_variable_is_a_boolean_or_a_list_of_addresses() {
        for (value, expected) in [
            ("", None),
            ("yes", Some(true)),
            ("False", Some(false)),
            ("a.example:443=yes", Some(true)),
            ("b.example:443=yes", None),
            ("b.example:443=yes;a.example:443=0", Some(false)),
            ("no, a.example:443=1", Some(true)),
            ("a.example:443=1,no", Some(true)),
            ("b.example:443=no;yes", Some(true)),
        ] {
            assert_eq!(configured_for(value), Ok(expected), "{value}");
        }
        for value in ["maybe", "a.example:443=", "b.example:443=x", "a.example:443"] {
            let error = configured_for(value).unwrap_err();
            assert!(matches!(error, ConnectionUpgradeVariableError::NotBoolean(_)), "{value}: {error}");
        }
    }

    /// The example of RFC 6455, section 1.3.
    #[test]
    fn the_accept_header_is_that_of_the_rfc() {
        assert_eq!(web_socket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
