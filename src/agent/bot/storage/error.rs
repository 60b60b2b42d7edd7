//! Errors from reading and writing the bot's storage. Pure.

use crate::agent::credential::identity::IdentityError;
use crate::agent::destination::directory::DirectoryError;
use crate::agent::destination::kubernetes_secret::KubernetesSecretError;
use crate::agent::destination::writer::DestinationError;

/// The bot's storage cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A directory operation failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A request for a Kubernetes Secret failed.
    #[error("cannot use the storage: {0}")]
    Secret(#[from] KubernetesSecretError),
    /// The configuration of the directory or the Secret cannot be used.
    #[error("cannot use the storage: {0}")]
    Destination(#[from] DestinationError),
    /// The stored files are damaged, or belong to different identities.
    #[error(
        "the identity stored in {location} is damaged: {error}; restore its files, or remove them and join with a new token"
    )]
    Damaged {
        /// The directory or the Secret.
        location: String,
        /// Why the files are not a valid identity.
        error: IdentityError,
    },
}

impl StorageError {
    /// Returns whether a retry may succeed without any change by the operator.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Secret(error) if error.is_transient())
    }
}
