//! Errors of the auth API, and whether the server may have acted on a failed call.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};

use super::grpc_code::GrpcCode;
use super::rest::RestError;
use super::server_hints;
use crate::agent::credential::keys::KeyError;
use crate::agent::net::connection_error::{ConnectionError, TlsFailure};
use crate::agent::net::tls::TlsError;
use crate::agent::platform::{Hint, ServerMessage};
use crate::untrusted::escape;

/// A call to the auth API failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The auth server cannot be reached.
    #[error("cannot reach the auth server of {cluster} {route}")]
    Connect {
        /// The name of the cluster.
        cluster: String,
        /// How the auth server is reached: through which proxy, or at which address.
        route: String,
        /// Why the connection failed.
        source: ConnectionError,
    },
    /// The server refused the call.
    #[error("{method} was refused by the auth server: {message} ({code:?})")]
    Refused {
        /// The full name of the gRPC method.
        method: &'static str,
        /// The gRPC status code.
        code: GrpcCode,
        /// The server's message.
        message: ServerMessage,
    },
    /// The server failed to process the call.
    #[error("{method} failed in the auth server: {message} ({code:?})")]
    Failed {
        /// The full name of the gRPC method.
        method: &'static str,
        /// The gRPC status code.
        code: GrpcCode,
        /// The server's message.
        message: ServerMessage,
    },
    /// The connection ended, or the call timed out, before a response: the server may or may not have acted on it.
    #[error("no response from the auth server to {method}")]
    NoResponse {
        /// The full name of the gRPC method.
        method: &'static str,
        /// Why the connection failed.
        source: ConnectionError,
    },
    /// The server's response is larger than the 4 MiB that the agent, like the Go agent, accepts.
    #[error("the response of the auth server to {method} is larger than 4 MiB")]
    TooLarge {
        /// The full name of the gRPC method.
        method: &'static str,
    },
    /// A list from the server exceeds a limit of the agent.
    #[error("the list that the auth server returns for {method} {problem}")]
    List {
        /// The full name of the gRPC method.
        method: &'static str,
        /// The limit that the list exceeds.
        problem: ListProblem,
    },
    /// The server created an application session that cannot be used.
    #[error("the auth server created an application session, but {0}")]
    AppSession(AppSessionProblem),
    /// The list of revoked X.509 SVIDs cannot be read.
    #[error("the list of revoked X.509 SVIDs that the auth server sent is not an X.509 CRL")]
    RevocationList,
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

/// The limit of the agent that a list from the server exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListProblem {
    /// The list does not end after this number of pages.
    #[error("does not end after {0} pages")]
    Pages(usize),
    /// The list has more than this number of entries.
    #[error("has more than {0} entries")]
    Entries(usize),
    /// The list is larger than this number of bytes.
    #[error("is larger than {} MiB", .0 >> 20)]
    Bytes(usize),
    /// The list does not end within this time.
    #[error("does not end within {} minutes", .0.as_secs() / 60)]
    Time(Duration),
}

/// Why a new application session cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppSessionProblem {
    /// The response does not name the session.
    #[error("did not return its name")]
    NoName,
    /// The session is not visible at other auth servers.
    #[error("it did not appear within 10 s")]
    NotVisible,
}

impl ApiError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Connect { source, .. } | Self::NoResponse { source, .. } => {
                Some(server_hints::for_auth_connection(source))
            }
            Self::Refused { message, .. } | Self::Failed { message, .. } => {
                server_hints::for_error_status(message.raw())
            }
            Self::AppSession(AppSessionProblem::NotVisible) => {
                Some(Hint::new("check that all auth servers of the cluster are up and in sync"))
            }
            Self::Tls(error) => error.hint(),
            Self::Rest(error) => error.hint(),
            Self::TooLarge { .. }
            | Self::List { .. }
            | Self::AppSession(AppSessionProblem::NoName)
            | Self::RevocationList
            | Self::Key(_) => None,
        }
    }

    /// Returns true if the certificate's generation is not the one that the server has stored: the bot is locked.
    pub(crate) fn is_generation_mismatch(&self) -> bool {
        matches!(
            self,
            Self::Refused { message, .. } | Self::Failed { message, .. } if message.raw().contains("generation mismatch")
        )
    }

    /// Returns true if the server certainly did not act on the call: it never received it, or refused it before it
    /// incremented the generation. This is true for the codes 8 (rate limit), 9 (lost race), 12 (unknown method) and 16
    /// (missing authentication).
    pub(crate) fn was_not_processed(&self) -> bool {
        // The server also refuses a requested expiry in the past first, which a slow clock on this machine causes.
        let is_past_expiry =
            |message: &ServerMessage| message.raw().contains("client credentials have expired");
        match self {
            Self::Refused { code, message, .. } => {
                let is_early_refusal = matches!(
                    code,
                    GrpcCode::ResourceExhausted
                        | GrpcCode::FailedPrecondition
                        | GrpcCode::Unimplemented
                        | GrpcCode::Unauthenticated
                );
                is_early_refusal || is_past_expiry(message)
            }
            Self::Failed { message, .. } => is_past_expiry(message),
            Self::Connect { .. } | Self::Tls(_) | Self::Key(_) => true,
            Self::NoResponse { source, .. } => source.was_not_processed(),
            Self::TooLarge { .. }
            | Self::List { .. }
            | Self::AppSession(_)
            | Self::RevocationList
            | Self::Rest(_) => false,
        }
    }

    /// Returns whether a call that may be repeated may succeed later without any change by the operator: there was no response, or the
    /// server reported an internal failure or a rate limit.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::NoResponse { .. } => !self.is_untrusted_identity(),
            Self::Failed { .. } => true,
            Self::Refused { code, .. } => *code == GrpcCode::ResourceExhausted,
            Self::AppSession(problem) => *problem == AppSessionProblem::NotVisible,
            Self::Rest(error) => error.is_transient(),
            Self::TooLarge { .. }
            | Self::List { .. }
            | Self::RevocationList
            | Self::Tls(_)
            | Self::Key(_) => false,
        }
    }

    /// Returns true if another attempt to connect with the same certificate would fail as well, because the server does not accept
    /// it, or is not trusted by its identity any more. A rate limit, for example, says nothing about the certificate.
    pub(crate) fn is_refused_identity(&self) -> bool {
        // The code for a user that was removed is `NotFound`.
        let is_denied = matches!(
            self,
            Self::Refused {
                code: GrpcCode::PermissionDenied | GrpcCode::Unauthenticated | GrpcCode::NotFound,
                ..
            }
        );
        is_denied || self.is_untrusted_identity()
    }

    /// Returns true if no connection with the same certificate can succeed, because the certificates of client and server are not
    /// trusted by each other any more.
    pub(crate) fn is_untrusted_identity(&self) -> bool {
        match self {
            Self::Connect { source, .. } | Self::NoResponse { source, .. } => matches!(
                source.tls_failure(),
                Some(TlsFailure::UnknownIssuer | TlsFailure::ClientCaUnknown | TlsFailure::ClientExpired)
            ),
            _ => false,
        }
    }

    /// Returns true if the server does not implement the method.
    pub(crate) fn is_unimplemented(&self) -> bool {
        matches!(self, Self::Refused { code: GrpcCode::Unimplemented, .. })
    }
}

/// Converts a gRPC status. A status with a source was created by the local connection; all others come from the server.
pub(crate) fn from_status(method: &'static str, status: Status) -> ApiError {
    let is_connection_lost =
        matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded | Code::Unavailable);
    if status.source().is_some() || is_connection_lost {
        return ApiError::NoResponse { method, source: connection_error(status) };
    }
    if is_too_large(&status) {
        return ApiError::TooLarge { method };
    }
    let (code, message) = (GrpcCode::new(status.code()), ServerMessage::from(status.message()));
    if code.is_server_failure() {
        ApiError::Failed { method, code, message }
    } else {
        ApiError::Refused { method, code, message }
    }
}

/// Returns true if the local library refused to read a message because of its size. Nothing but the text tells its status from one
/// that a server sends.
fn is_too_large(status: &Status) -> bool {
    status.code() == Code::OutOfRange && status.message().contains("decoded message length too large")
}

/// Returns the error of the connection that a status reports.
pub(crate) fn connection_error(status: Status) -> ConnectionError {
    ConnectionError::new(ConnectionStatus(status))
}

/// A status that reports an error of the connection. Displays the source, because the status contains nothing else.
#[derive(Debug)]
struct ConnectionStatus(Status);

impl fmt::Display for ConnectionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            Some(source) => fmt::Display::fmt(source, f),
            None => f.write_str(&escape(self.0.message())),
        }
    }
}

impl Error for ConnectionStatus {
    /// Returns the displayed source, too, so that its type can be examined.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_early_refusals_leave_the_generation_unchanged() {
        let refused = |code, message: &str| {
            from_status("/proto.AuthService/GenerateUserCerts", Status::new(code, message))
        };
        assert!(refused(Code::FailedPrecondition, "Database comparison failed").was_not_processed());
        let failed = refused(Code::Unknown, "backend");
        assert!(matches!(failed, ApiError::Failed { .. }) && !failed.was_not_processed());
        assert!(!refused(Code::PermissionDenied, "access denied").was_not_processed());
        assert!(!refused(Code::Unavailable, "reset").was_not_processed());
        let locked =
            refused(Code::PermissionDenied, "renewable cert generation mismatch: stored=3, presented=2");
        assert!(locked.is_generation_mismatch());
    }

    #[test]
    fn a_stream_that_the_server_refused_was_not_processed() {
        for (reason, expected) in
            [(h2::Reason::REFUSED_STREAM, true), (h2::Reason::CANCEL, false), (h2::Reason::NO_ERROR, false)]
        {
            let error = from_status("/a/b", Status::from_error(Box::new(h2::Error::from(reason))));
            assert!(matches!(error, ApiError::NoResponse { .. }), "{error:?}");
            assert_eq!(error.was_not_processed(), expected, "{reason:?}");
        }
    }
}
