//! Errors from joining, and hints for the operator. Pure.

use super::attestation::AttestationError;
use crate::agent::bot::storage::StorageError;
use crate::agent::credential::identity::IdentityError;
use crate::agent::credential::keys::KeyError;
use crate::agent::net::web::HttpError;
use crate::agent::platform::{Hint, ServerMessage};
use crate::agent::teleport::grpc_code::GrpcCode;
use crate::config::JoinMethod;

/// A failed join.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The cluster was not reached, or its response was lost. If it was lost, a single-use token may be used up.
    #[error("no response from the cluster to the join request")]
    NoResponse {
        /// The cause.
        #[source]
        error: HttpError,
        /// Advice for the operator.
        hint: Option<Hint>,
    },
    /// The server responded to an HTTP request to join with an error.
    #[error("the cluster {} the join request: {message} (HTTP {status})", verb(*status >= 500))]
    Refused {
        /// HTTP status.
        status: u16,
        /// The server's message, with secrets redacted.
        message: ServerMessage,
        /// Advice for the operator.
        hint: Option<Hint>,
    },
    /// The join service responded with an error.
    #[error("the cluster {} the join request: {message} ({code:?})", verb(code.is_server_failure()))]
    ServiceRefused {
        /// gRPC status code.
        code: GrpcCode,
        /// The server's message, with secrets redacted.
        message: ServerMessage,
        /// Advice for the operator.
        hint: Option<Hint>,
    },
    /// The cluster does not offer the only service with which this method can join.
    #[error("this cluster{} does not offer the service teleport.join.v1, which the join method {method} needs", version_note(*version))]
    NoJoinService {
        /// The join method.
        method: JoinMethod,
        /// The cluster's major version, or 0 if it is unknown.
        version: u32,
    },
    /// The cluster asks for a key pair that the agent does not have.
    #[error("the cluster asks for a key pair that {}: {public_key}", place_of_key(*is_static))]
    LostKey {
        /// The public key, as the cluster has sent it.
        public_key: ServerMessage,
        /// Whether the agent has a static key pair, instead of those in the storage.
        is_static: bool,
    },
    /// The cluster asks for another key pair, and a static one cannot change.
    #[error("the cluster asks for another key pair, but a static key cannot be rotated")]
    StaticKeyRotation,
    /// Something that must be saved before the next message is sent cannot be saved. The message was not sent.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The agent cannot obtain the attestation for the server's challenge.
    #[error(transparent)]
    Attestation(#[from] AttestationError),
    /// The server accepted the join, but its response does not contain a usable identity.
    #[error("the cluster's response to the join request does not contain a usable identity")]
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

/// Returns what the cluster did with a request that it did not grant.
const fn verb(is_server_failure: bool) -> &'static str {
    if is_server_failure { "failed to process" } else { "refused" }
}

fn version_note(version: u32) -> String {
    if version == 0 { String::new() } else { format!(" (Teleport {version})") }
}

const fn place_of_key(is_static: bool) -> &'static str {
    if is_static { "is not the configured static key" } else { "the bot's storage does not contain" }
}

impl JoinError {
    /// Returns whether the server does not offer what the request was sent to, and so has not processed it.
    pub(super) fn is_not_offered(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status, 404 | 405 | 501),
            Self::ServiceRefused { code, .. } => *code == GrpcCode::Unimplemented,
            _ => false,
        }
    }

    /// Returns whether a failure to open a stream may come from a server that does not offer it: anything but a connection to the
    /// join service that was refused for a reason.
    pub(super) fn may_not_be_offered(&self) -> bool {
        match self {
            Self::NoResponse { .. } => true,
            Self::ServiceRefused { code, .. } => {
                !matches!(code, GrpcCode::PermissionDenied | GrpcCode::InvalidArgument)
            }
            _ => false,
        }
    }

    /// Returns whether the generation of the presented certificate is not the one that the server has stored.
    pub(crate) fn is_generation_mismatch(&self) -> bool {
        matches!(self, Self::ServiceRefused { message, .. } if message.raw().contains("generation mismatch"))
    }

    /// Returns whether the server refused a join with a bound key pair for a reason that it checks before it issues anything, although
    /// after it has the solution of the challenge.
    pub(crate) fn is_refused_before_issuing(&self) -> bool {
        const REASONS: [&str; 5] = [
            "join state verification failed",
            "previous join state",
            "bot instance mismatch",
            "validating challenge response",
            "is in force",
        ];
        let is_reason = |message: &ServerMessage| REASONS.iter().any(|reason| message.raw().contains(reason));
        matches!(self, Self::ServiceRefused { message, .. } if is_reason(message))
    }

    pub(super) fn no_certificates() -> Self {
        Self::MalformedResponse("it contains no certificates".to_owned())
    }

    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::NoResponse { error, hint } => error.hint().or_else(|| hint.clone()),
            Self::Refused { hint, .. } | Self::ServiceRefused { hint, .. } => hint.clone(),
            Self::Attestation(error) => error.hint(),
            Self::Storage(error) => error.hint(),
            Self::NoJoinService { .. } => Some(NO_JOIN_SERVICE),
            Self::LostKey { is_static: false, .. } => Some(KEY_LOST),
            Self::LostKey { is_static: true, .. } => Some(OTHER_STATIC_KEY),
            Self::StaticKeyRotation => Some(NO_ROTATION),
            Self::InvalidIdentity(_)
            | Self::MalformedResponse(_)
            | Self::InvalidRequest(_)
            | Self::Key(_) => None,
        }
    }

    /// Returns whether a retry may succeed: the server or a load balancer may respond differently later, and the token
    /// is not known to be used up.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoResponse { error: HttpError::Connection(_), .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::ServiceRefused { code, .. } => {
                code.is_server_failure() || *code == GrpcCode::ResourceExhausted
            }
            Self::Attestation(error) => error.is_transient(),
            Self::Storage(error) => error.is_transient(),
            Self::NoResponse { .. }
            | Self::NoJoinService { .. }
            | Self::LostKey { .. }
            | Self::StaticKeyRotation
            | Self::InvalidIdentity(_)
            | Self::MalformedResponse(_)
            | Self::InvalidRequest(_)
            | Self::Key(_) => false,
        }
    }
}

/// The lost request may have used up the token.
pub(super) const TOKEN_MAY_BE_USED: Hint =
    Hint::new("if the next attempt reports an unknown token, this attempt used it up: create a new token");
/// The token has been used or has expired.
const TOKEN_USED_OR_EXPIRED: Hint = Hint::new(
    "a token works only once and expires soon: create a new one (tctl bots add, or tctl bots instances add) and set \
     onboarding.token",
);
/// The server lets a bot join only once.
const BOT_MAY_JOIN_ONCE: Hint =
    Hint::new("this server lets a bot join only once: remove and recreate the bot, and set onboarding.token");
/// The bot joined with a token before, and the server mistakes the new join for that of a stolen copy.
const LOCKED_BY_JOIN_METHOD_CHANGE: Hint = Hint::new(
    "this bot joined with a token before, and is now locked because it joins with another method: remove the lock (tctl \
     get locks), and create a separate bot for this join method",
);
const LOCKED_OR_REMOVED: Hint =
    Hint::new("check whether the bot or its user is locked (tctl get locks) or was removed (tctl bots ls)");
const AWS_REJECTED: Hint = Hint::new(
    "AWS rejected the request that this agent signed: check its AWS credentials, AWS_REGION, and this machine's clock",
);
const UNKNOWN_STS_HOST: Hint = Hint::new("set AWS_REGION to a region whose STS endpoint this server knows");
const FIPS_ENDPOINT_REQUIRED: Hint =
    Hint::new("this server accepts only FIPS endpoints of STS: set AWS_USE_FIPS_ENDPOINT=true");
/// The token's definition does not match the attestation.
const TOKEN_DOES_NOT_MATCH: Hint = Hint::new(
    "check (tctl get tokens) that onboarding.token names a token for this join method, and that the token's rules allow \
     the environment in which this agent runs",
);
pub(super) const UNSUPPORTED_PROTOCOL: Hint = Hint::new(
    "this cluster does not support the protocol that this agent joins with: use a tbot version that matches the cluster",
);

const NO_JOIN_SERVICE: Hint = Hint::new(
    "upgrade the cluster to the newest release of Teleport 18 or later, or use another join method",
);
/// The response to a join with a key pair was lost.
pub(super) const JOIN_MAY_BE_COUNTED: Hint = Hint::new(
    "if the cluster has already performed this join, it refuses the next one: then set spec.bound_keypair.recovery.mode of \
     the token to insecure until the bot has joined (tctl edit token/NAME), and remove a lock of the token (tctl get locks)",
);
const KEY_LOST: Hint = Hint::new(
    "restore the bot's storage; or create another token with a registration secret (tctl bots instances add), and set \
     onboarding.token and the secret",
);
const OTHER_STATIC_KEY: Hint = Hint::new(
    "set the token's spec.bound_keypair.onboarding.initial_public_key to the public key of the static key",
);
const NO_ROTATION: Hint =
    Hint::new("remove spec.bound_keypair.rotate_after from the token (tctl edit token/NAME)");
const REGISTRATION_SECRET_REFUSED: Hint = Hint::new(
    "a registration secret works only once and may expire: create another token (tctl bots instances add), and set \
     onboarding.token and the secret",
);
const NO_REGISTRATION_SECRET: Hint = Hint::new(
    "no registration secret was sent: it is not set, or its file is missing or empty, or cannot be read. Set that of a new token \
     (tctl bots instances add), and onboarding.token",
);
const NO_RECOVERIES_LEFT: Hint = Hint::new(
    "each join without a valid certificate is a recovery: increase spec.bound_keypair.recovery.limit of the token (tctl \
     edit token/NAME)",
);
/// The join state is missing or not that of the last join.
const JOIN_STATE_REFUSED: Hint = Hint::new(
    "the storage is not that of the last join: its response was lost, an old copy was restored, or another agent has used \
     the same key pair. If no other agent has, set spec.bound_keypair.recovery.mode of the token to insecure until the \
     bot has joined (tctl edit token/NAME), and remove a lock of the token (tctl get locks)",
);
/// The token has not bound a key pair yet, but the agent has a certificate of an earlier join.
const TOKEN_RECREATED: Hint = Hint::new(
    "the token was created again under the name of an earlier one: remove the file tlscert from the bot's storage, so that the bot \
     joins without its old certificate, and keep the key pair",
);
const TOKEN_LOCKED_OR_REMOVED: Hint = Hint::new(
    "check whether the token or the bot is locked (tctl get locks) or was removed (tctl get tokens, tctl bots ls)",
);

/// Returns the hint for a refused join with a bound key pair.
pub(super) fn hint_for_bound_keypair(is_denied: bool, has_secret: bool, message: &str) -> Option<Hint> {
    let says = |part| message.contains(part);
    if says("registration secret") {
        Some(if has_secret { REGISTRATION_SECRET_REFUSED } else { NO_REGISTRATION_SECRET })
    } else if says("no recovery attempts remaining") || says("no rejoins remaining") {
        Some(NO_RECOVERIES_LEFT)
    } else if says("with existing credentials") {
        Some(TOKEN_RECREATED)
    } else if says("join state") || says("generation mismatch") || says("bot instance mismatch") {
        Some(JOIN_STATE_REFUSED)
    } else {
        is_denied.then_some(TOKEN_LOCKED_OR_REMOVED)
    }
}

/// Returns the hint for a refused join with a secret token.
pub(super) fn hint_for_token(message: &str) -> Option<Hint> {
    if message.contains("token expired or not found") {
        Some(TOKEN_USED_OR_EXPIRED)
    } else if message.contains("has already been issued a renewable certificate") {
        Some(BOT_MAY_JOIN_ONCE)
    } else {
        None
    }
}

/// Returns the hint for a refused join with an attestation. `is_denied` says whether the status denies access.
///
/// Servers have many messages for an attestation that the token's definition does not allow. They share one hint.
pub(super) fn hint_for_attestation(is_denied: bool, message: &str) -> Option<Hint> {
    if message.contains("generation mismatch") {
        Some(LOCKED_BY_JOIN_METHOD_CHANGE)
    } else if message.ends_with("access denied") {
        Some(LOCKED_OR_REMOVED)
    } else if message.contains("sts api returned") {
        Some(AWS_REJECTED)
    } else if message.contains("non-FIPS") {
        Some(FIPS_ENDPOINT_REQUIRED)
    } else if message.contains("unknown STS host") || message.contains("STS host is for unknown region") {
        Some(UNKNOWN_STS_HOST)
    } else if is_denied {
        Some(TOKEN_DOES_NOT_MATCH)
    } else {
        None
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
                Some(TOKEN_USED_OR_EXPIRED),
            ),
            ("bot has already been issued a renewable certificate", Some(BOT_MAY_JOIN_ONCE)),
            ("rate limit exceeded", None),
        ] {
            assert_eq!(hint_for_token(message), hint);
        }
    }

    #[test]
    fn an_error_status_of_a_failing_server_is_not_called_a_refusal() {
        let displayed = |status| JoinError::Refused { status, message: "no".into(), hint: None }.to_string();
        assert_eq!(displayed(403), "the cluster refused the join request: no (HTTP 403)");
        assert_eq!(displayed(502), "the cluster failed to process the join request: no (HTTP 502)");
    }
}
