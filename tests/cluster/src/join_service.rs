//! `proto.JoinService`, the proxy's gRPC service for joins with a challenge. The cluster sends a challenge, the client
//! sends one request, and the cluster sends certificates.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
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
use crate::error::{ApiError, Error};
use crate::faults::{CallAction, StreamFault};
use crate::join_request::{Attestation, JoinRequest};
use crate::keys::random;
use crate::method;
use crate::proto::{
    Certs, RegisterUsingAzureMethodRequest, RegisterUsingIamMethodRequest, RegisterUsingIamMethodResponse,
    RegisterUsingTokenRequest,
};
use crate::shared::Shared;

/// The response of both methods, which have the same fields.
type RegisterResponse = RegisterUsingIamMethodResponse;

/// A call that has been logged, and how to process it.
pub(crate) struct LoggedCall {
    /// The index in the call log.
    pub(crate) index: usize,
    pub(crate) action: CallAction,
}

/// Serves one stream. The outcome is logged when the stream ends.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    call: LoggedCall,
    request: Request<Incoming>,
) -> Response<Body> {
    match request.uri().path() {
        method::REGISTER_USING_IAM => {
            serve_method::<RegisterUsingIamMethodRequest>(shared, connection, call, request).await
        }
        method::REGISTER_USING_AZURE => {
            serve_method::<RegisterUsingAzureMethodRequest>(shared, connection, call, request).await
        }
        path => {
            let message = format!("the development cluster does not serve {path}");
            shared.log.end(call.index, Outcome::Refused(Code::Unimplemented, message.clone()));
            Status::unimplemented(message).into_http()
        }
    }
}

/// The request of a join method.
trait RegisterRequest: Message + Default + std::fmt::Debug + 'static {
    /// Returns a new challenge in the encoding of the method.
    fn challenge() -> Result<String, Error>;
    /// Takes the part of the request that all methods have.
    fn take_common(&mut self) -> RegisterUsingTokenRequest;
    fn attestation<'a>(&'a self, challenge: &'a str) -> Attestation<'a>;
}

impl RegisterRequest for RegisterUsingIamMethodRequest {
    fn challenge() -> Result<String, Error> {
        random::<32>().map(|bytes| BASE64_STANDARD_NO_PAD.encode(bytes))
    }

    fn take_common(&mut self) -> RegisterUsingTokenRequest {
        self.register_using_token_request.take().unwrap_or_default()
    }

    fn attestation<'a>(&'a self, challenge: &'a str) -> Attestation<'a> {
        Attestation::Aws { request: &self.sts_identity_request, challenge }
    }
}

impl RegisterRequest for RegisterUsingAzureMethodRequest {
    fn challenge() -> Result<String, Error> {
        random::<24>().map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    fn take_common(&mut self) -> RegisterUsingTokenRequest {
        self.register_using_token_request.take().unwrap_or_default()
    }

    fn attestation<'a>(&'a self, challenge: &'a str) -> Attestation<'a> {
        Attestation::Azure { document: &self.attested_data, access_token: &self.access_token, challenge }
    }
}

async fn serve_method<R: RegisterRequest>(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    call: LoggedCall,
    request: Request<Incoming>,
) -> Response<Body> {
    let service = JoinStream(Some((shared, connection, call)), PhantomData::<R>);
    Grpc::new(ProstCodec::<RegisterResponse, R>::new()).streaming(service, request).await
}

type Responses = Sender<Result<RegisterResponse, Status>>;

/// The tonic service for one stream.
struct JoinStream<R>(Option<(Arc<Shared>, Arc<Connection>, LoggedCall)>, PhantomData<R>);

impl<R: RegisterRequest> StreamingService<R> for JoinStream<R> {
    type Response = RegisterResponse;
    type ResponseStream = ReceiverStream<Result<RegisterResponse, Status>>;
    type Future = std::future::Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<R>>) -> Self::Future {
        let (responses, stream) = channel(1);
        if let Some((shared, connection, call)) = self.0.take() {
            tokio::spawn(run(shared, connection, call, request.into_inner(), responses));
        }
        std::future::ready(Ok(tonic::Response::new(ReceiverStream::new(stream))))
    }
}

/// Runs a stream to completion and logs its outcome. A client that disconnects ends the stream as well.
async fn run<R: RegisterRequest>(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    LoggedCall { index, action }: LoggedCall,
    mut requests: Streaming<R>,
    responses: Responses,
) {
    let result = match &action {
        CallAction::BreakStream(StreamFault::EndImmediately) => Ok(None),
        CallAction::Refuse(error) => {
            let result = exchange(&shared, index, &action, &mut requests, &responses).await;
            result.and(Err(error.clone()))
        }
        _ => exchange(&shared, index, &action, &mut requests, &responses).await,
    };
    if matches!(action, CallAction::DropResponse) {
        shared.log.end(index, Outcome::ResponseDropped);
        connection.abort.notify_one();
        return;
    }
    let (outcome, response) = match result {
        Ok(None) => (Outcome::ResponseDropped, None),
        Ok(Some(certs)) => {
            let response = RegisterResponse { certs: Some(certs), ..RegisterResponse::default() };
            (Outcome::Succeeded, Some(Ok(response)))
        }
        Err(error) => (Outcome::Refused(error.code, error.message.clone()), Some(Err(error.into()))),
    };
    shared.log.end(index, outcome);
    if let Some(response) = response {
        let _ = responses.send(response).await;
    }
}

/// Sends the challenge, receives the request and lets the bot join. Returns `None` if a scripted fault ends the stream
/// without certificates.
async fn exchange<R: RegisterRequest>(
    shared: &Shared,
    index: usize,
    action: &CallAction,
    requests: &mut Streaming<R>,
    responses: &Responses,
) -> Result<Option<Certs>, ApiError> {
    let challenge = match action {
        CallAction::BreakStream(StreamFault::Challenge(challenge)) => challenge.clone(),
        _ => R::challenge()?,
    };
    let response = RegisterResponse { challenge: challenge.clone(), ..RegisterResponse::default() };
    let _ = responses.send(Ok(response)).await;
    let disconnected = || ApiError::new(Code::Cancelled, "the client has disconnected");
    let mut request = requests.message().await.ok().flatten().ok_or_else(disconnected)?;
    shared.log.set_request(index, Bytes::from(request.encode_to_vec()), format!("{request:?}"));
    if matches!(action, CallAction::BreakStream(StreamFault::EndWithoutCertificates) | CallAction::Refuse(_))
    {
        return Ok(None);
    }
    let common = request.take_common();
    if common.token.is_empty() || common.role != "Bot" {
        return Err(ApiError::invalid_argument("missing parameter Token, or a role other than Bot"));
    }
    let expires = common.expires.map(SystemTime::try_from).transpose();
    let expires = expires.map_err(|_| ApiError::invalid_argument("expires: out of range"))?;
    let join = JoinRequest {
        token: &common.token,
        attestation: request.attestation(&challenge),
        host: &common.node_name,
        ssh_key: &common.public_ssh_key,
        expires,
    };
    shared.join(&join).map(Some)
}
