//! Joins through `proto.JoinService`, which servers 15 to 19 offer: by responding to a challenge on one stream, or with one
//! call that has the content of the HTTP request.

use prost_types::Timestamp;
use tonic::transport::Channel;

use super::attestation::{CloudAttestation, Jwt};
use super::challenge_response::ChallengeResponse;
use super::error::JoinError;
use super::exchange::Exchange;
use super::request::JoinRequest;
use crate::agent::credential::identity::SignedCerts;
use crate::agent::credential::keys::KeyPair;
use crate::agent::platform::Clock;
use crate::agent::teleport::grpc;
use crate::agent::teleport::messages::{
    Certs, RegisterUsingAzureMethodRequest, RegisterUsingAzureMethodResponse, RegisterUsingTokenRequest,
};

const IAM: &str = "/proto.JoinService/RegisterUsingIAMMethod";
const AZURE: &str = "/proto.JoinService/RegisterUsingAzureMethod";
const TOKEN: &str = "/proto.JoinService/RegisterUsingToken";

/// The request of both methods, so that the exchange is compiled only once. The message of the IAM method has the same
/// encoding without the access token; its `sts_identity_request` corresponds to `attested_data`.
type RegisterRequest = RegisterUsingAzureMethodRequest;
/// The response of both methods, which have the same fields.
type RegisterResponse = RegisterUsingAzureMethodResponse;

/// Joins by responding to the cluster's challenge with `cloud`.
pub(super) async fn join_with_challenge(
    channel: Channel,
    cloud: &CloudAttestation,
    request: &JoinRequest<'_>,
    key: &KeyPair,
    clock: &Clock,
) -> Result<SignedCerts, JoinError> {
    let method = match cloud {
        CloudAttestation::Aws(_) => IAM,
        CloudAttestation::Azure(_) => AZURE,
    };
    let mut exchange =
        Exchange::<RegisterRequest, RegisterResponse>::open(channel, method, None, request.context()).await?;
    let challenge = exchange.receive("before its challenge").await?.challenge;
    let response = ChallengeResponse::new(cloud, challenge, clock.now()).await?;
    if let Some(signature) = response.signature() {
        exchange.context.add_secret(signature);
    }
    let common = common_request(request, key)?;
    exchange.send(register_request(common, response)).await;
    let certs = exchange.receive("before its certificates").await?.certs;
    certs.map(SignedCerts::from).ok_or_else(JoinError::no_certificates)
}

/// Joins with one call.
pub(super) async fn join(
    channel: &Channel,
    id_token: Option<&Jwt>,
    request: &JoinRequest<'_>,
    key: &KeyPair,
) -> Result<SignedCerts, JoinError> {
    let common = RegisterUsingTokenRequest {
        id_token: id_token.map(Jwt::expose).unwrap_or_default().to_owned(),
        ..common_request(request, key)?
    };
    let response: Result<Certs, _> = grpc::call(channel, TOKEN, common).await;
    Ok(response.map_err(|status| request.context().join_error(status))?.into())
}

/// Returns the part of a request that all methods have.
fn common_request(request: &JoinRequest<'_>, key: &KeyPair) -> Result<RegisterUsingTokenRequest, JoinError> {
    Ok(RegisterUsingTokenRequest {
        role: "Bot".to_owned(),
        token: request.token.expose().to_owned(),
        public_tls_key: key.public_pem().into_bytes(),
        public_ssh_key: key.ssh_line()?.into_bytes(),
        id_token: String::new(),
        expires: Some(Timestamp::from(request.expires)),
    })
}

fn register_request(common: RegisterUsingTokenRequest, response: ChallengeResponse<'_>) -> RegisterRequest {
    let (common, attested_data, access_token) = match response {
        ChallengeResponse::Aws(signed) => (common, signed.into_bytes(), String::new()),
        // Like the Go agent, requests no expiry. Servers issue certificates for one hour.
        ChallengeResponse::Azure { document, azure } => {
            let access_token = azure.access_token().expose().to_owned();
            (RegisterUsingTokenRequest { expires: None, ..common }, document, access_token)
        }
    };
    RegisterRequest { register_using_token_request: Some(common), attested_data, access_token }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::agent::teleport::messages::{RegisterUsingIamMethodRequest, RegisterUsingIamMethodResponse};

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
}
