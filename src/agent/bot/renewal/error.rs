//! Errors from joining and renewing, and what to do after a lost renewal. Pure.

use std::fmt;

use super::decision::JoinReason;
use crate::agent::bot::join::JoinError;
use crate::agent::bot::join::attestation::AttestationError;
use crate::agent::bot::join_token::JoinTokenError;
use crate::agent::bot::storage::StorageError;
use crate::agent::credential::identity::IdentityError;
use crate::agent::credential::keys::KeyError;
use crate::agent::net::address::Address;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::discovery::DiscoveryError;

/// The agent cannot obtain a fresh identity for the bot.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// The proxy cannot be discovered.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The storage cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The join token cannot be read.
    #[error(transparent)]
    JoinToken(#[from] JoinTokenError),
    /// The agent must join, and no join token is configured.
    #[error(
        "cannot join the cluster ({0}): onboarding.token is not set; create a token (tctl bots add) and set it"
    )]
    NoToken(JoinReason),
    /// The agent must join, and cannot obtain the attestation.
    #[error("cannot join the cluster ({reason}): {error}")]
    Attestation {
        /// Why the agent joins.
        reason: JoinReason,
        /// Why the attestation cannot be obtained.
        error: AttestationError,
    },
    /// The agent must join, and the join failed.
    #[error("cannot join the cluster ({reason}): {error}")]
    Join {
        /// Why the agent joins.
        reason: JoinReason,
        /// Why the join failed.
        error: JoinError,
    },
    /// The stored identity belongs to another cluster.
    #[error(
        "the stored identity belongs to cluster {stored}, but {proxy} serves {served}: check the address, or use another storage"
    )]
    OtherCluster {
        /// The cluster of the stored identity.
        stored: String,
        /// The cluster that the proxy serves.
        served: String,
        /// The proxy.
        proxy: Address,
    },
    /// The auth server cannot be reached, or refused the renewal.
    #[error("cannot renew the bot's identity: {0}")]
    Api(#[from] ApiError),
    /// The response to a renewal was lost, so the server may have incremented the generation.
    #[error("a renewal was requested, and it is unknown whether the server performed it: {error}; {remedy}")]
    ResponseLost {
        /// The cause.
        error: ApiError,
        /// How to fix the problem.
        remedy: Remedy,
    },
    /// The server renewed the identity, but its response does not contain a usable identity.
    #[error("the auth server's response to a renewal does not contain a usable identity: {error}; {remedy}")]
    InvalidIdentity {
        /// Why the response is not valid.
        error: IdentityError,
        /// How to fix the problem.
        remedy: Remedy,
    },
    /// The agent cannot generate a key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// What to do after a lost renewal. Used in the log and in errors.
#[derive(Clone, Debug)]
pub struct Remedy {
    /// The location of the renewal marker, if the storage has one.
    pub(super) marker: Option<String>,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the agent uses this certificate until it expires, and does not renew it again, because the server would lock \
             the bot. Create a new token (tctl bots instances add; before Teleport 17, remove and recreate the bot) and \
             set onboarding.token",
        )?;
        match &self.marker {
            Some(marker) => {
                write!(
                    f,
                    "; or, if you are sure that the request never reached the server, remove {marker} and renew"
                )
            }
            None => Ok(()),
        }
    }
}

impl RenewalError {
    /// Returns whether a retry may succeed without any change by the operator: after an outage, not after a refusal.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Discovery(error) => error.transient,
            Self::Join { error, .. } => error.is_transient(),
            Self::Attestation { error, .. } => error.is_transient(),
            Self::Api(ApiError::Connect { .. } | ApiError::NoResponse { .. }) => true,
            Self::Api(error) => error.was_not_processed(),
            // A Kubernetes API server may recover by itself, unlike a disk.
            Self::Storage(error) => error.is_transient(),
            Self::JoinToken(_)
            | Self::NoToken(_)
            | Self::OtherCluster { .. }
            | Self::ResponseLost { .. }
            | Self::InvalidIdentity { .. }
            | Self::Key(_) => false,
        }
    }
}
