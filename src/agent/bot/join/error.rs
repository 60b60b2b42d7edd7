//! Errors from joining, and hints for the operator. Pure.

use std::fmt;

use tonic::Code;

use super::attestation::AttestationError;
use crate::agent::credential::identity::IdentityError;
use crate::agent::credential::keys::KeyError;
use crate::agent::net::web::WebError;

/// A failed join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The proxy was not reached, or its response was lost. If it was lost, a single-use token may be used up.
    #[error("no response from the proxy to the join request: {error}{hint}")]
    NoResponse {
        /// The cause.
        error: WebError,
        /// How to fix the problem.
        hint: JoinHint,
    },
    /// The server refused an HTTP request to join.
    #[error("the cluster refused the join request: {message} (HTTP {status}){hint}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The server's message, with secrets redacted.
        message: String,
        /// How to fix the problem.
        hint: JoinHint,
    },
    /// The server refused a join with a challenge, before or after its challenge.
    #[error("the cluster refused the join request: {message} ({code:?}){hint}")]
    ChallengeRefused {
        /// gRPC status code.
        code: Code,
        /// The server's message, with secrets redacted.
        message: String,
        /// How to fix the problem.
        hint: JoinHint,
    },
    /// The agent cannot obtain the attestation for the server's challenge.
    #[error(transparent)]
    Attestation(#[from] AttestationError),
    /// The server accepted the join, but its response does not contain a usable identity.
    #[error("the cluster's response to the join request does not contain a usable identity: {0}")]
    InvalidIdentity(#[from] IdentityError),
    /// The server's response does not have the expected form.
    #[error("the cluster's response to the join request is malformed: {0}")]
    MalformedResponse(String),
    /// The agent cannot create the request.
    #[error("cannot create the join request: {0}")]
    InvalidRequest(String),
    /// The agent cannot generate or encode a key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl JoinError {
    /// Returns whether a retry may succeed: the server or a load balancer may respond differently later, and the token
    /// is not known to be used up.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoResponse { error: WebError::Failed(_), .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            // Servers use `Unknown` mostly for failures of their backends.
            Self::ChallengeRefused { code, .. } => matches!(
                code,
                Code::Unknown
                    | Code::Internal
                    | Code::Aborted
                    | Code::Cancelled
                    | Code::DeadlineExceeded
                    | Code::ResourceExhausted
                    | Code::Unavailable
            ),
            Self::Attestation(error) => error.is_transient(),
            Self::NoResponse { error: WebError::Tls(_), .. }
            | Self::InvalidIdentity(_)
            | Self::MalformedResponse(_)
            | Self::InvalidRequest(_)
            | Self::Key(_) => false,
        }
    }
}

/// What the operator can do about a failed join. Displayed after the error, so its message starts with a semicolon,
/// unless it is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinHint {
    /// No hint.
    None,
    /// The lost request may have used up the token.
    TokenMayBeUsed,
    /// The token has been used or has expired.
    TokenUsedOrExpired,
    /// The server lets a bot join only once.
    BotMayJoinOnce,
    /// The bot joined with a token before, and the server mistakes the new join for that of a stolen copy.
    LockedByJoinMethodChange,
    /// The bot or its user is locked, or was removed.
    LockedOrRemoved,
    /// AWS rejected the signed request.
    AwsRejected,
    /// The server does not know the STS endpoint of the region.
    UnknownStsHost,
    /// The token's definition does not match the attestation.
    TokenDoesNotMatch,
    /// The server does not support the protocol that the agent joins with.
    UnsupportedProtocol,
}

impl JoinHint {
    /// Returns the hint for a refused join with a secret token.
    pub(super) fn for_token(message: &str) -> Self {
        if message.contains("token expired or not found") {
            Self::TokenUsedOrExpired
        } else if message.contains("has already been issued a renewable certificate") {
            Self::BotMayJoinOnce
        } else {
            Self::None
        }
    }

    /// Returns the hint for a refused join with an attestation. `is_denied` says whether the status denies access.
    ///
    /// Servers have many messages for an attestation that the token's definition does not allow. They share one hint.
    pub(super) fn for_attestation(is_denied: bool, message: &str) -> Self {
        if message.contains("generation mismatch") {
            Self::LockedByJoinMethodChange
        } else if message.ends_with("access denied") {
            Self::LockedOrRemoved
        } else if message.contains("sts api returned") {
            Self::AwsRejected
        } else if message.contains("unknown STS host") {
            Self::UnknownStsHost
        } else if is_denied {
            Self::TokenDoesNotMatch
        } else {
            Self::None
        }
    }
}

impl fmt::Display for JoinHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "",
            Self::TokenMayBeUsed => {
                "; if the next attempt reports an unknown token, this attempt used it up: create a new token"
            }
            Self::TokenUsedOrExpired => {
                "; a token works only once and expires soon: create a new one (tctl bots add, or tctl bots instances add) \
                 and set onboarding.token"
            }
            Self::BotMayJoinOnce => {
                "; this server lets a bot join only once: remove and recreate the bot, and set onboarding.token"
            }
            Self::LockedByJoinMethodChange => {
                "; this bot joined with a token before, and is now locked because it joins with another method: remove the \
                 lock (tctl get locks), and create a separate bot for this join method"
            }
            Self::LockedOrRemoved => {
                "; check whether the bot or its user is locked (tctl get locks) or was removed (tctl bots ls)"
            }
            Self::AwsRejected => {
                "; AWS rejected the request that this agent signed: check its AWS credentials, and this machine's clock"
            }
            Self::UnknownStsHost => "; set AWS_REGION to a region whose STS endpoint this server knows",
            Self::TokenDoesNotMatch => {
                "; check (tctl get tokens) that onboarding.token names a token for this join method, and that the token's \
                 rules allow the environment in which this agent runs"
            }
            Self::UnsupportedProtocol => {
                "; this cluster does not support the protocol that this agent joins with: use a tbot version that \
                 matches the cluster"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_for_a_secret_token_depends_on_the_message() {
        for (message, hint) in [
            (
                "\"\" can not join the cluster with role \"Bot\", token expired or not found",
                JoinHint::TokenUsedOrExpired,
            ),
            ("bot has already been issued a renewable certificate", JoinHint::BotMayJoinOnce),
            ("rate limit exceeded", JoinHint::None),
        ] {
            assert_eq!(JoinHint::for_token(message), hint);
        }
    }
}
