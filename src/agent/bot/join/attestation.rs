//! The proof that a join presents beside the token's name, of where the agent runs: an identity token that somebody else has
//! issued, or what a cloud's machine answers the cluster's challenge with. What can be had before the cluster is asked
//! anything is had then, anew for each join; it is never stored, never logged, in no error.

mod aws;
mod azure;
mod challenge;
mod environment;
mod exchange;
mod file;
mod jwt;
#[cfg(test)]
mod malformed_input;
mod metadata_client;

use std::io;
use std::path::PathBuf;

use reqwest::StatusCode;

use super::method;
use crate::agent::net::web::WebError;
use crate::agent::platform::options::{Clock, Environment};
use crate::config::{JoinMethod, Onboarding};
pub(super) use aws::Aws;
pub(super) use azure::Azure;
pub(super) use challenge::Challenge;
pub(super) use exchange::{Answer, Endpoint, Exchange, Verb};
pub(crate) use jwt::Jwt;

/// More than any identity token has, and any file or document beside one, in bytes.
const LARGEST: usize = 64 << 10;

/// Why there is nothing to join with.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// A variable of the environment.
    #[error("{name} is not set in the environment: {needs}")]
    NotSet {
        /// The variable.
        name: String,
        /// What to do.
        needs: &'static str,
    },
    /// A variable that holds an address nothing may be asked of.
    #[error("{name} holds no address that can be asked: {problem}")]
    Address {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file.
    #[error("cannot read the {what} from {path}: {error}; {needs}")]
    Unreadable {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
        /// What to do.
        needs: &'static str,
    },
    /// There is something, but not what was wanted.
    #[error("{place} holds no {what}: {problem}")]
    Malformed {
        /// What was looked for.
        what: &'static str,
        /// The variable, the file, or the host that answered.
        place: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Who was asked gave no answer.
    #[error("no {what} from {host}: {detail}; {needs}")]
    NoAnswer {
        /// What was asked for.
        what: &'static str,
        /// Whom was asked, as host and port.
        host: String,
        /// What happened.
        detail: String,
        /// What to do.
        needs: &'static str,
    },
    /// Who was asked said no. What else it said may repeat what it was sent.
    #[error("no {what} from {host}: it answered {status}; {needs}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// Who answered, as host and port.
        host: String,
        /// HTTP status.
        status: StatusCode,
        /// What to do.
        needs: &'static str,
    },
    /// Nothing is there, wherever was looked.
    #[error("no {what} found: {needs}")]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// What to do.
        needs: &'static str,
    },
    /// There is something, in a way that this version does not know.
    #[error("{place} has the {what} come from {source_name}, which this version does not support: {needs}")]
    Unsupported {
        /// The variable or the profile.
        place: String,
        /// What was looked for.
        what: &'static str,
        /// What it would come from.
        source_name: &'static str,
        /// What to do.
        needs: &'static str,
    },
}

/// What is looked for, and what to do when there is none: what every error of a search says.
#[derive(Clone, Copy)]
struct Wanted {
    what: &'static str,
    needs: &'static str,
}

impl Wanted {
    fn id_token(needs: &'static str) -> Self {
        Self { what: "identity token", needs }
    }

    fn no_answer(self, host: &str, error: &WebError) -> ProofError {
        let Self { what, needs } = self;
        ProofError::NoAnswer { what, host: host.to_owned(), detail: error.to_string(), needs }
    }

    fn unreadable(self, path: PathBuf, error: io::Error) -> ProofError {
        ProofError::Unreadable { what: self.what, path, error, needs: self.needs }
    }

    fn missing(self) -> ProofError {
        ProofError::Missing { what: self.what, needs: self.needs }
    }

    fn malformed(self, place: impl Into<String>, problem: &'static str) -> ProofError {
        ProofError::Malformed { what: self.what, place: place.into(), problem }
    }
}

impl ProofError {
    /// True when trying again may help by itself.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Refused { status, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
            }
            Self::NotSet { .. }
            | Self::Address { .. }
            | Self::Unreadable { .. }
            | Self::Malformed { .. }
            | Self::Missing { .. }
            | Self::Unsupported { .. } => false,
        }
    }
}

/// What a join presents beside the token's name.
pub(crate) enum Proof {
    /// An identity token, as it is.
    IdToken(Jwt),
    /// What the cluster's challenge is answered with.
    Cloud(Cloud),
}

/// What a machine of a cloud answers a challenge with.
pub(crate) enum Cloud {
    Aws(Aws),
    Azure(Azure),
}

/// Where a proof comes from.
pub(super) enum Source {
    /// A variable that holds it.
    Variable { name: String, needs: &'static str },
    /// A file that holds it: the configured one, else the one that the variable names, else this.
    File { path: Option<PathBuf>, variable: &'static str, default: &'static str, needs: &'static str },
    /// Somebody who issues it over HTTP.
    Exchange(&'static Exchange),
    /// The environment, a profile, a container or a machine of AWS.
    Aws,
    /// A machine of Azure: as the identity of this client id, where it has several.
    Azure { client_id: Option<String> },
}

/// Gets the proofs of one join method.
pub(crate) struct Prover {
    source: Source,
    environment: Environment,
    clock: Clock,
}

impl Prover {
    /// None for a method that has no such proof.
    pub(crate) fn new(
        method: JoinMethod,
        onboarding: &Onboarding,
        environment: &Environment,
        clock: &Clock,
    ) -> Option<Self> {
        let source = method::source(method, onboarding)?;
        Some(Self { source, environment: environment.clone(), clock: clock.clone() })
    }

    /// A fresh proof. May be dropped at any time.
    pub(crate) async fn prove(&self) -> Result<Proof, ProofError> {
        let Self { source, environment, clock } = self;
        let id_token = match source {
            Source::Variable { name, needs } => environment::proof(environment, name, needs),
            Source::File { path, variable, default, needs } => {
                let named = || environment.get(variable).unwrap_or(default).into();
                let path = path.clone().unwrap_or_else(named);
                file::proof(path, needs).await
            }
            Source::Exchange(exchange) => exchange.proof(environment, clock).await,
            Source::Aws => return Ok(Proof::Cloud(Cloud::Aws(Aws::find(environment, clock).await?))),
            Source::Azure { client_id } => {
                let azure = Azure::find(client_id.as_deref(), environment, clock).await?;
                return Ok(Proof::Cloud(Cloud::Azure(azure)));
            }
        };
        id_token.map(Proof::IdToken)
    }
}
