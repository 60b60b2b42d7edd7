//! Joins by answering a challenge: `proto.JoinService` at the proxy, one stream in which the server speaks first, the agent
//! answers once, and certificates come back. One I/O edge; one exchange, never repeated here. Source: protocol facts,
//! section 2.5.

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use http::uri::PathAndQuery;
use prost::Message;
use prost_types::Timestamp;
use tokio::sync::mpsc;
use tonic::codec::Streaming;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::attestation::{Challenge, Cloud};
use super::{JoinError, hint_on_proof};
use crate::agent::bot::join_token::Token;
use crate::agent::credential::identity::SignedCerts;
use crate::agent::credential::keys::KeyPair;
use crate::agent::net::route::Route;
use crate::agent::net::web::{WebClient, WebError};
use crate::agent::platform::error_text::chain;
use crate::agent::teleport::grpc::Connector;
use crate::agent::teleport::messages::Certs;

const IAM: &str = "/proto.JoinService/RegisterUsingIAMMethod";
const AZURE: &str = "/proto.JoinService/RegisterUsingAzureMethod";

const CONNECT: Duration = Duration::from_secs(10);
/// Of everything from the first byte to the certificates. Servers wait for a minute; a stop waits for this.
const EXCHANGE: Duration = Duration::from_secs(25);
/// Of one answer, in bytes: two certificates and the cluster's authorities, many times over.
const LARGEST: usize = 1 << 20;

/// `proto.RegisterUsingIAMMethodRequest` and `proto.RegisterUsingAzureMethodRequest`, which begin alike.
#[derive(Clone, PartialEq, Message)]
struct Register {
    #[prost(message, optional, tag = "1")]
    register_using_token_request: Option<RegisterUsingToken>,
    /// `sts_identity_request`, or `attested_data`.
    #[prost(bytes = "vec", tag = "2")]
    proof: Vec<u8>,
    /// Of Azure only.
    #[prost(string, tag = "3")]
    access_token: String,
}

/// `types.RegisterUsingTokenRequest`, as far as a bot has something to say.
#[derive(Clone, PartialEq, Message)]
struct RegisterUsingToken {
    #[prost(string, tag = "3")]
    role: String,
    #[prost(string, tag = "4")]
    token: String,
    /// PEM.
    #[prost(bytes = "vec", tag = "7")]
    public_tls_key: Vec<u8>,
    /// An authorized_keys line.
    #[prost(bytes = "vec", tag = "8")]
    public_ssh_key: Vec<u8>,
    #[prost(message, optional, tag = "12")]
    expires: Option<Timestamp>,
}

/// `proto.RegisterUsingIAMMethodResponse` and `proto.RegisterUsingAzureMethodResponse`, which are alike.
#[derive(Clone, PartialEq, Message)]
struct Registered {
    #[prost(string, tag = "1")]
    challenge: String,
    #[prost(message, optional, tag = "2")]
    certs: Option<Certs>,
}

/// What a join asks for.
pub(super) struct Wish<'a> {
    pub(super) token: &'a Token,
    pub(super) key: &'a KeyPair,
    pub(super) expires: SystemTime,
}

/// The certificates that the cluster gives for the answer to its challenge.
pub(super) async fn certificates(
    route: &Route,
    web: &WebClient,
    cloud: &Cloud,
    wish: Wish<'_>,
) -> Result<SignedCerts, JoinError> {
    let exchange = exchange(route, web, cloud, wish);
    tokio::time::timeout(EXCHANGE, exchange).await.unwrap_or_else(|_| Err(lost("the time for it is over")))
}

async fn exchange(
    route: &Route,
    web: &WebClient,
    cloud: &Cloud,
    wish: Wish<'_>,
) -> Result<SignedCerts, JoinError> {
    let tls = route.to_join_service(web.tls()).map_err(WebError::from);
    let connector = Connector(tls.map_err(|error| JoinError::NoAnswer { error, hint: "" })?);
    let unreachable = |error: tonic::transport::Error| lost(format!("cannot connect: {}", chain(&error)));
    // With a connector of our own the address only fills `:authority`, which the proxy ignores.
    let channel = Endpoint::from_static("http://teleport.cluster.local")
        .connect_timeout(CONNECT)
        .connect_with_connector(connector)
        .await
        .map_err(unreachable)?;
    let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(LARGEST);
    grpc.ready().await.map_err(unreachable)?;

    let (answers, requests) = mpsc::channel(1);
    let path = PathAndQuery::from_static(match cloud {
        Cloud::Aws(_) => IAM,
        Cloud::Azure(_) => AZURE,
    });
    let codec = ProstCodec::<Register, Registered>::default();
    let mut secrets = cloud.secrets();
    let opened = grpc.streaming(Request::new(ReceiverStream::new(requests)), path, codec).await;
    let mut stream = opened.map_err(|status| refused(&status, &secrets))?.into_inner();

    let challenge = next(&mut stream, &secrets, "before its challenge").await?.challenge;
    let challenge = Challenge::new(challenge).map_err(|problem| JoinError::Malformed(problem.to_owned()))?;
    let register = solve(cloud, &challenge, wish, route.clock().now()).await?;
    secrets.extend(register.signature());
    // Whoever does not listen any more says why below.
    let _ = answers.send(register).await;
    let answer = next(&mut stream, &secrets, "before its certificates").await?;
    let certs = answer.certs.ok_or_else(|| JoinError::Malformed("it has no certificates".to_owned()))?;
    Ok(certs.into())
}

impl Register {
    /// What the request to STS is good by.
    fn signature(&self) -> Option<String> {
        let (_, rest) = std::str::from_utf8(&self.proof).ok()?.split_once("Signature=")?;
        Some(rest.split('\r').next()?.to_owned())
    }
}

impl Cloud {
    /// What gives access and must not come back in words. The longest first: another may be a part of it.
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

async fn solve(
    cloud: &Cloud,
    challenge: &Challenge,
    wish: Wish<'_>,
    now: SystemTime,
) -> Result<Register, JoinError> {
    let mut common = RegisterUsingToken {
        role: "Bot".to_owned(),
        token: wish.token.expose().to_owned(),
        public_tls_key: wish.key.public_pem().into_bytes(),
        public_ssh_key: wish.key.ssh_line()?.into_bytes(),
        expires: None,
    };
    let (proof, access_token) = match cloud {
        Cloud::Aws(aws) => {
            common.expires = Some(Timestamp::from(wish.expires));
            let signed = aws
                .sts_request(challenge, now)
                .map_err(|error| JoinError::Malformed(format!("this machine's clock: {error}")))?;
            (signed.into_bytes(), String::new())
        }
        // The Go agent asks for no end here, and servers give an hour.
        Cloud::Azure(azure) => (azure.document(challenge).await?, azure.access_token().expose().to_owned()),
    };
    Ok(Register { register_using_token_request: Some(common), proof, access_token })
}

async fn next(
    stream: &mut Streaming<Registered>,
    secrets: &[String],
    when: &str,
) -> Result<Registered, JoinError> {
    let message = stream.message().await.map_err(|status| refused(&status, secrets))?;
    message.ok_or_else(|| lost(format!("it ended the exchange {when}")))
}

fn lost(detail: impl Into<String>) -> JoinError {
    JoinError::NoAnswer { error: WebError::Failed(detail.into()), hint: "" }
}

/// A status with a source was made on this side, by the connection; the others are the server's words, which may repeat what
/// it was sent.
fn refused(status: &Status, secrets: &[String]) -> JoinError {
    if status.source().is_some() {
        return lost(chain(status));
    }
    let message = secrets
        .iter()
        .fold(status.message().to_owned(), |message, secret| message.replace(secret.as_str(), "..."));
    let code = status.code();
    let hint = match code {
        Code::Unimplemented => {
            "; this cluster does not let a bot join in this way any more: use a tbot that is made for it"
        }
        _ => hint_on_proof(matches!(code, Code::PermissionDenied | Code::NotFound), &message),
    };
    JoinError::Declined { code, message, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_taken_out_of_a_refusal_and_outages_are_told_from_it() {
        let secrets = ["session/hunter2".to_owned(), "hunter2".to_owned()];
        let status = Status::permission_denied("got session/hunter2 and hunter2");
        let refused = refused(&status, &secrets);
        assert!(!refused.is_transient());
        assert!(refused.to_string().contains("got ... and ... (PermissionDenied)"), "{refused}");
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
            assert_eq!(
                super::refused(&Status::new(code, "no"), &[]).is_transient(),
                is_transient,
                "{code:?}"
            );
        }
    }
}
