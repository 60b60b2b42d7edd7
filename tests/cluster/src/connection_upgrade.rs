//! The connection upgrade of the proxy's web server: after the response, the connection carries another TLS connection to the
//! cluster. Servers up to 18 carry its bytes as they are, servers from 15.1 on in binary messages of a WebSocket connection.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tonic::body::Body;

use crate::byte_stream::BoxedByteStream;
use crate::error::ApiError;
use crate::shared::Shared;

/// The subprotocols of the WebSocket form. With the second, the server sends pings.
const SUBPROTOCOLS: [&str; 2] = ["alpn", "alpn-ping"];
/// From RFC 6455.
const WEB_SOCKET_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// More than a TLS record.
const BUFFER: usize = 64 * 1024;

/// The form of an upgraded connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Raw,
    WebSocket,
}

/// A connection that is upgraded as soon as the response has been sent.
pub(crate) struct PendingUpgrade {
    form: Form,
    on_upgrade: OnUpgrade,
}

impl Shared {
    /// Serves `GET /webapi/connectionupgrade`.
    pub(crate) fn connection_upgrade(
        &self,
        parts: &mut Parts,
    ) -> Result<(Response<Body>, PendingUpgrade), ApiError> {
        let header = |name: http::HeaderName| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let (form, upgrade) = match header(UPGRADE).to_ascii_lowercase().as_str() {
            "websocket" if self.has_web_socket_upgrade() => (Form::WebSocket, "websocket"),
            "alpn" if self.major_version() <= 18 => (Form::Raw, "alpn"),
            _ => return Err(ApiError::not_found("unsupported upgrade types")),
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(upgrade));
        if form == Form::WebSocket {
            let asked = header(SEC_WEBSOCKET_PROTOCOL);
            let subprotocol = SUBPROTOCOLS.into_iter().find(|known| *known == asked);
            let subprotocol = subprotocol.ok_or_else(|| ApiError::invalid_argument("unknown subprotocol"))?;
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
            let accept = header_value(&accept(&header(SEC_WEBSOCKET_KEY)))?;
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        let on_upgrade = parts.extensions.remove::<OnUpgrade>();
        let on_upgrade = on_upgrade.ok_or_else(|| ApiError::invalid_argument("not an HTTP/1.1 request"))?;
        Ok((response, PendingUpgrade { form, on_upgrade }))
    }

    /// Whether the proxy serves the WebSocket form: since 15.1.
    fn has_web_socket_upgrade(&self) -> bool {
        let minor = self.server_version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
        (self.major_version(), minor.unwrap_or_default()) >= (15, 1)
    }
}

fn header_value(value: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(value).map_err(|error| ApiError::invalid_argument(error.to_string()))
}

fn accept(key: &str) -> String {
    let digest = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}{WEB_SOCKET_GUID}").as_bytes(),
    );
    BASE64_STANDARD.encode(digest)
}

impl PendingUpgrade {
    /// Waits for the upgrade. Returns the bytes that the connection carries, and a future that carries them.
    pub(crate) async fn stream(self) -> hyper::Result<(BoxedByteStream, impl Future<Output = ()>)> {
        let upgraded = TokioIo::new(self.on_upgrade.await?);
        let (inner, outer) = tokio::io::duplex(BUFFER);
        let carry = async move {
            match self.form {
                Form::Raw => carry_raw(upgraded, outer).await,
                Form::WebSocket => carry_in_messages(upgraded, outer).await,
            }
        };
        Ok((Box::new(inner), carry))
    }
}

async fn carry_raw(mut upgraded: TokioIo<Upgraded>, mut outer: DuplexStream) {
    // Either side may end at any time.
    let _ = tokio::io::copy_bidirectional(&mut upgraded, &mut outer).await;
}

/// Sends a ping before each message, and breaks each into two fragments, which a client must support.
async fn carry_in_messages(upgraded: TokioIo<Upgraded>, mut outer: DuplexStream) {
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
    let mut buffer = vec![0; BUFFER];
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    if outer.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Text(_) | Message::Close(_)) | Err(_)) | None => break,
            },
            read = outer.read(&mut buffer) => match read {
                Ok(0) | Err(_) => {
                    let _ = socket.close(None).await;
                    break;
                }
                Ok(length) => {
                    if send_in_fragments(&mut socket, &buffer[..length]).await.is_err() {
                        break;
                    }
                }
            },
        }
    }
}

async fn send_in_fragments(
    socket: &mut WebSocketStream<TokioIo<Upgraded>>,
    bytes: &[u8],
) -> tokio_tungstenite::tungstenite::Result<()> {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    socket.send(Message::Ping(Bytes::new())).await?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    for (bytes, data, is_last) in [(first, Data::Binary, false), (second, Data::Continue, true)] {
        let frame = Frame::message(Bytes::copy_from_slice(bytes), OpCode::Data(data), is_last);
        socket.send(Message::Frame(frame)).await?;
    }
    Ok(())
}
