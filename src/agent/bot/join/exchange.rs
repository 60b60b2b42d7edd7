//! One bidirectional stream of a join: the messages of client and server alternate. It is opened once, and never repeated.

use std::error::Error;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tokio::sync::mpsc;
use tonic::Request;
use tonic::codec::Streaming;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use super::error::JoinError;
use super::refusal_context::RefusalContext;
use super::request::JoinRequest;
use crate::agent::net::connection_error::ConnectionError;
use crate::agent::net::dialler::Dialler;
use crate::agent::net::web::HttpError;
use crate::agent::teleport::grpc::{Connector, endpoint};

/// The timeout to open a stream on which the client speaks first, until the server's first message.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(12);
/// The maximum size of a message, in bytes: many times the size of two certificates and the cluster's CAs.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// How long the server has to end a stream that the client gives up.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Connects to the join service without a client certificate.
pub(super) async fn connect(dialler: &Dialler) -> Result<Channel, JoinError> {
    let target = dialler.to_join_service().map_err(no_response)?;
    endpoint().connect_with_connector(Connector(target)).await.map_err(lost)
}

/// An open stream, on which the client sends `Q` and the server `R`.
pub(super) struct Exchange<Q, R> {
    requests: mpsc::Sender<Q>,
    responses: Streaming<R>,
    pub(super) context: RefusalContext,
}

impl<Q, R> Exchange<Q, R>
where
    Q: Message + 'static,
    R: Message + Default + 'static,
{
    /// Opens a stream of the method `path`. Servers respond only once they have something to say, so the first message of the
    /// client, if it speaks first, is sent along.
    pub(super) async fn open(
        channel: Channel,
        path: &'static str,
        first: Option<Q>,
        context: RefusalContext,
    ) -> Result<Self, JoinError> {
        let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        grpc.ready().await.map_err(lost)?;
        let (requests, stream) = mpsc::channel(1);
        if let Some(first) = first {
            // The channel has room for one message.
            let _ = requests.send(first).await;
        }
        let (path, codec) = (PathAndQuery::from_static(path), ProstCodec::<Q, R>::default());
        let opened = grpc.streaming(Request::new(ReceiverStream::new(stream)), path, codec).await;
        let responses = opened.map_err(|status| context.join_error(status))?.into_inner();
        Ok(Self { requests, responses, context })
    }

    /// Sends a message. If the server has ended the stream, the next [`receive`](Self::receive) returns the reason.
    pub(super) async fn send(&self, message: Q) {
        let _ = self.requests.send(message).await;
    }

    /// Receives the next message. `when` says in an error at which point the server ended the stream.
    pub(super) async fn receive(&mut self, when: &str) -> Result<R, JoinError> {
        let message = self.responses.message().await.map_err(|status| self.context.join_error(status))?;
        let ended = || ConnectionError::new(format!("it ended the exchange {when}"));
        message.ok_or_else(|| self.context.no_response(ended()))
    }

    /// Sends a last message, and waits until the server has ended the stream, at most for a short time. Dropping the stream would
    /// discard a message that was not sent yet.
    pub(super) async fn close_with(self, message: Q) {
        let Self { requests, mut responses, .. } = self;
        let _ = requests.send(message).await;
        drop(requests);
        let ended = async { while let Ok(Some(_)) = responses.message().await {} };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, ended).await;
    }
}

pub(super) const TIMED_OUT: &str = "the exchange timed out";

/// Limits the time of an exchange in which the request is sent.
pub(super) async fn with_timeout<T>(
    request: &JoinRequest<'_>,
    exchange: impl Future<Output = Result<T, JoinError>>,
) -> Result<T, JoinError> {
    let timed_out = |_| Err(request.context().no_response(ConnectionError::new(TIMED_OUT)));
    tokio::time::timeout(request.timeout(), exchange).await.unwrap_or_else(timed_out)
}

/// Returns the error for an exchange that was lost because of an error of the connection.
pub(super) fn lost(error: impl Into<Box<dyn Error + Send + Sync>>) -> JoinError {
    no_response(ConnectionError::new(error))
}

fn no_response(error: impl Into<HttpError>) -> JoinError {
    JoinError::NoResponse { error: error.into(), hint: None }
}
