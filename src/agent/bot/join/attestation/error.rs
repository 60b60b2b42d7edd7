//! Errors from obtaining an attestation, and the context that they share. Pure.

use std::io;
use std::path::PathBuf;

use reqwest::StatusCode;

use crate::agent::net::web::WebError;

/// The maximum size of an ID token, of a file that is read, and of a signed document, in bytes. Real ones are far
/// smaller.
pub(super) const MAX_BYTES: usize = 64 << 10;

/// The problem of a value that exceeds [`MAX_BYTES`].
pub(super) const TOO_LARGE: &str = "it is larger than 64 KiB";

/// An attestation cannot be obtained.
#[derive(Debug, thiserror::Error)]
pub enum AttestationError {
    /// An environment variable is not set.
    #[error("{variable} is not set in the environment: {hint}")]
    NotSet {
        /// The variable.
        variable: String,
        /// How to fix the problem.
        hint: &'static str,
    },
    /// An environment variable does not contain an address to which the agent may send requests.
    #[error("{variable} is not a usable address: {problem}")]
    InvalidAddress {
        /// The variable.
        variable: &'static str,
        /// Why the agent cannot send requests to the address.
        problem: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read the {what} from {path}: {error}; {hint}")]
    Unreadable {
        /// The value that the agent needs from the file, such as `ID token`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
        /// How to fix the problem.
        hint: &'static str,
    },
    /// A value is present, but is not valid.
    #[error("{location} contains no valid {what}: {problem}")]
    Malformed {
        /// The value that the agent needs, such as `ID token`.
        what: &'static str,
        /// The variable, file, profile or response that contains the value.
        location: String,
        /// Why the value is not valid.
        problem: &'static str,
    },
    /// A request got no response.
    #[error("cannot get the {what} from {host}: {detail}; {hint}")]
    NoResponse {
        /// The requested value, such as `ID token`.
        what: &'static str,
        /// The server, as host and port.
        host: String,
        /// The cause.
        detail: String,
        /// How to fix the problem.
        hint: &'static str,
    },
    /// A server refused a request. Its message is left out, because it may repeat a secret of the request.
    #[error("cannot get the {what} from {host}: it responded with {status}; {hint}")]
    Refused {
        /// The requested value, such as `ID token`.
        what: &'static str,
        /// The server, as host and port.
        host: String,
        /// HTTP status.
        status: StatusCode,
        /// How to fix the problem.
        hint: &'static str,
    },
    /// No source provides the value.
    #[error("no {what} found: {hint}")]
    Missing {
        /// The value that the agent needs, such as `ID token`.
        what: &'static str,
        /// How to fix the problem.
        hint: &'static str,
    },
    /// A source is configured that this version does not support.
    #[error("{location} gets its {what} from {mechanism}, which this version does not support: {hint}")]
    Unsupported {
        /// The profile that configures the source.
        location: String,
        /// The value that the agent needs, such as `ID token`.
        what: &'static str,
        /// The unsupported source.
        mechanism: &'static str,
        /// How to fix the problem.
        hint: &'static str,
    },
}

/// What the agent is trying to obtain, and what to do if that fails. All errors of one lookup share both.
#[derive(Clone, Copy)]
pub(super) struct RequestContext {
    pub(super) what: &'static str,
    pub(super) hint: &'static str,
}

impl RequestContext {
    pub(super) fn id_token(hint: &'static str) -> Self {
        Self { what: "ID token", hint }
    }

    pub(super) fn no_response(self, host: &str, error: &WebError) -> AttestationError {
        let Self { what, hint } = self;
        AttestationError::NoResponse { what, host: host.to_owned(), detail: error.to_string(), hint }
    }

    pub(super) fn unreadable(self, path: PathBuf, error: io::Error) -> AttestationError {
        AttestationError::Unreadable { what: self.what, path, error, hint: self.hint }
    }

    pub(super) fn missing(self) -> AttestationError {
        AttestationError::Missing { what: self.what, hint: self.hint }
    }

    pub(super) fn malformed(self, location: impl Into<String>, problem: &'static str) -> AttestationError {
        AttestationError::Malformed { what: self.what, location: location.into(), problem }
    }
}

impl AttestationError {
    /// Returns whether a retry may succeed without any change by the operator.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoResponse { .. } => true,
            Self::Refused { status, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
            }
            Self::NotSet { .. }
            | Self::InvalidAddress { .. }
            | Self::Unreadable { .. }
            | Self::Malformed { .. }
            | Self::Missing { .. }
            | Self::Unsupported { .. } => false,
        }
    }
}
