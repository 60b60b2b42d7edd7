//! `teleport.join.v1.JoinService`, which servers offer since a release of version 18: one stream for all join methods. The client
//! names the token and the method, the cluster confirms the method, and the client sends the message of the method, to which the
//! cluster may respond with a challenge.

use std::sync::Arc;
use std::time::SystemTime;

use tonic::Code;

use crate::authorities::SubjectKeys;
use crate::bound_keypair::{ClientEvidence, new_challenge, verify_solution};
use crate::error::ApiError;
use crate::faults::{CallAction, StreamFault};
use crate::identity::Caller;
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
        let signature_algorithm_suite = stream.shared.state().signature_algorithm_suite.clone();
        let confirmation = join_v1::ServerInit { join_method: method, signature_algorithm_suite };
        stream.send(response(ToClient::Init(confirmation))).await?;

        let message = receive(stream).await?;
        if stream.ends_before_processing()
            && !matches!(
                message,
                FromClient::IamInit(_) | FromClient::AzureInit(_) | FromClient::BoundKeypairInit(_)
            )
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
            FromClient::BoundKeypairInit(init) => return join_with_bound_keypair(stream, token, init).await,
            FromClient::ClientInit(_) | FromClient::Solution(_) => {
                return Err(unexpected("the second message is not that of a join method"));
            }
        };
        Ok(Some(result(&certs, None)?))
    }
}

async fn join_with_bound_keypair(
    stream: &mut Stream,
    token: &str,
    init: join_v1::BoundKeypairInit,
) -> Result<Option<join_v1::JoinResponse>, ApiError> {
    let denied = || ApiError::permission_denied("token expired or not found");
    let connection = Arc::clone(&stream.connection);
    let caller = connection.caller.as_ref().ok();
    let evidence = ClientEvidence {
        registration_secret: &init.initial_join_secret,
        join_state: &init.previous_join_state,
        caller,
    };
    let plan = {
        let (mut state, now) = (stream.shared.state(), (stream.shared.clock)());
        state.bound_keypair(token).ok_or_else(denied)?.begin(&evidence, now)?
    };
    let mut key = match &plan.first_key {
        Some(key) => key.clone(),
        None => request_key(stream).await?,
    };
    challenge_key(stream, &key).await?;
    stream.shared.state().bound_keypair(token).ok_or_else(denied)?.admit(&evidence)?;
    if plan.rotates {
        let new = request_key(stream).await?;
        challenge_key(stream, &new).await?;
        if new == key {
            return Err(unexpected("public key may not be reused after rotation"));
        }
        key = new;
    }
    if stream.ends_before_processing() {
        return Ok(None);
    }
    let (shared, now) = (&stream.shared, (stream.shared.clock)());
    let request = join_request(token, init.client_params, Attestation::None, caller)?;
    let (grant, result_of_keypair) = {
        let mut state = shared.state();
        let grant = state.join_with_bound_keypair(token, &plan, &key, &request, now)?;
        let join_state = state.bound_keypair(token).ok_or_else(denied)?.join_state();
        (grant, join_v1::BoundKeypairResult { join_state, public_key: key.into_bytes() })
    };
    let certs = shared.bot_certs(grant, request.keys, now)?;
    Ok(Some(result(&certs, Some(result_of_keypair))?))
}

/// Asks the client for a new key, and returns its authorized_keys line.
async fn request_key(stream: &mut Stream) -> Result<String, ApiError> {
    let signature_algorithm_suite = stream.shared.state().signature_algorithm_suite.clone();
    let request = join_v1::BoundKeypairRotationRequest { signature_algorithm_suite };
    match ask(stream, Challenge::BoundKeypairRotationRequest(request)).await? {
        Solution::BoundKeypairRotationResponse(response) => String::from_utf8(response.public_key)
            .map_err(|_| unexpected("the public key is not an authorized_keys line")),
        _ => Err(unexpected("not a new public key")),
    }
}

/// Lets the client prove that it has the key of this authorized_keys line.
async fn challenge_key(stream: &mut Stream, line: &str) -> Result<(), ApiError> {
    let challenge = new_challenge(&stream.shared.name)?;
    let request = join_v1::BoundKeypairChallenge { public_key: line.into(), challenge: challenge.clone() };
    match ask(stream, Challenge::BoundKeypairChallenge(request)).await? {
        Solution::BoundKeypairChallengeSolution(solution) => {
            verify_solution(line, &challenge, &solution.solution)
        }
        _ => Err(unexpected("not the solution of the challenge")),
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
    let solution = ask(stream, challenge).await;
    if stream.ends_before_processing() { Ok(None) } else { solution.map(Some) }
}

/// Sends a challenge, and returns the client's solution.
async fn ask(stream: &mut Stream, challenge: Challenge) -> Result<Solution, ApiError> {
    let challenge = join_v1::Challenge { payload: Some(challenge) };
    stream.send(response(ToClient::Challenge(challenge))).await?;
    match receive(stream).await? {
        FromClient::Solution(join_v1::ChallengeSolution { payload: Some(solution) }) => Ok(solution),
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
    let caller = stream.connection.caller.as_ref().ok();
    stream.shared.join(&join_request(token, params, attestation, caller)?)
}

fn join_request<'a>(
    token: &'a str,
    params: Option<ClientParams>,
    attestation: Attestation<'a>,
    caller: Option<&'a Caller>,
) -> Result<JoinRequest<'a>, ApiError> {
    let params = params.and_then(|params| params.payload);
    let Some(Params::BotParams(params)) = params else {
        return Err(unexpected("no parameters of a bot"));
    };
    let public_keys = params.public_keys.unwrap_or_default();
    let keys = SubjectKeys::parse_binary(&public_keys.public_ssh_key, &public_keys.public_tls_key)
        .map_err(|error| ApiError::invalid_argument(format!("failed to parse public key: {error}")))?;
    let expires = params.expires.map(SystemTime::try_from).transpose();
    let expires = expires.map_err(|_| ApiError::invalid_argument("expires: out of range"))?;
    Ok(JoinRequest { token, attestation, host: "", keys, expires, caller })
}

fn response(payload: ToClient) -> join_v1::JoinResponse {
    join_v1::JoinResponse { payload: Some(payload) }
}

/// Returns the last response, with the certificates in binary encodings.
fn result(
    certs: &Certs,
    bound_keypair_result: Option<join_v1::BoundKeypairResult>,
) -> Result<join_v1::JoinResponse, ApiError> {
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
    let bot = join_v1::BotResult { certificates: Some(certificates), bound_keypair_result };
    let result = join_v1::Result { payload: Some(JoinResult::BotResult(bot)) };
    Ok(response(ToClient::Result(result)))
}
