//! What all streams of the join services have in common: the log, scripted faults and the end of the stream.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use prost::Message;
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::{Grpc, StreamingService};
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::call_log::Outcome;
use crate::connection::Connection;
use crate::error::ApiError;
use crate::faults::{CallAction, StreamFault};
use crate::shared::Shared;

/// A call that has been logged, and how to process it.
pub(crate) struct LoggedCall {
    /// The index in the call log.
    pub(crate) index: usize,
    pub(crate) action: CallAction,
}

/// The server's side of a join on one stream.
pub(crate) trait JoinExchange: Send + Sync + 'static {
    type Request: Message + Default + std::fmt::Debug + 'static;
    type Response: Message + Default + 'static;

    /// Processes the join, and returns the last response. Returns `None` if a scripted fault ends the stream without it.
    fn run(
        stream: &mut JoinStream<Self::Request, Self::Response>,
    ) -> impl Future<Output = Result<Option<Self::Response>, ApiError>> + Send;
}

/// One stream.
pub(crate) struct JoinStream<Q, R> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) action: CallAction,
    index: usize,
    requests: Streaming<Q>,
    responses: Sender<Result<R, Status>>,
    /// How many responses were sent.
    sent: usize,
}

/// Serves one stream. The outcome is logged when the stream ends.
pub(crate) async fn serve<E: JoinExchange>(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    call: LoggedCall,
    request: Request<Incoming>,
) -> Response<Body> {
    let service = StreamService(Some((shared, connection, call)), PhantomData::<E>);
    Grpc::new(ProstCodec::<E::Response, E::Request>::new()).streaming(service, request).await
}

/// The tonic service for one stream.
struct StreamService<E>(Option<(Arc<Shared>, Arc<Connection>, LoggedCall)>, PhantomData<E>);

impl<E: JoinExchange> StreamingService<E::Request> for StreamService<E> {
    type Response = E::Response;
    type ResponseStream = ReceiverStream<Result<E::Response, Status>>;
    type Future = std::future::Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<E::Request>>) -> Self::Future {
        let (responses, response_stream) = channel(1);
        if let Some((shared, connection, call)) = self.0.take() {
            let LoggedCall { index, action } = call;
            let requests = request.into_inner();
            let in_progress = shared.in_progress.enter();
            let stream = JoinStream { shared, connection, action, index, requests, responses, sent: 0 };
            tokio::spawn(async move {
                let _in_progress = in_progress;
                stream.run::<E>().await;
            });
        }
        std::future::ready(Ok(tonic::Response::new(ReceiverStream::new(response_stream))))
    }
}

impl<Q, R> JoinStream<Q, R>
where
    Q: Message + Default + std::fmt::Debug + 'static,
    R: Message + Default + 'static,
{
    /// Runs the stream to completion and logs its outcome. A client that disconnects ends the stream as well.
    async fn run<E: JoinExchange<Request = Q, Response = R>>(mut self) {
        let result = match &self.action {
            CallAction::BreakStream(StreamFault::EndImmediately) => Ok(None),
            CallAction::BreakStream(StreamFault::Refuse(code)) => {
                Err(ApiError::new(*code, "a scripted fault has refused the stream"))
            }
            CallAction::Refuse(error) => {
                let error = error.clone();
                E::run(&mut self).await.and(Err(error))
            }
            _ => E::run(&mut self).await,
        };
        if result.as_ref().is_ok_and(Option::is_some) {
            self.sent += 1;
            self.stall_if_scripted().await;
        }
        let Self { shared, connection, action, index, responses, sent, .. } = self;
        let is_lost =
            matches!(action, CallAction::BreakStream(StreamFault::LoseResponse(lost)) if lost == sent);
        if is_lost || matches!(action, CallAction::DropResponse) {
            shared.log.end(index, Outcome::ResponseDropped);
            connection.abort.notify_one();
            return;
        }
        let (outcome, response) = match result {
            Ok(None) => (Outcome::ResponseDropped, None),
            Ok(Some(response)) => (Outcome::Succeeded, Some(Ok(response))),
            Err(error) => (Outcome::Refused(error.code, error.message.clone()), Some(Err(error.into()))),
        };
        shared.log.end(index, outcome);
        if let Some(response) = response {
            let _ = responses.send(response).await;
        }
    }

    /// Receives the next message of the client, and logs it as the request of the call.
    pub(crate) async fn receive(&mut self) -> Result<Q, ApiError> {
        let disconnected = || ApiError::new(Code::Cancelled, "the client has disconnected");
        let request = self.requests.message().await.ok().flatten().ok_or_else(disconnected)?;
        let bytes = Bytes::from(request.encode_to_vec());
        self.shared.log.set_request(self.index, bytes, format!("{request:?}"));
        Ok(request)
    }

    /// Sends a response that is not the last one. A scripted fault may close the connection instead.
    pub(crate) async fn send(&mut self, response: R) -> Result<(), ApiError> {
        self.sent += 1;
        if matches!(self.action, CallAction::BreakStream(StreamFault::LoseResponse(lost)) if lost == self.sent)
        {
            return Err(ApiError::new(Code::Cancelled, "a scripted fault closes the connection"));
        }
        self.stall_if_scripted().await;
        let _ = self.responses.send(Ok(response)).await;
        Ok(())
    }

    /// Waits until the client disconnects, if a scripted fault says so of the response that is about to be sent.
    async fn stall_if_scripted(&self) {
        if let CallAction::BreakStream(StreamFault::Stall { response, reached }) = &self.action
            && *response == self.sent
        {
            reached.notify_one();
            self.responses.closed().await;
        }
    }

    /// Whether a scripted fault ends the stream once the request is known.
    pub(crate) fn ends_before_processing(&self) -> bool {
        matches!(
            self.action,
            CallAction::BreakStream(StreamFault::EndWithoutCertificates) | CallAction::Refuse(_)
        )
    }
}
