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
/// The timeout of a request for the bot's own identity that cannot be repeated: a response that comes late is still the only one.
/// Keep-alive pings notice earlier that the server is gone.
pub(crate) const SINGLE_CALL_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// The interval of keep-alive pings, while a response or a stream is open. The auth server closes connections that ping more than
/// once a minute.
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

/// Returns the endpoint of all connections. The [`Connector`] opens them; the address only fills `:authority`, which servers
/// ignore.
pub(crate) fn endpoint() -> Endpoint {
    Endpoint::from_static("http://teleport.cluster.local")
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(CALL_TIMEOUT)
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
mod tests {
    use tokio::net::TcpListener;

    use super::*;

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
