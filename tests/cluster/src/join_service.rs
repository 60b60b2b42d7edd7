//! `proto.JoinService`, for joins up to version 19: one stream for each method with a challenge, and one call that has the
//! content of the HTTP request. On a stream, the cluster sends a challenge, the client one request, and the cluster
//! certificates.

use std::marker::PhantomData;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use prost::Message;

use crate::error::{ApiError, Error};
use crate::faults::{CallAction, StreamFault};
use crate::identity::Caller;
use crate::join_request::{Attestation, JoinRequest};
use crate::join_stream::{JoinExchange, JoinStream};
use crate::keys::random;
use crate::proto::{
    Certs, RegisterUsingAzureMethodRequest, RegisterUsingIamMethodRequest, RegisterUsingIamMethodResponse,
    RegisterUsingTokenRequest,
};
use crate::shared::Shared;

/// The response of both methods, which have the same fields.
type RegisterResponse = RegisterUsingIamMethodResponse;

/// The request of a join method.
pub(crate) trait RegisterRequest: Message + Default + std::fmt::Debug + 'static {
    /// Returns a new challenge in the encoding of the method.
    fn challenge() -> Result<String, Error>;
    /// Takes the part of the request that all methods have.
    fn take_common(&mut self) -> RegisterUsingTokenRequest;
    fn attestation<'a>(&'a self, challenge: &'a str) -> Attestation<'a>;
}

/// Returns a new challenge for the method `iam`.
pub(crate) fn aws_challenge() -> Result<String, Error> {
    random::<32>().map(|bytes| BASE64_STANDARD_NO_PAD.encode(bytes))
}

/// Returns a new challenge for the method `azure`.
pub(crate) fn azure_challenge() -> Result<String, Error> {
    random::<24>().map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

impl RegisterRequest for RegisterUsingIamMethodRequest {
    fn challenge() -> Result<String, Error> {
        aws_challenge()
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
        azure_challenge()
    }

    fn take_common(&mut self) -> RegisterUsingTokenRequest {
        self.register_using_token_request.take().unwrap_or_default()
    }

    fn attestation<'a>(&'a self, challenge: &'a str) -> Attestation<'a> {
        Attestation::Azure { document: &self.attested_data, access_token: &self.access_token, challenge }
    }
}

/// A join with requests of the type `R`.
pub(crate) struct ChallengeJoin<R>(PhantomData<fn() -> R>);

impl<R: RegisterRequest> JoinExchange for ChallengeJoin<R> {
    type Request = R;
    type Response = RegisterResponse;

    async fn run(stream: &mut JoinStream<R, RegisterResponse>) -> Result<Option<RegisterResponse>, ApiError> {
        let challenge = match &stream.action {
            CallAction::BreakStream(StreamFault::Challenge(challenge)) => challenge.clone(),
            _ => R::challenge()?,
        };
        stream.send(RegisterResponse { challenge: challenge.clone(), ..RegisterResponse::default() }).await?;
        let mut request = stream.receive().await?;
        if stream.ends_before_processing() {
            return Ok(None);
        }
        let common = request.take_common();
        let caller = stream.connection.caller.as_ref().ok();
        let certs = stream.shared.register(&common, request.attestation(&challenge), caller)?;
        Ok(Some(RegisterResponse { certs: Some(certs), ..RegisterResponse::default() }))
    }
}

impl Shared {
    /// Serves `RegisterUsingToken`.
    pub(crate) fn register_using_token(
        &self,
        caller: Option<&Caller>,
        request: &RegisterUsingTokenRequest,
    ) -> Result<Certs, ApiError> {
        let attestation = match request.id_token.as_str() {
            "" => Attestation::None,
            token => Attestation::IdToken(token),
        };
        self.register(request, attestation, caller)
    }

    fn register(
        &self,
        common: &RegisterUsingTokenRequest,
        attestation: Attestation<'_>,
        caller: Option<&Caller>,
    ) -> Result<Certs, ApiError> {
        if common.token.is_empty() || common.role != "Bot" {
            return Err(ApiError::invalid_argument("missing parameter Token, or a role other than Bot"));
        }
        let expires = common.expires.map(SystemTime::try_from).transpose();
        let expires = expires.map_err(|_| ApiError::invalid_argument("expires: out of range"))?;
        self.join(&JoinRequest {
            token: &common.token,
            attestation,
            host: &common.node_name,
            keys: self.join_keys(&common.public_ssh_key, &common.public_tls_key)?,
            expires,
            caller,
        })
    }
}
