//! Errors from obtaining an attestation, and the context that they share. Pure.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::agent::net::web::HttpError;
use crate::agent::platform::{Hint, Rounded};

/// The maximum size of an ID token, of a file that is read, and of a signed document, in bytes. Real ones are far
/// smaller.
pub(super) const MAX_BYTES: usize = 64 << 10;

/// The problem of a value that exceeds [`MAX_BYTES`].
pub(super) const TOO_LARGE: &str = "it is larger than 64 KiB";

/// An attestation cannot be obtained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttestationError {
    /// An environment variable is not set.
    #[error("{variable} is not set in the environment")]
    NotSet {
        /// The variable.
        variable: String,
        /// Advice for the operator.
        hint: Hint,
    },
    /// An environment variable or a property does not contain an address to which the agent may send requests.
    #[error("{variable} is not a usable address: {problem}")]
    InvalidAddress {
        /// The variable or property.
        variable: &'static str,
        /// Why the agent cannot send requests to the address.
        problem: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read the {item} from {path}")]
    Unreadable {
        /// The value that the agent needs from the file, such as `ID token`.
        item: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        error: io::Error,
        /// Advice for the operator.
        hint: Hint,
    },
    /// A value is present, but is not valid.
    #[error("{location} contains no valid {item}: {problem}")]
    Malformed {
        /// The value that the agent needs, such as `ID token`.
        item: &'static str,
        /// The variable, file, profile or response that contains the value.
        location: String,
        /// Why the value is not valid.
        problem: &'static str,
    },
    /// A request got no response.
    #[error("cannot get the {item} from {host}")]
    NoResponse {
        /// The requested value, such as `ID token`.
        item: &'static str,
        /// The server, as host and port.
        host: String,
        /// The cause.
        #[source]
        error: HttpError,
        /// Advice for the operator.
        hint: Hint,
    },
    /// A server refused a request. Its message is left out, because it may repeat a secret of the request.
    #[error("cannot get the {item} from {host}: it responded with HTTP status {status}")]
    Refused {
        /// The requested value, such as `ID token`.
        item: &'static str,
        /// The server, as host and port.
        host: String,
        /// HTTP status.
        status: u16,
        /// Advice for the operator.
        hint: Hint,
    },
    /// A command does not print the value.
    #[error("cannot get the {item} from the command {program}: {problem}")]
    Command {
        /// The value that the agent needs, such as `ID token`.
        item: &'static str,
        /// The program, without its arguments.
        program: String,
        /// Why the command did not print the value.
        problem: CommandProblem,
        /// Advice for the operator.
        hint: Hint,
    },
    /// No source provides the value.
    #[error("no {item} found")]
    Missing {
        /// The value that the agent needs, such as `ID token`.
        item: &'static str,
        /// Advice for the operator.
        hint: Hint,
    },
    /// A source is configured that this version does not support.
    #[error("{location} gets its {item} from {mechanism}, which this version does not support")]
    Unsupported {
        /// The profile that configures the source.
        location: String,
        /// The value that the agent needs, such as `ID token`.
        item: &'static str,
        /// The unsupported source.
        mechanism: &'static str,
        /// Advice for the operator.
        hint: Hint,
    },
}

/// Why a command did not print what the agent needs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandProblem {
    /// The program cannot be started.
    #[error("it cannot be started: {0}")]
    NotStarted(io::Error),
    /// The output of the program cannot be read.
    #[error("its output cannot be read: {0}")]
    Unreadable(io::Error),
    /// The program was killed, or has exited with an error.
    #[error("it failed with {0}")]
    Failed(ExitStatus),
    /// The program did not end in time, and the agent has killed it.
    #[error("it did not end within {}", Rounded(*.0))]
    TimedOut(Duration),
}

/// What the agent is trying to obtain, and what to do if that fails. All errors of one lookup share both.
#[derive(Clone, Copy)]
pub(super) struct RequestContext {
    /// The item that the agent needs, such as `ID token`.
    pub(super) item: &'static str,
    pub(super) hint: &'static str,
}

impl RequestContext {
    pub(super) fn id_token(hint: &'static str) -> Self {
        Self { item: "ID token", hint }
    }

    pub(super) fn no_response(self, host: &str, error: HttpError) -> AttestationError {
        let Self { item, hint } = self;
        AttestationError::NoResponse { item, host: host.to_owned(), error, hint: Hint::new(hint) }
    }

    pub(super) fn unreadable(self, path: PathBuf, error: io::Error) -> AttestationError {
        AttestationError::Unreadable { item: self.item, path, error, hint: Hint::new(self.hint) }
    }

    pub(super) fn command_failed(self, program: &str, problem: CommandProblem) -> AttestationError {
        let Self { item, hint } = self;
        AttestationError::Command { item, program: program.to_owned(), problem, hint: Hint::new(hint) }
    }

    pub(super) fn missing(self) -> AttestationError {
        AttestationError::Missing { item: self.item, hint: Hint::new(self.hint) }
    }

    pub(super) fn malformed(self, location: impl Into<String>, problem: &'static str) -> AttestationError {
        AttestationError::Malformed { item: self.item, location: location.into(), problem }
    }
}

impl AttestationError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::NoResponse { error, hint, .. } => error.hint().or_else(|| Some(hint.clone())),
            Self::NotSet { hint, .. }
            | Self::Unreadable { hint, .. }
            | Self::Refused { hint, .. }
            | Self::Command { hint, .. }
            | Self::Missing { hint, .. }
            | Self::Unsupported { hint, .. } => Some(hint.clone()),
            Self::InvalidAddress { .. } | Self::Malformed { .. } => None,
        }
    }

    /// Returns whether a retry may succeed without any change by the operator.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoResponse { .. } | Self::Command { problem: CommandProblem::TimedOut(_), .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::NotSet { .. }
            | Self::InvalidAddress { .. }
            | Self::Unreadable { .. }
            | Self::Malformed { .. }
            | Self::Command { .. }
            | Self::Missing { .. }
            | Self::Unsupported { .. } => false,
        }
    }
}
