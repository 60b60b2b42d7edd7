//! `teleport.join.v1.JoinService`, which servers offer since a release of version 18: one stream for all join methods. The client
//! names the token and the method, the cluster confirms the method, and the client sends the message of the method, to which the
//! cluster may respond with a challenge.

use std::time::SystemTime;

use tonic::Code;

use crate::authorities::SubjectKeys;
use crate::error::ApiError;
use crate::faults::{CallAction, StreamFault};
use crate::join_request::{Attestation, JoinRequest};
use crate::join_service::{aws_challenge, azure_challenge};
use crate::join_stream::{JoinExchange, JoinStream};
use crate::keys;
use crate::proto::Certs;
use crate::proto::join_v1::challenge::Payload as Challenge;
use crate::proto::join_v1::challenge_solution::Payload as Solution;
use crate::proto::join_v1::client_params::Payload as Params;
use crate::proto::join_v1::join_request::Payload as FromClient;
use crate::proto::join_v1::join_response::Payload as ToClient;
use crate::proto::join_v1::result::Payload as JoinResult;
use crate::proto::join_v1::{self, ClientParams};

/// A join with any method.
pub(crate) struct JoinV1;

type Stream = JoinStream<join_v1::JoinRequest, join_v1::JoinResponse>;

impl JoinExchange for JoinV1 {
    type Request = join_v1::JoinRequest;
    type Response = join_v1::JoinResponse;

    async fn run(stream: &mut Stream) -> Result<Option<join_v1::JoinResponse>, ApiError> {
        let FromClient::ClientInit(init) = receive(stream).await? else {
            return Err(unexpected("the first message is not client_init"));
        };
        if init.token_name.is_empty() || init.system_role != "Bot" {
            return Err(ApiError::invalid_argument("missing token name, or a role other than Bot"));
        }
        let method = init.join_method.unwrap_or_default();
        match stream.shared.state().accepts_method(&init.token_name, &method) {
            None => return Err(ApiError::permission_denied("token expired or not found")),
            Some(false) => {
                let message = format!("the token is not for the join method {method:?}");
                return Err(ApiError::invalid_argument(message));
            }
            Some(true) => {}
        }
        let method = match &stream.action {
            CallAction::BreakStream(StreamFault::JoinMethod(other)) => other.clone(),
            _ => method,
        };
        let signature_algorithm_suite = "balanced-v1".to_owned();
        let confirmation = join_v1::ServerInit { join_method: method, signature_algorithm_suite };
        stream.send(response(ToClient::Init(confirmation))).await?;

        let message = receive(stream).await?;
        if stream.ends_before_processing()
            && !matches!(message, FromClient::IamInit(_) | FromClient::AzureInit(_))
        {
            return Ok(None);
        }
        let token = init.token_name.as_str();
        let certs = match message {
            FromClient::TokenInit(init) => join(stream, token, init.client_params, Attestation::None)?,
            FromClient::OidcInit(init) => {
                let id_token = String::from_utf8_lossy(&init.id_token);
                join(stream, token, init.client_params, Attestation::IdToken(&id_token))?
            }
            FromClient::IamInit(init) => {
                let challenge = scripted_challenge(stream).map_or_else(aws_challenge, Ok)?;
                let iam = Challenge::IamChallenge(join_v1::IamChallenge { challenge: challenge.clone() });
                let Some(Solution::IamChallengeSolution(solution)) = solve(stream, iam).await? else {
                    return Ok(None);
                };
                let request = &solution.sts_identity_request;
                join(stream, token, init.client_params, Attestation::Aws { request, challenge: &challenge })?
            }
            FromClient::AzureInit(init) => {
                let challenge = scripted_challenge(stream).map_or_else(azure_challenge, Ok)?;
                let azure =
                    Challenge::AzureChallenge(join_v1::AzureChallenge { challenge: challenge.clone() });
                let Some(Solution::AzureChallengeSolution(solution)) = solve(stream, azure).await? else {
                    return Ok(None);
                };
                let attestation = Attestation::Azure {
                    document: &solution.attested_data,
                    access_token: &solution.access_token,
                    challenge: &challenge,
                };
                join(stream, token, init.client_params, attestation)?
            }
            FromClient::GivingUp(giving_up) => return Err(ApiError::new(Code::Aborted, giving_up.msg)),
            FromClient::BoundKeypairInit(_) => {
                return Err(ApiError::new(
                    Code::Unimplemented,
                    "the development cluster has no bound key pairs",
                ));
            }
            FromClient::ClientInit(_) | FromClient::Solution(_) => {
                return Err(unexpected("the second message is not that of a join method"));
            }
        };
        Ok(Some(result(&certs)?))
    }
}

fn unexpected(problem: &str) -> ApiError {
    ApiError::invalid_argument(problem)
}

async fn receive(stream: &mut Stream) -> Result<FromClient, ApiError> {
    let message = stream.receive().await?.payload;
    message.ok_or_else(|| unexpected("a message without content, or with one that is not known"))
}

fn scripted_challenge(stream: &Stream) -> Option<String> {
    match &stream.action {
        CallAction::BreakStream(StreamFault::Challenge(challenge)) => Some(challenge.clone()),
        _ => None,
    }
}

/// Sends a challenge, and returns the client's solution. Returns `None` if a scripted fault ends the stream after it.
async fn solve(stream: &mut Stream, challenge: Challenge) -> Result<Option<Solution>, ApiError> {
    let challenge = join_v1::Challenge { payload: Some(challenge) };
    stream.send(response(ToClient::Challenge(challenge))).await?;
    match receive(stream).await? {
        _ if stream.ends_before_processing() => Ok(None),
        FromClient::Solution(join_v1::ChallengeSolution { payload: Some(solution) }) => Ok(Some(solution)),
        FromClient::GivingUp(giving_up) => Err(ApiError::new(Code::Aborted, giving_up.msg)),
        _ => Err(unexpected("not the solution of a challenge")),
    }
}

fn join(
    stream: &Stream,
    token: &str,
    params: Option<ClientParams>,
    attestation: Attestation<'_>,
) -> Result<Certs, ApiError> {
    let params = params.and_then(|params| params.payload);
    let Some(Params::BotParams(params)) = params else {
        return Err(unexpected("no parameters of a bot"));
    };
    let public_keys = params.public_keys.unwrap_or_default();
    let keys = SubjectKeys::parse_binary(&public_keys.public_ssh_key, &public_keys.public_tls_key)
        .map_err(|error| ApiError::invalid_argument(format!("failed to parse public key: {error}")))?;
    let expires = params.expires.map(SystemTime::try_from).transpose();
    let expires = expires.map_err(|_| ApiError::invalid_argument("expires: out of range"))?;
    let caller = stream.connection.caller.as_ref().ok();
    stream.shared.join(&JoinRequest { token, attestation, host: "", keys, expires, caller })
}

fn response(payload: ToClient) -> join_v1::JoinResponse {
    join_v1::JoinResponse { payload: Some(payload) }
}

/// Returns the last response, with the certificates in binary encodings.
fn result(certs: &Certs) -> Result<join_v1::JoinResponse, ApiError> {
    let der = |pem: &Vec<u8>| keys::der_from_pem(pem);
    let certificates = join_v1::Certificates {
        tls_cert: der(&certs.tls)?,
        tls_ca_certs: certs.tls_ca_certs.iter().map(der).collect::<Result<_, _>>()?,
        ssh_cert: keys::wire_from_line(&certs.ssh)?,
        ssh_ca_keys: certs
            .ssh_ca_certs
            .iter()
            .map(|line| keys::wire_from_line(line))
            .collect::<Result<_, _>>()?,
    };
    let bot = join_v1::BotResult { certificates: Some(certificates), bound_keypair_result: None };
    let result = join_v1::Result { payload: Some(JoinResult::BotResult(bot)) };
    Ok(response(ToClient::Result(result)))
}
