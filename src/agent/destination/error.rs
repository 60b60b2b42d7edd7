//! Why a destination cannot be written.

use std::path::PathBuf;

use crate::agent::destination::directory::DirectoryError;
use crate::agent::destination::kubernetes_secret::KubernetesSecretError;
use crate::agent::destination::posix_acl::AclProblem;
use crate::agent::destination::readers::ReaderError;
use crate::agent::platform::Hint;

/// A destination cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// The directory or one of its files cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A configured reader cannot be given access.
    #[error("cannot give a reader access (readers)")]
    Reader(#[from] ReaderError),
    /// A user or group to whom `tbot init` must give access cannot be resolved.
    #[error(transparent)]
    User(ReaderError),
    /// The Kubernetes Secret cannot be used.
    #[error(transparent)]
    Secret(#[from] KubernetesSecretError),
    /// A directory of another user has an ACL that `acls: required` does not allow.
    #[error("{path}: {problem}")]
    Acl {
        /// The directory or file.
        path: PathBuf,
        /// The problem of its ACL.
        problem: AclProblem,
    },
    /// The file system of a directory does not respond.
    #[error("the file system of {} does not respond", .0.display())]
    Unresponsive(PathBuf),
}

impl DestinationError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Directory(error) => error.hint(),
            Self::Secret(error) => error.hint(),
            Self::Acl { .. } => Some(Hint::new(
                "set its ACLs again (tbot init), or set acls: off if everyone with access may read the keys",
            )),
            Self::Reader(error) | Self::User(error) => error.hint(),
            Self::Unresponsive(_) => Some(Hint::new(
                "if it is a network file system, check its server; the agent continues when the server responds",
            )),
        }
    }

    /// Returns whether a retry may succeed without any change by the operator.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Directory(error) => error.is_transient(),
            Self::Secret(error) => error.is_transient(),
            Self::Unresponsive(_) => true,
            Self::Reader(_) | Self::User(_) | Self::Acl { .. } => false,
        }
    }
}
