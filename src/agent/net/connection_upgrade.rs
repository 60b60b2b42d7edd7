//! The connection upgrade: a TLS connection inside another one, for proxies behind a load balancer that terminates TLS.
//!
//! Such a load balancer removes the ALPN list by which the proxy routes connections. So the agent sends an HTTP request to the
//! proxy's web API, and asks it to switch to another protocol. On the upgraded connection, the agent begins a TLS handshake with
//! the ALPN list, and the proxy routes it as if it had arrived directly.
//!
//! # What the load balancer is trusted with
//!
//! It has a valid certificate for the address of the proxy, as the outer connection requires. Other machines between the agent and
//! the proxy gain nothing by making the agent use the upgrade: the test for it sends no secret, and the outer connection is always
//! verified, whatever the test finds.
//!
//! - **With an identity**, the inner connection is verified with the CAs of the identity. The load balancer sees no request, no
//!   certificate and no key, and cannot act as the auth server.
//! - **Before a join**, these CAs are unknown. A join over the web API has no inner connection, so the load balancer sees the join
//!   token or the ID token. A join by challenge (IAM, Azure) has one, but it is verified only by the name in the certificate, so a
//!   load balancer that wants to can present a certificate of its own. It can then use the agent's response to join with its own
//!   key, and give the agent its own CAs. A load balancer that terminates TLS for the address of the proxy is therefore trusted
//!   with joins by every method, as is the proxy itself.

use std::error::Error;
use std::io;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL};
use http::header::{SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, ClientConfig, PeerMisbehaved};
use tokio_rustls::TlsConnector;

use super::byte_stream::BoxedByteStream;
use super::http_body::{self, HttpBody};
use super::http_upgrade::{self, UpgradeResponse};
use super::route::Route;
use super::tls;
use super::web_socket::WebSocketIo;
use crate::agent::platform::Hint;

const PATH: &str = "/webapi/connectionupgrade";
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
    const NO_UPGRADES: Hint = Hint::new(
        "something in front of the proxy, such as a load balancer, terminates TLS: let it pass WebSocket connections to the proxy, \
         or pass TLS through; or set proxy_server to an address of the proxy itself",
    );
    /// The proxy counts the requests of each address.
    const TOO_MANY_REQUESTS: Hint = Hint::new(
        "too many requests came from this machine's address: try again later, or start fewer agents at once",
    );
    const UNAVAILABLE: Hint = Hint::new("check that the proxy is up, and the load balancer in front of it");

    pub(super) fn hint(&self) -> Hint {
        match self {
            Self::Refused { status } if *status == StatusCode::TOO_MANY_REQUESTS => Self::TOO_MANY_REQUESTS,
            Self::Refused { status } if status.is_server_error() => Self::UNAVAILABLE,
            Self::Refused { .. } | Self::OtherProtocol | Self::Http(_) => Self::NO_UPGRADES,
        }
    }

    /// Returns true if the server does not know the requested protocol. Proxies of every version respond with 404 to that.
    pub(super) fn is_unknown_protocol(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::NOT_FOUND, .. })
    }
}

/// Tests whether connections need the upgrade, with a TLS handshake that offers only a protocol that every Teleport proxy
/// supports. Sends nothing else, so the server's certificate does not matter. Returns `None` if the handshake fails in a way that
/// says nothing about routing.
pub(super) async fn is_required(route: &Route) -> io::Result<Option<bool>> {
    let tls = tls::upgrade_test(route.clock()).map_err(io::Error::other)?;
    let server_name = tls::server_name(route.address().host()).map_err(io::Error::other)?;
    let tcp = route.connect_tcp().await?;
    match TlsConnector::from(Arc::new(tls)).connect(server_name, tcp).await {
        Ok(stream) => Ok(Some(stream.get_ref().1.alpn_protocol().is_none())),
        Err(error) => Ok(is_about_alpn(&error).then_some(true)),
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
    upgrade(Box::new(stream), &route.address().to_string(), protocol).await.map_err(io::Error::other)
}

async fn upgrade(
    stream: BoxedByteStream,
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

fn request(host: &str, protocol: UpgradeProtocol, key: &str) -> http::Result<Request<HttpBody>> {
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
    request.body(http_body::empty())
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
    use rcgen::{CertificateParams, KeyPair};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::agent::platform::{Clock, Environment};

    /// The example of RFC 6455, section 1.3.
    #[test]
    fn the_accept_header_is_that_of_the_rfc() {
        assert_eq!(web_socket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    /// Upgrades a connection to a server that sends `response` and `data` in small pieces, and then nothing more. `ACCEPT` in the
    /// response becomes the answer to the key.
    async fn upgrade_with(
        protocol: UpgradeProtocol,
        response: &str,
        data: &'static [u8],
    ) -> Result<BoxedByteStream, UpgradeError> {
        let (client, mut server) = tokio::io::duplex(7);
        let response = response.to_owned();
        tokio::spawn(async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(server.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap();
            let key = request.lines().find_map(|line| line.strip_prefix("sec-websocket-key: "));
            let response = response.replace("ACCEPT", &web_socket_accept(key.unwrap_or_default()));
            // The client may hang up.
            let _ = server.write_all(response.as_bytes()).await;
            let _ = server.write_all(data).await;
            let _ = server.shutdown().await;
            let _ = server.read_to_end(&mut Vec::new()).await;
        });
        upgrade(Box::new(client), "proxy.example:443", protocol).await
    }

    const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n";

    #[tokio::test]
    async fn an_upgraded_connection_carries_bytes_however_they_arrive() {
        let web_socket = format!(
            "{SWITCHED}upgrade: WebSocket\r\nsec-websocket-accept: ACCEPT\r\nsec-websocket-protocol: alpn-ping\r\n\r\n"
        );
        let alpn = format!("{SWITCHED}upgrade: alpn\r\n\r\n");
        for (protocol, response, data) in [
            (UpgradeProtocol::WebSocket, web_socket, &b"\x89\x01p\x02\x01h\x80\x01i\x88\x00"[..]),
            (UpgradeProtocol::Alpn, alpn, b"hi"),
        ] {
            let mut stream =
                upgrade_with(protocol, &response, data).await.unwrap_or_else(|error| panic!("{error}"));
            let mut received = String::new();
            stream.read_to_string(&mut received).await.unwrap();
            assert_eq!(received, "hi");
        }
    }

    #[tokio::test]
    async fn a_server_that_switches_to_something_else_is_refused() {
        let accept = "sec-websocket-accept: ACCEPT\r\n";
        let subprotocol = "sec-websocket-protocol: alpn-ping\r\n";
        for headers in [
            String::new(),
            format!("{accept}{subprotocol}"),
            "upgrade: websocket\r\n".to_owned(),
            format!("upgrade: websocket\r\n{accept}"),
            format!("upgrade: websocket\r\n{accept}sec-websocket-protocol: alpn\r\n"),
            format!("upgrade: websocket\r\nsec-websocket-accept: AAAA\r\n{subprotocol}"),
            format!("upgrade: h2c\r\n{accept}{subprotocol}"),
            format!("upgrade: alpn\r\n{accept}{subprotocol}"),
        ] {
            let response = format!("{SWITCHED}{headers}\r\n");
            let error = upgrade_with(UpgradeProtocol::WebSocket, &response, b"").await.err().unwrap();
            assert!(matches!(error, UpgradeError::OtherProtocol), "{headers}: {error}");
        }
    }

    #[tokio::test]
    async fn a_response_that_is_not_an_upgrade_is_an_error() {
        for status in [200, 302, 403, 404, 429, 503] {
            let response = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
            let error = upgrade_with(UpgradeProtocol::WebSocket, &response, b"").await.err().unwrap();
            assert!(
                matches!(error, UpgradeError::Refused { status: refused } if refused == status),
                "{error}"
            );
            assert_eq!(error.is_unknown_protocol(), status == 404);
            let expected = match status {
                429 => UpgradeError::TOO_MANY_REQUESTS,
                503 => UpgradeError::UNAVAILABLE,
                _ => UpgradeError::NO_UPGRADES,
            };
            assert_eq!(error.hint(), expected, "{status}");
        }
        let endless_header = format!("HTTP/1.1 101 x\r\na: {}", "a".repeat(1 << 20));
        let many_headers = format!("HTTP/1.1 101 x\r\n{}\r\n", "a: b\r\n".repeat(1000));
        for response in ["", "HTTP/1.1 101", "SSH-2.0-x\r\n\r\n", "\0\0\0", &endless_header, &many_headers] {
            let error = upgrade_with(UpgradeProtocol::WebSocket, response, b"").await.err().unwrap();
            assert!(matches!(error, UpgradeError::Http(_)), "{error}");
        }
    }

    /// How a server responds to the test whether the upgrade is needed.
    enum TestResponse<'a> {
        /// A TLS handshake with a server that supports these protocols.
        Tls(&'a [&'a [u8]]),
        /// These bytes, after the client's first message.
        Bytes(&'a [u8]),
    }

    /// Returns whether the test finds that connections to a server need the upgrade.
    async fn is_required_for(response: TestResponse<'_>) -> Option<bool> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let route = Route::new(address, &Environment::default(), false, Clock::system()).unwrap();
        let serve = async {
            let (mut client, _) = listener.accept().await.unwrap();
            match response {
                TestResponse::Tls(protocols) => serve_tls(client, protocols).await,
                TestResponse::Bytes(bytes) => {
                    client.read_exact(&mut [0; 100]).await.unwrap();
                    client.write_all(bytes).await.unwrap();
                }
            }
        };
        tokio::join!(is_required(&route), serve).0.unwrap()
    }

    async fn serve_tls(client: TcpStream, protocols: &[&[u8]]) {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["other.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        // The handshake fails without a common protocol.
        let _ = TlsAcceptor::from(Arc::new(config)).accept(client).await;
    }

    #[tokio::test]
    async fn the_upgrade_is_needed_if_the_protocol_does_not_reach_the_proxy() {
        // A server's first message in TLS 1.2, which selects `h2`.
        let mut selects_unoffered = vec![22, 3, 3, 0, 53, 2, 0, 0, 49, 3, 3];
        selects_unoffered.extend([7; 32]);
        selects_unoffered.extend([0, 0xc0, 0x2f, 0, 0, 9, 0, 16, 0, 5, 0, 3, 2, b'h', b'2']);
        let alert = |description| [21, 3, 3, 0, 2, 2, description];
        for (response, expected) in [
            (TestResponse::Tls(&[b"teleport-reversetunnel", b"h2"]), Some(false)),
            (TestResponse::Tls(&[]), Some(true)),
            (TestResponse::Tls(&[b"http/1.1"]), Some(true)),
            (TestResponse::Bytes(&alert(120)), Some(true)),
            (TestResponse::Bytes(&selects_unoffered), Some(true)),
            // Not about the protocol: the connection itself will fail, and say why.
            (TestResponse::Bytes(&alert(40)), None),
            (TestResponse::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n"), None),
            (TestResponse::Bytes(b""), None),
        ] {
            assert_eq!(is_required_for(response).await, expected);
        }
    }
}
