//! Errors from reading and writing the bot's storage. Pure.

use std::path::PathBuf;

use crate::agent::bot::bound_keys::BoundKeysError;
use crate::agent::credential::identity::IdentityError;
use crate::agent::credential::keys::KeyError;
use crate::agent::destination::directory::DirectoryError;
use crate::agent::destination::error::DestinationError;
use crate::agent::destination::kubernetes_secret::KubernetesSecretError;
use crate::agent::platform::Hint;

/// The bot's storage cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A directory operation failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A request for a Kubernetes Secret failed.
    #[error("cannot use the storage")]
    Secret(#[from] KubernetesSecretError),
    /// The configuration of the directory or the Secret cannot be used.
    #[error("cannot use the storage")]
    Destination(#[from] DestinationError),
    /// The stored files are damaged, or belong to different identities.
    #[error("the identity stored in {location} is damaged")]
    Damaged {
        /// The directory or the Secret.
        location: String,
        /// Why the files are not a valid identity.
        #[source]
        error: IdentityError,
    },
    /// The stored key pairs for the join method `bound_keypair` are damaged.
    #[error("the key pair stored in {location} is damaged")]
    DamagedKeys {
        /// The directory or the Secret.
        location: String,
        /// Which file is damaged, and why.
        #[source]
        error: BoundKeysError,
    },
    /// Another directory is at the path of the storage, and cannot be used.
    #[error("the storage directory {} was replaced while the agent was running", path.display())]
    Replaced {
        /// The path of the storage.
        path: PathBuf,
        /// Why the new directory cannot be used.
        #[source]
        error: Box<Self>,
    },
    /// Another directory is at the path of the storage, with another identity than the one that a request is prepared for.
    #[error("the storage directory {} was replaced by one with another identity", .0.display())]
    OtherIdentity(PathBuf),
    /// A key pair cannot be encoded.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl StorageError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Directory(error) => error.hint(),
            Self::Secret(error) => error.hint(),
            Self::Destination(error) => error.hint(),
            Self::Damaged { .. } => {
                Some(Hint::new("restore its files, or remove them and join with a new token"))
            }
            Self::DamagedKeys { .. } => Some(Hint::new(
                "restore the file, or remove it and register another key pair (tbot keypair create)",
            )),
            Self::Replaced { error, .. } => error.hint(),
            // The next attempt uses that identity.
            Self::OtherIdentity(_) | Self::Key(_) => None,
        }
    }

    /// Returns whether a retry may succeed without any change by the operator.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Secret(error) => error.is_transient(),
            Self::Directory(error) => error.is_transient(),
            Self::Destination(error) => error.is_transient(),
            Self::Replaced { error, .. } => error.is_transient(),
            Self::OtherIdentity(_) => true,
            Self::Damaged { .. } | Self::DamagedKeys { .. } | Self::Key(_) => false,
        }
    }
}
