//! Errors of the auth API, and what they say about whether the server acted.

use std::error::Error as _;

use tonic::{Code, Status};

use super::rest::RestError;
use super::server_hints;
use crate::agent::credential::keys::KeyError;
use crate::agent::net::tls::TlsError;
use crate::agent::platform::error_text::chain;

/// The number of pages after which a list of a server counts as endless.
pub(crate) const MAX_PAGES: usize = 1000;

/// A call to the auth API that failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApiError {
    /// No connection to auth.
    #[error(
        "cannot reach the auth server of {cluster} through the proxy {proxy}: {detail}{}",
        server_hints::to_auth(detail)
    )]
    Connect {
        /// Cluster's name.
        cluster: String,
        /// Address that was dialled.
        proxy: String,
        /// What the connection answered.
        detail: String,
    },
    /// The server answered with an error.
    #[error("{method} was refused by the auth server: {message} ({code:?}){hint}")]
    Refused {
        /// Full name of the gRPC method.
        method: &'static str,
        /// gRPC status code.
        code: Code,
        /// The server's message, as it came.
        message: String,
        /// What to check, with a leading semicolon, or nothing.
        hint: &'static str,
    },
    /// The connection ended or time ran out before an answer: the server may or may not have acted.
    #[error("{method} got no answer from the auth server: {detail}{}", server_hints::to_auth(detail))]
    NoAnswer {
        /// Full name of the gRPC method.
        method: &'static str,
        /// What the connection answered.
        detail: String,
    },
    /// TLS settings.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A REST call (servers up to 16).
    #[error(transparent)]
    Rest(#[from] RestError),
}

impl ApiError {
    pub(crate) fn endless_list(method: &'static str) -> Self {
        Self::NoAnswer { method, detail: format!("its list does not end after {MAX_PAGES} pages") }
    }

    /// The server says that this certificate's generation is not the one it has stored: the bot is locked.
    pub(crate) fn is_generation_mismatch(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("generation mismatch"))
    }

    /// True when the server certainly did not act on a call: it never got it, or said so. A refusal for rate
    /// (8), a lost race (9), a missing method (12) and missing authentication (16) come before the generation counts.
    pub(crate) fn was_not_acted_on(&self) -> bool {
        match self {
            Self::Refused { code, message, .. } => {
                let turned_away = matches!(
                    code,
                    Code::ResourceExhausted
                        | Code::FailedPrecondition
                        | Code::Unimplemented
                        | Code::Unauthenticated
                );
                // So is an end that has passed, as a clock that is late asks for.
                turned_away || message.contains("client credentials have expired")
            }
            Self::Connect { .. } | Self::Tls(_) | Self::Key(_) => true,
            Self::NoAnswer { .. } | Self::Rest(_) => false,
        }
    }
}

/// A status with a source was made on this side, by the connection; the others are the server's words.
pub(crate) fn from_status(method: &'static str, status: &Status) -> ApiError {
    let ours = status.source().map(chain);
    let lost = matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded | Code::Unavailable);
    if ours.is_some() || lost {
        return ApiError::NoAnswer { method, detail: ours.unwrap_or_else(|| status.message().to_owned()) };
    }
    let message = status.message().to_owned();
    let hint = server_hints::refused(&message);
    ApiError::Refused { method, code: status.code(), message, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_that_come_before_the_counter_leave_it_untouched() {
        let refused = |code, message: &str| {
            from_status("/proto.AuthService/GenerateUserCerts", &Status::new(code, message))
        };
        assert!(refused(Code::FailedPrecondition, "Database comparison failed").was_not_acted_on());
        assert!(!refused(Code::Unknown, "backend").was_not_acted_on());
        assert!(!refused(Code::PermissionDenied, "access denied").was_not_acted_on());
        assert!(!refused(Code::Unavailable, "reset").was_not_acted_on());
        let locked =
            refused(Code::PermissionDenied, "renewable cert generation mismatch: stored=3, presented=2");
        assert!(locked.is_generation_mismatch());
        assert!(locked.to_string().contains("recreate the bot"), "{locked}");
    }
}
