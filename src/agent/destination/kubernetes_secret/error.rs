//! Errors from reading and writing a Kubernetes Secret.

use std::fmt;

use reqwest::StatusCode;

use super::parameters::KubernetesClusterError;

/// A Kubernetes Secret could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesSecretError {
    /// The cluster cannot be determined, or its credentials cannot be used.
    #[error(transparent)]
    Cluster(#[from] KubernetesClusterError),
    /// No namespace is configured, and the environment has none.
    #[error(
        "the Secret {0} has no namespace: set namespace, or POD_NAMESPACE in the environment (fieldRef: metadata.namespace)"
    )]
    NoNamespace(String),
    /// The output writes into a subdirectory, which a Secret cannot represent.
    #[error(
        "{secret} cannot contain {file}: a Secret has no subdirectories; use a directory for this output"
    )]
    Subdirectory {
        /// The Secret.
        secret: SecretName,
        /// The file.
        file: String,
    },
    /// There was no response, or it could not be read.
    #[error("{request}: {detail}")]
    Failed {
        /// The request.
        request: Box<SecretRequest>,
        /// What happened.
        detail: String,
    },
    /// The API server refused the request.
    #[error("{request}: {status}: {message}{}", hint(*.status))]
    Refused {
        /// The request.
        request: Box<SecretRequest>,
        /// The HTTP status.
        status: StatusCode,
        /// The server's message.
        message: String,
    },
    /// The system could not provide the resources for a connection.
    #[error("cannot prepare a request to a Kubernetes cluster: {0}")]
    Runtime(std::io::Error),
}

impl KubernetesSecretError {
    /// Returns true if a retry may succeed: after an outage, or if another client changed the Secret at the same time.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Failed { .. } => true,
            Self::Refused { status, .. } => {
                *status == StatusCode::CONFLICT
                    || *status == StatusCode::TOO_MANY_REQUESTS
                    || status.is_server_error()
            }
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

/// Returns what to check, with a leading semicolon, or an empty string.
fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "; check the token or certificate that the agent presents",
        StatusCode::FORBIDDEN => {
            "; give the agent a role that can get, create and patch secrets in this namespace"
        }
        StatusCode::NOT_FOUND => "; check that the namespace exists",
        StatusCode::CONFLICT => "; another client changed it at the same time: is another tbot running?",
        _ => "",
    }
}
