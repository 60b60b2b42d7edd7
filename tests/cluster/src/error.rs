//! The two ways in which something goes wrong: the cluster itself cannot work ([`Error`]), or it refuses a caller
//! ([`Failure`]), which is what a Teleport server would say.

use http::StatusCode;
use tonic::{Code, Status};

/// Why a cluster could not start, or could not make a certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not listen on {addr}: {source}")]
    Listen { addr: std::net::SocketAddr, source: std::io::Error },
    #[error("could not set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("could not verify clients: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    #[error("could not encode a certificate: {0}")]
    Der(#[from] x509_cert::der::Error),
    #[error("could not make an SSH certificate: {0}")]
    Ssh(#[from] ssh_key::Error),
    #[error("the crypto library failed to {0}")]
    Crypto(&'static str),
    #[error("bot {0:?} exists already, remove it first")]
    BotExists(String),
    #[error("there is no bot {0:?}, add it first")]
    NoSuchBot(String),
    #[error("there is no authority {0:?} to rotate: name host, user, db or spiffe")]
    NoSuchAuthority(String),
    #[error("a rotation cannot go from {from:?} to {to:?}")]
    Rotation { from: Option<crate::Phase>, to: crate::Phase },
}

/// A refusal, as Teleport words it. The code is gRPC's; over HTTP it becomes the status that means the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct Failure {
    pub code: Code,
    pub message: String,
}

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Code 7 without any hint: what a locked bot and a stranger both get.
    pub(crate) fn access_denied() -> Self {
        Self::new(Code::PermissionDenied, "access denied")
    }

    /// The HTTP status of the same kind of error (protocol facts, sections 2.3 and 4.3).
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

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        Self::new(failure.code, failure.message)
    }
}

/// A certificate that cannot be made is the cluster's own fault.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Code::Internal, error.to_string())
    }
}
