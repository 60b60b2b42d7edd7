//! Errors from joining and renewing, and what to do after a lost renewal. Pure.

use super::decision::JoinReason;
use super::preflight::OutputDestinationError;
use crate::agent::bot::auth_server_trust::AuthServerTrustError;
use crate::agent::bot::bound_keypair::BoundKeypairError;
use crate::agent::bot::join::JoinError;
use crate::agent::bot::join::attestation::AttestationError;
use crate::agent::bot::join_token::JoinTokenError;
use crate::agent::bot::storage::StorageError;
use crate::agent::credential::identity::IdentityError;
use crate::agent::credential::keys::KeyError;
use crate::agent::net::auth_route_error::AuthRouteError;
use crate::agent::platform::Hint;
use crate::agent::platform::error_text::error_list;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::discovery::DiscoveryError;
use crate::config::{Address, JoinMethod};

/// The agent cannot obtain a fresh identity for the bot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewalError {
    /// The server cannot be discovered.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The storage cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The join token cannot be read.
    #[error(transparent)]
    JoinToken(#[from] JoinTokenError),
    /// The agent must join, and no join token is configured.
    #[error("cannot join the cluster ({0}): onboarding.token is not set")]
    NoToken(JoinReason),
    /// The agent must join, and cannot obtain the attestation.
    #[error("cannot join the cluster ({reason})")]
    Attestation {
        /// Why the agent joins.
        reason: JoinReason,
        /// Why the attestation cannot be obtained.
        #[source]
        error: AttestationError,
    },
    /// The agent must join, and the join failed.
    #[error("cannot join the cluster ({reason})")]
    Join {
        /// Why the agent joins.
        reason: JoinReason,
        /// Why the join failed.
        #[source]
        error: JoinError,
    },
    /// The agent must join, and cannot read its registration secret or its static key.
    #[error("cannot join the cluster ({reason})")]
    BoundKeypair {
        /// Why the agent joins.
        reason: JoinReason,
        /// What cannot be read.
        #[source]
        error: BoundKeypairError,
    },
    /// The response to a join with the stored certificate was lost, so the server may have incremented the generation.
    #[error("the bot requested to join again, and it is unknown whether the server performed the join")]
    JoinResponseLost {
        /// The cause.
        #[source]
        error: JoinError,
        /// Advice for the operator.
        hint: Hint,
    },
    /// The stored identity belongs to another cluster.
    #[error("the stored identity belongs to cluster {stored}, but {server} serves {served}")]
    OtherCluster {
        /// The cluster of the stored identity.
        stored: String,
        /// The cluster that the server belongs to.
        served: String,
        /// The address of the server.
        server: Address,
    },
    /// The auth server cannot be reached, or refused the renewal.
    #[error("cannot renew the bot's identity")]
    Api(#[from] ApiError),
    /// The response to a renewal was lost, so the server may have incremented the generation.
    #[error("a renewal was requested, and it is unknown whether the server performed it")]
    ResponseLost {
        /// The cause.
        #[source]
        error: ApiError,
        /// Advice for the operator.
        hint: Hint,
    },
    /// The server renewed the identity, but its response does not contain a usable identity.
    #[error("the auth server's response to a renewal does not contain a usable identity")]
    InvalidIdentity {
        /// Why the response is not valid.
        #[source]
        error: IdentityError,
        /// Advice for the operator.
        hint: Hint,
    },
    /// A join would use up the token, and this output could not be written afterwards.
    #[error(transparent)]
    Destination(#[from] OutputDestinationError),
    /// A join would use up the token, and the bot could not use its identity afterwards.
    #[error(transparent)]
    AuthRoute(#[from] AuthRouteError),
    /// The agent must join at an auth server, and cannot verify it.
    #[error(transparent)]
    AuthServerTrust(#[from] AuthServerTrustError),
    /// Tests before a join failed. The token was not sent.
    #[error("cannot join the cluster ({reason}), and the token was not used: {}", error_list(.failures, Self::hint))]
    NotReady {
        /// Why the agent joins.
        reason: JoinReason,
        /// Every test that failed.
        failures: Vec<Self>,
    },
    /// The agent cannot generate a key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Returns what the operator can do after a lost renewal. `marker` is the location of the renewal marker, if the storage
/// has one and the server may not have performed the renewal.
pub(super) fn lost_renewal_hint(method: JoinMethod, marker: Option<String>) -> Hint {
    let mut hint = "the agent uses this certificate until it expires, and does not renew it again, because the server would \
                    lock "
        .to_owned();
    hint.push_str(if method == JoinMethod::BoundKeypair {
        "the token. Then the agent joins without a certificate: make sure that spec.bound_keypair.recovery.limit of the token \
         allows one more recovery (tctl edit token/NAME)"
    } else {
        "the bot. Create a new token (tctl bots instances add; before Teleport 17, remove and recreate the bot) and set \
         onboarding.token"
    });
    if let Some(marker) = marker {
        hint.push_str("; or, if you are sure that the request never reached the server, remove ");
        hint.push_str(&marker);
        hint.push_str(" and renew");
    }
    Hint::from(hint)
}

impl RenewalError {
    /// Returns advice for the operator, if there is any. The hints for failed tests are in the message of
    /// [`NotReady`](Self::NotReady).
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Discovery(error) => error.hint(),
            Self::Storage(error) => error.hint(),
            Self::JoinToken(error) => Some(error.hint()),
            Self::NoToken(reason) => {
                let create = Hint::new("create a token (tctl bots add), and set onboarding.token");
                reason.hint_after(Some(create))
            }
            Self::Attestation { reason, error } => reason.hint_after(error.hint()),
            Self::Join { reason, error } => reason.hint_after(error.hint()),
            Self::BoundKeypair { reason, error } => reason.hint_after(Some(error.hint())),
            Self::OtherCluster { .. } => Some(Hint::new("check the address, or use another storage")),
            Self::Api(error) => error.hint(),
            Self::ResponseLost { hint, .. }
            | Self::JoinResponseLost { hint, .. }
            | Self::InvalidIdentity { hint, .. } => Some(hint.clone()),
            Self::Destination(error) => error.hint(),
            Self::AuthRoute(error) => error.hint(),
            Self::AuthServerTrust(error) => Some(error.hint()),
            Self::NotReady { reason, .. } => reason.hint(),
            Self::Key(_) => None,
        }
    }

    /// Returns true if the configuration must change. The agent has not joined.
    pub(crate) fn is_configuration(&self) -> bool {
        match self {
            Self::AuthServerTrust(error) => error.is_configuration(),
            Self::NotReady { failures, .. } => failures.iter().any(Self::is_configuration),
            _ => false,
        }
    }

    /// Returns whether a retry may succeed without any change by the operator: after an outage, not after a refusal.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Discovery(error) => error.is_transient(),
            Self::Join { error, .. } => error.is_transient(),
            Self::Attestation { error, .. } => error.is_transient(),
            Self::Api(ApiError::Connect { .. } | ApiError::NoResponse { .. }) => true,
            Self::Api(error) => error.was_not_processed(),
            // A Kubernetes API server may recover by itself, unlike a disk.
            Self::Storage(error) => error.is_transient(),
            Self::AuthRoute(AuthRouteError::Connect { .. }) => true,
            Self::Destination(destination) => destination.error.is_transient(),
            Self::NotReady { failures, .. } => failures.iter().all(Self::is_transient),
            Self::AuthRoute(AuthRouteError::OtherServer { .. })
            | Self::AuthServerTrust(_)
            | Self::JoinToken(_)
            | Self::NoToken(_)
            | Self::OtherCluster { .. }
            | Self::ResponseLost { .. }
            | Self::JoinResponseLost { .. }
            | Self::BoundKeypair { .. }
            | Self::InvalidIdentity { .. }
            | Self::Key(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::destination::directory::DirectoryError;
    use crate::agent::platform::regular_file::Obstacle;

    fn destination(error: DirectoryError) -> RenewalError {
        OutputDestinationError { output: "out".to_owned(), error: error.into() }.into()
    }

    #[test]
    fn failed_tests_are_retried_only_if_each_of_them_may_succeed_later() {
        let busy = || destination(DirectoryError::Busy { path: "/out/.tbot-lock".into(), holder: None });
        let obstructed = destination(DirectoryError::Obstructed {
            path: "/out/key".into(),
            obstacle: Obstacle::SymbolicLink,
        });
        let is_transient =
            |failures| RenewalError::NotReady { reason: JoinReason::NothingStored, failures }.is_transient();
        assert!(is_transient(vec![busy(), busy()]));
        assert!(!is_transient(vec![busy(), obstructed]));
    }
}
