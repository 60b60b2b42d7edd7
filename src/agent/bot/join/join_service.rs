//! Joins by responding to a challenge, with `proto.JoinService` at the proxy: on one stream, the server sends a
//! challenge, the agent responds once, and the server sends certificates. The exchange is never repeated here.

use std::error::Error;
use std::time::{Duration, SystemTime};

use http::uri::PathAndQuery;
use prost_types::Timestamp;
use tokio::sync::mpsc;
use tonic::codec::Streaming;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::attestation::{Challenge, CloudAttestation};
use super::error::{JoinError, UNSUPPORTED_PROTOCOL, hint_for_attestation};
use crate::agent::bot::join_token::JoinToken;
use crate::agent::credential::identity::SignedCerts;
use crate::agent::credential::keys::KeyPair;
use crate::agent::net::connection_error::ConnectionError;
use crate::agent::net::dialler::Dialler;
use crate::agent::net::web::WebError;
use crate::agent::teleport::api_error::connection_error;
use crate::agent::teleport::grpc::Connector;
use crate::agent::teleport::grpc_code::GrpcCode;
use crate::agent::teleport::messages::{
    RegisterUsingAzureMethodRequest, RegisterUsingAzureMethodResponse, RegisterUsingTokenRequest,
};

const IAM: &str = "/proto.JoinService/RegisterUsingIAMMethod";
const AZURE: &str = "/proto.JoinService/RegisterUsingAzureMethod";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout of the whole exchange, including the connection. Servers wait for one minute; this is shorter, because a
/// shutdown waits for the exchange.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(25);
/// The maximum size of a message, in bytes: many times the size of two certificates and the cluster's CAs.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// The request of both methods, so that the exchange is compiled only once. The message of the IAM method has the same
/// encoding without the access token; its `sts_identity_request` corresponds to `attested_data`.
type RegisterRequest = RegisterUsingAzureMethodRequest;
/// The response of both methods, which have the same fields.
type RegisterResponse = RegisterUsingAzureMethodResponse;

/// The certificates that a join requests: for which key, with which token, and their expiry.
pub(super) struct CertRequest<'a> {
    pub(super) token: &'a JoinToken,
    pub(super) key: &'a KeyPair,
    pub(super) expires: SystemTime,
}

/// Joins by responding to the cluster's challenge with `cloud`.
pub(super) async fn join(
    dialler: &Dialler,
    cloud: &CloudAttestation,
    cert_request: CertRequest<'_>,
) -> Result<SignedCerts, JoinError> {
    let exchange = exchange(dialler, cloud, cert_request);
    let timed_out = |_| Err(lost("the exchange timed out"));
    tokio::time::timeout(EXCHANGE_TIMEOUT, exchange).await.unwrap_or_else(timed_out)
}

async fn exchange(
    dialler: &Dialler,
    cloud: &CloudAttestation,
    cert_request: CertRequest<'_>,
) -> Result<SignedCerts, JoinError> {
    let target = dialler.to_join_service().map_err(no_response)?;
    let unreachable = |error: tonic::transport::Error| lost(error);
    // The connector decides where to connect. The address only fills `:authority`, which the proxy ignores.
    let channel = Endpoint::from_static("http://teleport.cluster.local")
        .connect_timeout(CONNECT_TIMEOUT)
        .connect_with_connector(Connector(target))
        .await
        .map_err(unreachable)?;
    let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    grpc.ready().await.map_err(unreachable)?;

    let (sender, requests) = mpsc::channel(1);
    let path = PathAndQuery::from_static(match cloud {
        CloudAttestation::Aws(_) => IAM,
        CloudAttestation::Azure(_) => AZURE,
    });
    let codec = ProstCodec::<RegisterRequest, RegisterResponse>::default();
    let mut secrets = cloud.secrets();
    let opened = grpc.streaming(Request::new(ReceiverStream::new(requests)), path, codec).await;
    let mut stream = opened.map_err(|status| join_error(status, &secrets))?.into_inner();

    let challenge = receive(&mut stream, &secrets, "before its challenge").await?.challenge;
    let challenge =
        Challenge::new(challenge).map_err(|problem| JoinError::MalformedResponse(problem.to_owned()))?;
    let request = sign_challenge(cloud, &challenge, cert_request, dialler.clock().now()).await?;
    secrets.extend(aws_signature(&request));
    // If the server has closed the stream, the next receive returns the reason.
    let _ = sender.send(request).await;
    let response = receive(&mut stream, &secrets, "before its certificates").await?;
    let no_certs = || JoinError::MalformedResponse("it contains no certificates".to_owned());
    Ok(response.certs.ok_or_else(no_certs)?.into())
}

/// Returns the signature of the STS request, which is as good as the credentials while it is valid.
fn aws_signature(request: &RegisterRequest) -> Option<String> {
    let (_, rest) = std::str::from_utf8(&request.attested_data).ok()?.split_once("Signature=")?;
    Some(rest.split('\r').next()?.to_owned())
}

impl CloudAttestation {
    /// Returns the values to redact in messages, the longest first, because one may be a part of another.
    fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = match self {
            Self::Aws(aws) => aws.secrets().map(str::to_owned).collect(),
            Self::Azure(azure) => {
                let token = azure.access_token().expose();
                std::iter::once(token).chain(token.split('.')).map(str::to_owned).collect()
            }
        };
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }
}

/// Returns the request that responds to `challenge`.
async fn sign_challenge(
    cloud: &CloudAttestation,
    challenge: &Challenge,
    cert_request: CertRequest<'_>,
    now: SystemTime,
) -> Result<RegisterRequest, JoinError> {
    let mut common = RegisterUsingTokenRequest {
        role: "Bot".to_owned(),
        token: cert_request.token.expose().to_owned(),
        public_tls_key: cert_request.key.public_pem().into_bytes(),
        public_ssh_key: cert_request.key.ssh_line()?.into_bytes(),
        expires: None,
    };
    let (attested_data, access_token) = match cloud {
        CloudAttestation::Aws(aws) => {
            common.expires = Some(Timestamp::from(cert_request.expires));
            let signed = aws
                .sts_request(challenge, now)
                .map_err(|error| JoinError::InvalidRequest(format!("this machine's clock: {error}")))?;
            (signed.into_bytes(), String::new())
        }
        // Like the Go agent, requests no expiry. Servers issue certificates for one hour.
        CloudAttestation::Azure(azure) => {
            (azure.document(challenge).await?, azure.access_token().expose().to_owned())
        }
    };
    Ok(RegisterRequest { register_using_token_request: Some(common), attested_data, access_token })
}

/// Receives the next message. `when` says in an error at which point the server ended the stream.
async fn receive(
    stream: &mut Streaming<RegisterResponse>,
    secrets: &[String],
    when: &str,
) -> Result<RegisterResponse, JoinError> {
    let message = stream.message().await.map_err(|status| join_error(status, secrets))?;
    message.ok_or_else(|| lost(format!("it ended the exchange {when}")))
}

/// Returns the error for an exchange that was lost because of an error of the connection.
fn lost(error: impl Into<Box<dyn Error + Send + Sync>>) -> JoinError {
    no_response(ConnectionError::new(error))
}

fn no_response(error: impl Into<WebError>) -> JoinError {
    JoinError::NoResponse { error: error.into(), hint: None }
}

/// Converts a gRPC status. One with a source comes from the connection. Any other comes from the server, and its message
/// may repeat what the agent sent, so secrets are redacted.
fn join_error(status: Status, secrets: &[String]) -> JoinError {
    if status.source().is_some() {
        return no_response(connection_error(status));
    }
    let message = secrets
        .iter()
        .fold(status.message().to_owned(), |message, secret| message.replace(secret.as_str(), "..."));
    let code = status.code();
    let hint = match code {
        Code::Unimplemented => Some(UNSUPPORTED_PROTOCOL),
        _ => hint_for_attestation(matches!(code, Code::PermissionDenied | Code::NotFound), &message),
    };
    JoinError::ChallengeRefused { code: GrpcCode::new(code), message: message.into(), hint }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::agent::teleport::messages::{
        Certs, RegisterUsingIamMethodRequest, RegisterUsingIamMethodResponse,
    };

    #[test]
    fn secrets_are_redacted_in_a_refusal() {
        let secrets = ["session/hunter2".to_owned(), "hunter2".to_owned()];
        let status = Status::permission_denied("got session/hunter2 and hunter2");
        let error = join_error(status, &secrets);
        assert!(!error.is_transient());
        let JoinError::ChallengeRefused { code, message, .. } = error else { panic!("{error}") };
        assert_eq!((code, message.raw()), (GrpcCode::PermissionDenied, "got ... and ..."));
    }

    #[test]
    fn a_request_has_the_encoding_of_the_iam_method() {
        let common = Some(RegisterUsingTokenRequest { role: "Bot".to_owned(), ..Default::default() });
        let (signed, access_token) = (b"POST / HTTP/1.1".to_vec(), String::new());
        let iam = RegisterUsingIamMethodRequest {
            register_using_token_request: common.clone(),
            sts_identity_request: signed.clone(),
        };
        let ours =
            RegisterRequest { register_using_token_request: common, attested_data: signed, access_token };
        assert_eq!(ours.encode_to_vec(), iam.encode_to_vec());
        let response = RegisterUsingIamMethodResponse {
            challenge: "challenge".to_owned(),
            certs: Some(Certs { tls: b"certificate".to_vec(), ..Certs::default() }),
        };
        let ours = RegisterResponse::decode(response.encode_to_vec().as_slice()).unwrap();
        assert_eq!((ours.challenge, ours.certs), (response.challenge, response.certs));
    }

    #[test]
    fn codes_of_an_outage_are_transient() {
        for (code, is_transient) in [
            (Code::Unknown, true),
            (Code::Internal, true),
            (Code::Unavailable, true),
            (Code::ResourceExhausted, true),
            (Code::DeadlineExceeded, true),
            (Code::InvalidArgument, false),
            (Code::NotFound, false),
            (Code::Unimplemented, false),
        ] {
            assert_eq!(join_error(Status::new(code, "no"), &[]).is_transient(), is_transient, "{code:?}");
        }
    }
}
