//! Why the bot has no fresh identity, and what mends a lost one. Pure.

use std::fmt;

use super::decision::JoinReason;
use crate::agent::bot::join::JoinError;
use crate::agent::bot::join::attestation::ProofError;
use crate::agent::bot::join_token::TokenError;
use crate::agent::bot::storage::StorageError;
use crate::agent::credential::identity::IdentityError;
use crate::agent::credential::keys::KeyError;
use crate::agent::net::address::Address;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::discovery::DiscoveryError;

/// The bot has no fresh identity.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// Nobody answered as a proxy.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// There is nothing to join with.
    #[error(
        "{0}, so the agent has to join, but onboarding.token is not set: create a token (tctl bots add) and set it"
    )]
    NoToken(JoinReason),
    /// There is nothing to prove with what this agent is.
    #[error("{reason}, so the agent has to join: {error}")]
    Proof {
        /// Why it joins.
        reason: JoinReason,
        /// What is missing.
        error: ProofError,
    },
    /// Joining.
    #[error("{reason}, so the agent has to join: {error}")]
    Join {
        /// Why it joins.
        reason: JoinReason,
        /// What came of it.
        error: JoinError,
    },
    /// The storage was written for another cluster.
    #[error(
        "the stored identity is of cluster {stored}, but {proxy} serves {found}: check the address, or use another storage"
    )]
    OtherCluster {
        /// Cluster of the stored identity.
        stored: String,
        /// Cluster that the proxy serves.
        found: String,
        /// The proxy.
        proxy: Address,
    },
    /// The server could not be asked, or said no.
    #[error("cannot renew the bot's identity: {0}")]
    Api(#[from] ApiError),
    /// The answer to a renewal is lost: the count may have gone up.
    #[error("a renewal was asked for, and whether it counted is not known: {error}; {cure}")]
    Lost {
        /// What happened.
        error: ApiError,
        /// What to do.
        cure: Cure,
    },
    /// The server renewed, but what it sent is no identity.
    #[error("the auth server's answer to a renewal is not usable: {error}; {cure}")]
    Answer {
        /// What is wrong with it.
        error: IdentityError,
        /// What to do.
        cure: Cure,
    },
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// What mends a lost renewal. One text for the log and for errors.
#[derive(Clone, Debug)]
pub struct Cure(pub(super) Option<String>);

impl fmt::Display for Cure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the agent does not renew this certificate again, because the server would lock the bot; it goes on with it \
             until it ends. Create a new token (tctl bots instances add; before Teleport 17 remove the bot and create it \
             anew) and set onboarding.token",
        )?;
        match &self.0 {
            Some(note) => {
                write!(f, "; or, if the request certainly never arrived, remove {note} and renew")
            }
            None => Ok(()),
        }
    }
}

impl RenewalError {
    /// True when trying again may help by itself: an outage, not a refusal.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Discovery(error) => error.transient,
            Self::Join { error, .. } => error.is_transient(),
            Self::Proof { error, .. } => error.is_transient(),
            Self::Api(ApiError::Connect { .. } | ApiError::NoResponse { .. }) => true,
            Self::Api(error) => error.was_not_processed(),
            // The API server is a server, too; a disk is not expected to mend itself.
            Self::Storage(error) => error.is_transient(),
            Self::Token(_)
            | Self::NoToken(_)
            | Self::OtherCluster { .. }
            | Self::Lost { .. }
            | Self::Answer { .. }
            | Self::Key(_) => false,
        }
    }
}
