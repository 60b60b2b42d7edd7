//! Joins through `teleport.join.v1.JoinService`, which servers offer since a release of version 18: one stream for all join
//! methods.
//!
//! [`JoinStream::open`] ends when the server has said which method the token is for. A failure until then may mean that the
//! server does not offer this service; after it, the server has begun to process the join.

use prost_types::Timestamp;
use tonic::transport::Channel;

use super::attestation::{Attestation, CloudAttestation};
use super::bound_keypair::{BoundKeyStore, BoundKeypairExchange, KeypairSolution};
use super::challenge_response::ChallengeResponse;
use super::error::JoinError;
use super::exchange::{Exchange, with_timeout};
use super::request::JoinRequest;
use crate::agent::credential::identity::SignedCerts;
use crate::agent::credential::keys::KeyPair;
use crate::agent::platform::{Clock, ServerMessage};
use crate::agent::teleport::messages::join_v1::challenge::Payload as Challenge;
use crate::agent::teleport::messages::join_v1::challenge_solution::Payload as Solution;
use crate::agent::teleport::messages::join_v1::client_params::Payload as Params;
use crate::agent::teleport::messages::join_v1::join_request::Payload as ToServer;
use crate::agent::teleport::messages::join_v1::join_response::Payload as FromServer;
use crate::agent::teleport::messages::join_v1::result::Payload as JoinResult;
use crate::agent::teleport::messages::join_v1::{
    self, BotResult, BoundKeypairInit, Certificates, ChallengeSolution, GivingUpReason,
};

const JOIN: &str = "/teleport.join.v1.JoinService/Join";

/// A stream on which the server has accepted the join method.
pub(super) struct JoinStream {
    exchange: Exchange<join_v1::JoinRequest, join_v1::JoinResponse>,
    clock: Clock,
}

/// What a server sends after its first message.
enum Reply {
    Challenge(Challenge),
    Result(BotResult),
}

impl JoinStream {
    /// Opens a stream, and names the token and the join method.
    pub(super) async fn open(
        channel: Channel,
        request: &JoinRequest<'_>,
        clock: &Clock,
    ) -> Result<Self, JoinError> {
        let init = ToServer::ClientInit(join_v1::ClientInit {
            join_method: Some(request.method.to_string()),
            token_name: request.token.expose().to_owned(),
            system_role: "Bot".to_owned(),
        });
        let exchange = Exchange::open(channel, JOIN, Some(message(init)), request.context()).await?;
        let mut stream = Self { exchange, clock: clock.clone() };
        let reply = stream.exchange.receive("before its first message").await?;
        let Some(FromServer::Init(init)) = reply.payload else {
            return Err(malformed("its first message does not name the join method"));
        };
        if init.join_method == request.method.as_str() {
            return Ok(stream);
        }
        let other = ServerMessage::from(init.join_method);
        let error = malformed(format!("the token is for the join method {other}"));
        Err(stream.give_up(GivingUpReason::UnsupportedJoinMethod, error).await)
    }

    /// Joins for `key`, with the attestation of the request.
    pub(super) async fn join(
        mut self,
        request: &JoinRequest<'_>,
        key: &KeyPair,
    ) -> Result<SignedCerts, JoinError> {
        let params = client_params(request, key)?;
        let joined = with_timeout(request, async {
            match request.attestation {
                None => {
                    self.send(ToServer::TokenInit(join_v1::TokenInit { client_params: params })).await;
                    self.receive_result().await
                }
                Some(Attestation::IdToken(id_token)) => {
                    let id_token = id_token.expose().into();
                    self.send(ToServer::OidcInit(join_v1::OidcInit { client_params: params, id_token }))
                        .await;
                    self.receive_result().await
                }
                Some(Attestation::Cloud(cloud)) => {
                    self.send(cloud_init(cloud, params)).await;
                    self.respond_to_challenge(cloud).await
                }
            }
        });
        let certificates = joined.await?.certificates.ok_or_else(JoinError::no_certificates)?;
        SignedCerts::try_from(certificates).map_err(malformed)
    }

    /// Joins for `key`, and signs the server's challenges with the key pairs of `exchange`.
    pub(super) async fn join_with_bound_keypair(
        self,
        request: &JoinRequest<'_>,
        key: &KeyPair,
        exchange: &mut BoundKeypairExchange,
        store: &impl BoundKeyStore,
    ) -> Result<SignedCerts, JoinError> {
        let init = exchange.init(client_params(request, key)?);
        let answers = self.respond_to_challenges(init, exchange, store);
        let certificates = with_timeout(request, answers);
        SignedCerts::try_from(certificates.await?).map_err(malformed)
    }

    async fn respond_to_challenges(
        mut self,
        init: BoundKeypairInit,
        exchange: &mut BoundKeypairExchange,
        store: &impl BoundKeyStore,
    ) -> Result<Certificates, JoinError> {
        self.send(ToServer::BoundKeypairInit(init)).await;
        let mut is_pending = false;
        loop {
            let answer = match self.receive().await? {
                Reply::Result(result) => {
                    exchange.finish(result.bound_keypair_result)?;
                    return result.certificates.ok_or_else(JoinError::no_certificates);
                }
                Reply::Challenge(Challenge::BoundKeypairChallenge(challenge)) => exchange.sign(&challenge),
                Reply::Challenge(Challenge::BoundKeypairRotationRequest(request)) => {
                    exchange.rotate(&request, self.clock.now())
                }
                Reply::Challenge(_) => Err(malformed("its challenge is for another join method")),
            };
            let saved = async {
                let KeypairSolution { to_save, may_join, solution } = answer?;
                if may_join && !is_pending {
                    store.mark_pending().await?;
                    is_pending = true;
                }
                if let Some(keys) = to_save {
                    store.save_bound_keys(keys).await?;
                }
                Ok((may_join, solution))
            };
            match saved.await {
                Ok((may_join, solution)) => {
                    if may_join {
                        exchange.record_solution();
                    }
                    self.send(ToServer::Solution(ChallengeSolution { payload: Some(solution) })).await;
                }
                Err(error) => {
                    return Err(self.give_up(GivingUpReason::ChallengeSolutionFailed, error).await);
                }
            }
        }
    }

    async fn respond_to_challenge(&mut self, cloud: &CloudAttestation) -> Result<BotResult, JoinError> {
        let challenge = match self.receive().await? {
            Reply::Challenge(Challenge::IamChallenge(challenge)) => challenge.challenge,
            Reply::Challenge(Challenge::AzureChallenge(challenge)) => challenge.challenge,
            Reply::Challenge(_) => return Err(malformed("its challenge is for another join method")),
            Reply::Result(_) => return Err(malformed("it contains no challenge")),
        };
        let response = ChallengeResponse::new(cloud, challenge, self.clock.now()).await?;
        if let Some(signature) = response.signature() {
            self.exchange.context.add_secret(signature);
        }
        let solution = match response {
            ChallengeResponse::Aws(signed) => Solution::IamChallengeSolution(join_v1::IamChallengeSolution {
                sts_identity_request: signed.into_bytes(),
            }),
            ChallengeResponse::Azure { document, azure } => {
                Solution::AzureChallengeSolution(join_v1::AzureChallengeSolution {
                    intermediate: azure.issuers(&document).await?,
                    attested_data: document,
                    access_token: azure.access_token().expose().to_owned(),
                })
            }
        };
        self.send(ToServer::Solution(ChallengeSolution { payload: Some(solution) })).await;
        self.receive_result().await
    }

    async fn send(&self, payload: ToServer) {
        self.exchange.send(message(payload)).await;
    }

    async fn receive(&mut self) -> Result<Reply, JoinError> {
        match self.exchange.receive("before its certificates").await?.payload {
            Some(FromServer::Challenge(join_v1::Challenge { payload: Some(challenge) })) => {
                Ok(Reply::Challenge(challenge))
            }
            Some(FromServer::Result(join_v1::Result { payload: Some(JoinResult::BotResult(result)) })) => {
                Ok(Reply::Result(result))
            }
            _ => Err(malformed("it contains neither a challenge that this agent knows nor a result")),
        }
    }

    async fn receive_result(&mut self) -> Result<BotResult, JoinError> {
        match self.receive().await? {
            Reply::Result(result) => Ok(result),
            Reply::Challenge(_) => {
                Err(malformed("it contains a challenge that does not belong to the join method"))
            }
        }
    }

    /// Tells the server why the join ends, for its log, and returns `error`.
    async fn give_up(self, reason: GivingUpReason, error: JoinError) -> JoinError {
        let giving_up = join_v1::GivingUp { reason: reason.into(), msg: error.to_string() };
        self.exchange.close_with(message(ToServer::GivingUp(giving_up))).await;
        error
    }
}

fn message(payload: ToServer) -> join_v1::JoinRequest {
    join_v1::JoinRequest { payload: Some(payload) }
}

fn malformed(problem: impl Into<String>) -> JoinError {
    JoinError::MalformedResponse(problem.into())
}

fn cloud_init(cloud: &CloudAttestation, client_params: Option<join_v1::ClientParams>) -> ToServer {
    match cloud {
        CloudAttestation::Aws(_) => ToServer::IamInit(join_v1::IamInit { client_params }),
        CloudAttestation::Azure(_) => ToServer::AzureInit(join_v1::AzureInit { client_params }),
    }
}

/// Returns the keys to certify, and the requested expiry.
fn client_params(
    request: &JoinRequest<'_>,
    key: &KeyPair,
) -> Result<Option<join_v1::ClientParams>, JoinError> {
    let public_keys =
        join_v1::PublicKeys { public_tls_key: key.spki_der().to_vec(), public_ssh_key: key.ssh_wire()? };
    let bot = join_v1::BotParams {
        public_keys: Some(public_keys),
        expires: Some(Timestamp::from(request.expires)),
    };
    Ok(Some(join_v1::ClientParams { payload: Some(Params::BotParams(bot)) }))
}
