//! The two types of error: the cluster itself fails ([`Error`]), or it refuses a request as a Teleport server would
//! ([`ApiError`]).

use http::StatusCode;
use tonic::{Code, Status};

use crate::phase::Phase;

/// The cluster could not start, change its state or issue a certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not listen on {addr}: {source}")]
    Listen { addr: std::net::SocketAddr, source: std::io::Error },
    #[error("could not set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("could not set up client verification: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    #[error("could not encode or decode a certificate: {0}")]
    Der(#[from] x509_cert::der::Error),
    #[error("could not process an SSH key or certificate: {0}")]
    Ssh(#[from] ssh_key::Error),
    #[error("the crypto library failed to {0}")]
    Crypto(&'static str),
    /// An authority has no key for this type of certificate or token.
    #[error("the certificate authority has no {0} key")]
    MissingKey(&'static str),
    #[error("bot {0:?} already exists; remove it first")]
    BotExists(String),
    #[error("bot {0:?} does not exist; add it first")]
    BotNotFound(String),
    #[error("authority {0:?} cannot be rotated; use host, user, db, openssh or spiffe")]
    AuthorityNotFound(String),
    #[error("a rotation cannot go from {from:?} to {to:?}")]
    InvalidPhase { from: Option<Phase>, to: Phase },
}

/// A refusal of a request, as a Teleport server words it. The code is a gRPC code; over HTTP it becomes the
/// corresponding status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct ApiError {
    pub code: Code,
    pub message: String,
}

impl ApiError {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    pub(crate) fn permission_denied(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, message)
    }

    /// Permission denied without details, such as the response to a locked bot.
    pub(crate) fn access_denied() -> Self {
        Self::permission_denied("access denied")
    }

    /// Returns the HTTP status that corresponds to the code.
    pub fn http_status(&self) -> StatusCode {
        match self.code {
            Code::InvalidArgument => StatusCode::BAD_REQUEST,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::AlreadyExists => StatusCode::CONFLICT,
            Code::FailedPrecondition => StatusCode::PRECONDITION_FAILED,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Code::Unavailable => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        Self::new(error.code, error.message)
    }
}

/// A certificate that cannot be issued is an internal error of the cluster.
impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::new(Code::Internal, error.to_string())
    }
}
