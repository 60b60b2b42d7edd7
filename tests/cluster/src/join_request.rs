//! Join requests, and the verification of their attestation against the join method of their token.

use std::sync::Arc;
use std::time::SystemTime;

use crate::authorities::SubjectKeys;
use crate::aws::{AwsUser, StsRequestError};
use crate::azure::{AzureError, AzureMachine};
use crate::bound_keypair::BoundKeypairToken;
use crate::identity::Caller;
use crate::oidc::{IdTokenError, TrustedIssuer};

/// A decoded join request.
pub(crate) struct JoinRequest<'a> {
    pub(crate) token: &'a str,
    pub(crate) attestation: Attestation<'a>,
    /// The host name that the client reports; bots leave it empty.
    pub(crate) host: &'a str,
    pub(crate) keys: SubjectKeys,
    pub(crate) expires: Option<SystemTime>,
    /// The client, if it has presented a certificate.
    pub(crate) caller: Option<&'a Caller>,
}

/// The evidence of where the client runs, for tokens that are not secret.
#[derive(Clone, Copy)]
pub(crate) enum Attestation<'a> {
    None,
    IdToken(&'a str),
    Aws { request: &'a [u8], challenge: &'a str },
    Azure { document: &'a [u8], access_token: &'a str, challenge: &'a str },
}

/// The join method of a token, and what it accepts.
pub(crate) enum TokenMethod {
    /// A secret token that can be used once, until it expires.
    SingleUse { expires: SystemTime },
    /// ID tokens of this issuer.
    Oidc(TrustedIssuer),
    /// Requests signed by this user.
    Aws(AwsUser),
    /// Documents of this machine.
    Azure(Arc<AzureMachine>),
    /// Challenges that a key pair has signed. Only in a separate exchange.
    BoundKeypair(Box<BoundKeypairToken>),
}

/// The reason why a join is denied.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JoinDenied {
    #[error("token expired or not found")]
    UnknownToken,
    #[error("the token is for another join method")]
    OtherMethod,
    #[error("the identity token {0}")]
    IdToken(IdTokenError),
    #[error("the request to STS {0}")]
    Aws(StsRequestError),
    #[error("{0}")]
    Azure(AzureError),
}

impl TokenMethod {
    /// Whether this may be the join method `name`. The development cluster does not distinguish the methods with an ID token.
    pub(crate) fn may_be(&self, name: &str) -> bool {
        match self {
            Self::SingleUse { .. } => name == "token",
            Self::Aws(_) => name == "iam",
            Self::Azure(_) => name == "azure",
            Self::BoundKeypair(_) => name == "bound_keypair",
            Self::Oidc(_) => !matches!(name, "token" | "iam" | "azure" | "bound_keypair"),
        }
    }

    /// Verifies that `attestation` satisfies this method.
    pub(crate) fn verify(&self, attestation: Attestation<'_>, now: SystemTime) -> Result<(), JoinDenied> {
        match (self, attestation) {
            (Self::SingleUse { expires }, Attestation::None | Attestation::IdToken(_)) => {
                if *expires > now {
                    Ok(())
                } else {
                    Err(JoinDenied::UnknownToken)
                }
            }
            (Self::Oidc(issuer), Attestation::IdToken(token)) => {
                issuer.verify(token, now).map_err(JoinDenied::IdToken)
            }
            (Self::Oidc(_), Attestation::None) => Err(JoinDenied::IdToken(IdTokenError::NotSigned)),
            (Self::Aws(user), Attestation::Aws { request, challenge }) => {
                user.verify(request, challenge, now).map_err(JoinDenied::Aws)
            }
            (Self::Azure(machine), Attestation::Azure { document, access_token, challenge }) => {
                machine.verify(document, access_token, challenge, now).map_err(JoinDenied::Azure)
            }
            _ => Err(JoinDenied::OtherMethod),
        }
    }
}
