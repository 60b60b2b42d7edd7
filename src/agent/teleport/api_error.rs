//! Errors of the auth API, and whether the server may have acted on a failed call.

use std::error::Error as _;

use tonic::{Code, Status};

use super::rest::RestError;
use super::server_hints;
use crate::agent::credential::keys::KeyError;
use crate::agent::net::tls::TlsError;
use crate::agent::platform::error_text::chain;

/// The number of pages after which a list from the server counts as endless.
pub(crate) const MAX_PAGES: usize = 1000;

/// A call to the auth API failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApiError {
    /// The auth server cannot be reached.
    #[error(
        "cannot reach the auth server of {cluster} through the proxy {proxy}: {detail}{}",
        server_hints::for_auth_connection(detail)
    )]
    Connect {
        /// The name of the cluster.
        cluster: String,
        /// The address of the proxy.
        proxy: String,
        /// Why the connection failed.
        detail: String,
    },
    /// The server responded with an error.
    #[error("{method} was refused by the auth server: {message} ({code:?}){hint}")]
    Refused {
        /// The full name of the gRPC method.
        method: &'static str,
        /// The gRPC status code.
        code: Code,
        /// The server's message, unchanged.
        message: String,
        /// What to check, with a leading semicolon, or empty.
        hint: &'static str,
    },
    /// The connection ended, or the call timed out, before a response: the server may or may not have acted on it.
    #[error(
        "no response from the auth server to {method}: {detail}{}",
        server_hints::for_auth_connection(detail)
    )]
    NoResponse {
        /// The full name of the gRPC method.
        method: &'static str,
        /// Why the connection failed.
        detail: String,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A REST call failed (servers up to 16).
    #[error(transparent)]
    Rest(#[from] RestError),
}

impl ApiError {
    pub(crate) fn endless_list(method: &'static str) -> Self {
        Self::NoResponse { method, detail: format!("the list does not end after {MAX_PAGES} pages") }
    }

    /// Returns true if the certificate's generation is not the one that the server has stored: the bot is locked.
    pub(crate) fn is_generation_mismatch(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("generation mismatch"))
    }

    /// Returns true if the server certainly did not act on the call: it never received it, or refused it before it
    /// incremented the generation. This is true for the codes 8 (rate limit), 9 (lost race), 12 (unknown method) and 16
    /// (missing authentication).
    pub(crate) fn was_not_processed(&self) -> bool {
        match self {
            Self::Refused { code, message, .. } => {
                let is_early_refusal = matches!(
                    code,
                    Code::ResourceExhausted
                        | Code::FailedPrecondition
                        | Code::Unimplemented
                        | Code::Unauthenticated
                );
                // The server also refuses a requested expiry in the past first, which a slow clock on this machine
                // causes.
                is_early_refusal || message.contains("client credentials have expired")
            }
            Self::Connect { .. } | Self::Tls(_) | Self::Key(_) => true,
            Self::NoResponse { .. } | Self::Rest(_) => false,
        }
    }
}

/// Converts a gRPC status. A status with a source was created by the local connection; all others come from the server.
pub(crate) fn from_status(method: &'static str, status: &Status) -> ApiError {
    let local_error = status.source().map(chain);
    let is_connection_lost =
        matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded | Code::Unavailable);
    if local_error.is_some() || is_connection_lost {
        let detail = local_error.unwrap_or_else(|| status.message().to_owned());
        return ApiError::NoResponse { method, detail };
    }
    let message = status.message().to_owned();
    let hint = server_hints::for_refusal(&message);
    ApiError::Refused { method, code: status.code(), message, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_early_refusals_leave_the_generation_unchanged() {
        let refused = |code, message: &str| {
            from_status("/proto.AuthService/GenerateUserCerts", &Status::new(code, message))
        };
        assert!(refused(Code::FailedPrecondition, "Database comparison failed").was_not_processed());
        assert!(!refused(Code::Unknown, "backend").was_not_processed());
        assert!(!refused(Code::PermissionDenied, "access denied").was_not_processed());
        assert!(!refused(Code::Unavailable, "reset").was_not_processed());
        let locked =
            refused(Code::PermissionDenied, "renewable cert generation mismatch: stored=3, presented=2");
        assert!(locked.is_generation_mismatch());
    }
}
