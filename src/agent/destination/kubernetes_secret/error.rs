//! Errors from reading and writing a Kubernetes Secret.

use std::fmt;

use super::parameters::KubernetesClusterError;
use crate::agent::net::web::HttpError;
use crate::agent::platform::{Hint, ServerMessage};

/// A Kubernetes Secret could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KubernetesSecretError {
    /// The cluster cannot be determined, or its credentials cannot be used.
    #[error(transparent)]
    Cluster(#[from] KubernetesClusterError),
    /// No namespace is configured, and the environment has none.
    #[error("the Secret {0} has no namespace")]
    NoNamespace(String),
    /// The output writes into a subdirectory, which a Secret cannot represent.
    #[error("{secret} cannot contain {file}, because a Secret has no subdirectories")]
    Subdirectory {
        /// The Secret.
        secret: SecretName,
        /// The file.
        file: String,
    },
    /// There was no response, or it could not be read.
    #[error("no response to {request}")]
    NoResponse {
        /// The request.
        request: Box<SecretRequest>,
        /// The cause.
        #[source]
        error: HttpError,
    },
    /// The response is not a Secret.
    #[error("the response to {request} is not a Secret: {problem}")]
    MalformedResponse {
        /// The request.
        request: Box<SecretRequest>,
        /// Why the response cannot be used.
        problem: &'static str,
    },
    /// The API server refused the request.
    #[error("{request}: {message} (HTTP {status})")]
    Refused {
        /// The request.
        request: Box<SecretRequest>,
        /// The HTTP status.
        status: u16,
        /// The server's message.
        message: ServerMessage,
    },
    /// The system could not provide the resources for a connection.
    #[error("cannot prepare a request to a Kubernetes cluster")]
    Runtime(#[source] std::io::Error),
}

impl KubernetesSecretError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        let hint = match self {
            Self::NoResponse { error, .. } => return error.hint(),
            Self::Refused { status: 401, .. } => "check the token or certificate that the agent presents",
            Self::Refused { status: 403, .. } => {
                "give the agent a role that can get, create and patch secrets in this namespace"
            }
            Self::Refused { status: 404, .. } => "check that the namespace exists",
            Self::Refused { status: 409, .. } => {
                "another client changed it at the same time: is another tbot running?"
            }
            Self::Cluster(error) => return error.hint(),
            Self::NoNamespace(_) => {
                "set namespace, or POD_NAMESPACE in the environment (fieldRef: metadata.namespace)"
            }
            Self::Subdirectory { .. } => "use a directory for this output",
            Self::Refused { .. } | Self::MalformedResponse { .. } | Self::Runtime(_) => return None,
        };
        Some(Hint::new(hint))
    }

    /// Returns true if a retry may succeed: after an outage, or if another client changed the Secret at the same time.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoResponse { .. } | Self::MalformedResponse { .. } => true,
            Self::Refused { status, .. } => matches!(status, 409 | 429 | 500..),
            Self::Cluster(_) | Self::NoNamespace(_) | Self::Subdirectory { .. } | Self::Runtime(_) => false,
        }
    }
}

/// The namespace and name of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretName {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the Secret {}/{}", self.namespace, self.name)
    }
}

/// Describes a request for a Secret, for errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRequest {
    pub(super) method: &'static str,
    pub(super) secret: SecretName,
    /// The base URL of the API server.
    pub(super) server: String,
}

impl fmt::Display for SecretRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} at {}", self.method, self.secret, self.server)
    }
}
