//! Makes gRPC calls over a connection of a dialler: unary calls, streams from the server, and the connector for tonic.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio_rustls::client::TlsStream;
use tonic::codec::Streaming;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

use super::api_error::{ApiError, from_status};
use crate::agent::net::byte_stream::BoxedByteStream;
use crate::agent::net::connection_error::ConnectionError;
use crate::agent::net::dialler::DialTarget;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout of a call that can be repeated.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// The timeout of a call whose response may be large, up to 4 MiB: the time that it takes at about half a megabit per second.
pub(crate) const LARGE_RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// The timeout of a request for the bot's own identity that cannot be repeated: a response that comes late is still the only one.
/// TCP notices earlier that the connection is lost.
pub(crate) const SINGLE_CALL_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// The interval of keep-alive pings to the auth server, while a response or a stream is open. It closes connections that ping more
/// than once a minute.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(75);

/// Makes one unary call, whose whole response must arrive within [`CALL_TIMEOUT`]. `method` is the full name of the method.
pub(crate) async fn unary<M, R>(channel: &Channel, method: &'static str, message: M) -> Result<R, ApiError>
where
    M: Message + 'static,
    R: Message + Default + 'static,
{
    unary_within(CALL_TIMEOUT, channel, method, message).await
}

/// Makes one unary call, whose whole response must arrive within `limit`: tonic's own timeout ends with the headers, and a server
/// that stalls after them keeps the connection alive.
pub(crate) async fn unary_within<M, R>(
    limit: Duration,
    channel: &Channel,
    method: &'static str,
    message: M,
) -> Result<R, ApiError>
where
    M: Message + 'static,
    R: Message + Default + 'static,
{
    match tokio::time::timeout(limit, call(channel, method, message)).await {
        Ok(response) => response.map_err(|status| from_status(method, status)),
        Err(_) => Err(timed_out(method)),
    }
}

fn timed_out(method: &'static str) -> ApiError {
    ApiError::NoResponse { method, source: ConnectionError::new("the call timed out") }
}

/// Makes one unary call without a timeout. A status that comes from the connection has a source.
pub(crate) async fn call<M, R>(channel: &Channel, method: &'static str, message: M) -> Result<R, Status>
where
    M: Message + 'static,
    R: Message + Default + 'static,
{
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let path = PathAndQuery::from_static(method);
    let response = grpc.unary(Request::new(message), path, ProstCodec::<M, R>::default()).await?;
    Ok(response.into_inner())
}

/// Returns the endpoint of connections to a service of the proxy. The [`Connector`] opens them; the address only fills
/// `:authority`, which servers ignore.
///
/// It sends no keep-alive pings: a proxy closes a connection that pings more than once in five minutes, the default of gRPC for Go.
pub(crate) fn endpoint() -> Endpoint {
    Endpoint::from_static("http://teleport.cluster.local").connect_timeout(CONNECT_TIMEOUT)
}

/// Returns the endpoint of connections to the auth server, which are kept alive by pings.
pub(crate) fn auth_endpoint() -> Endpoint {
    endpoint().http2_keep_alive_interval(KEEP_ALIVE_INTERVAL).keep_alive_timeout(CALL_TIMEOUT)
}

/// Connects for a few short calls.
pub(crate) async fn connect(target: DialTarget) -> Result<Channel, ConnectionError> {
    endpoint().connect_with_connector(Connector(target)).await.map_err(ConnectionError::new)
}

/// Opens a stream of messages from the server. Returns the first message, which must arrive within `limit`, and the
/// stream of the others.
pub(crate) async fn server_stream<M, R>(
    channel: &Channel,
    method: &'static str,
    message: M,
    limit: Duration,
) -> Result<(R, Streaming<R>), ApiError>
where
    M: Message + 'static,
    R: Message + Default + 'static,
{
    let no_response = |source| ApiError::NoResponse { method, source };
    let begin = async {
        let mut grpc = tonic::client::Grpc::new(channel.clone());
        grpc.ready().await.map_err(|error| no_response(ConnectionError::new(error)))?;
        let path = PathAndQuery::from_static(method);
        let codec = ProstCodec::<M, R>::default();
        let response = grpc.server_streaming(Request::new(message), path, codec).await;
        let mut stream = response.map_err(|status| from_status(method, status))?.into_inner();
        let first = stream.message().await.map_err(|status| from_status(method, status))?;
        let ended = || no_response(ConnectionError::new("the stream ended before the first message"));
        Ok((first.ok_or_else(ended)?, stream))
    };
    tokio::time::timeout(limit, begin).await.map_err(|_| timed_out(method))?
}

/// Opens a new connection whenever tonic needs one.
#[derive(Clone)]
pub(crate) struct Connector(pub(crate) DialTarget);

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<BoxedByteStream>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let target = self.0.clone();
        Box::pin(async move { target.open().await })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::*;

    /// Connects to the other end of a pipe.
    struct PipeConnector(Option<DuplexStream>);

    impl Service<Uri> for PipeConnector {
        type Response = TokioIo<DuplexStream>;
        type Error = std::io::Error;
        type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Uri) -> Self::Future {
            std::future::ready(
                self.0.take().map(TokioIo::new).ok_or_else(|| std::io::ErrorKind::NotConnected.into()),
            )
        }
    }

    /// Acknowledges settings and pings, and never responds to a call. Sends the time of each ping.
    async fn serve_without_response(mut pipe: DuplexStream, pings: mpsc::UnboundedSender<Instant>) {
        const SETTINGS: u8 = 4;
        const PING: u8 = 6;
        const ACK: u8 = 1;
        let mut preface = [0; 24];
        pipe.read_exact(&mut preface).await.unwrap();
        pipe.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await.unwrap();
        let mut head = [0; 9];
        while pipe.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length.try_into().unwrap()];
            pipe.read_exact(&mut payload).await.unwrap();
            let [.., frame_type, flags, _, _, _, _] = head;
            if flags & ACK != 0 {
                continue;
            }
            match frame_type {
                SETTINGS => pipe.write_all(&[0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0]).await.unwrap(),
                PING => {
                    pings.send(Instant::now()).unwrap();
                    head[4] = ACK;
                    pipe.write_all(&[head.as_slice(), &payload].concat()).await.unwrap();
                }
                _ => {}
            }
        }
    }

    /// Returns when a connection pings in twenty minutes, in which a call gets no response.
    pub(crate) async fn pings(endpoint: Endpoint) -> Vec<Instant> {
        let (client, server) = tokio::io::duplex(1 << 16);
        let (pinged, mut pings) = mpsc::unbounded_channel();
        tokio::spawn(serve_without_response(server, pinged));
        let channel = endpoint.connect_with_connector(PipeConnector(Some(client))).await.unwrap();
        let limit = Duration::from_secs(20 * 60);
        tokio::time::timeout(limit, call::<(), ()>(&channel, "/a/b", ())).await.unwrap_err();
        std::iter::from_fn(|| pings.try_recv().ok()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn only_connections_to_the_auth_server_ping_and_at_most_once_a_minute() {
        assert_eq!(pings(endpoint()).await, [], "proxies refuse pings that are less than five minutes apart");
        let pings = pings(auth_endpoint()).await;
        assert!(pings.len() >= 10, "{pings:?}");
        for pair in pings.windows(2) {
            assert!(pair[1] - pair[0] > Duration::from_secs(60), "{pings:?}");
        }
    }

    /// Makes a call over a channel that opens its connection for it.
    async fn call_at(address: std::net::SocketAddr) -> ApiError {
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
        unary::<(), ()>(&channel, "/a/b", ()).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_call_was_not_processed_only_if_no_connection_could_be_opened_for_it() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let closes = async {
            let (connection, _) = server.accept().await.unwrap();
            let mut connection = h2::server::handshake(connection).await.unwrap();
            connection.accept().await.unwrap().unwrap();
        };
        let (error, ()) = tokio::join!(call_at(address), closes);
        assert!(matches!(error, ApiError::NoResponse { .. }) && !error.was_not_processed(), "{error:?}");
        drop(server);
        let error = call_at(address).await;
        assert!(matches!(error, ApiError::NoResponse { .. }) && error.was_not_processed(), "{error:?}");
    }
}
