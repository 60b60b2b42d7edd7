//! The proof that a join presents beside the token's name: an identity token that somebody else has issued for where the agent
//! runs. Fetched anew for each join, before the cluster is asked anything; never stored, never logged, in no error.

mod environment;
mod exchange;
mod file;

use std::fmt;
use std::io;
use std::path::PathBuf;

use reqwest::StatusCode;

use super::method;
use crate::agent::options::{Clock, Environment};
use crate::agent::task::blocking;
use crate::config::{JoinMethod, Onboarding};
pub(super) use exchange::{Answer, Endpoint, Exchange, Verb};

/// More than any identity token has, in bytes.
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
    #[error("cannot read the identity token from {path}: {error}; {needs}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
        /// What to do.
        needs: &'static str,
    },
    /// There is something, but not what was wanted.
    #[error("{place} holds no identity token: {problem}")]
    Malformed {
        /// The variable, the file, or the host that answered.
        place: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Who issues identity tokens gave no answer.
    #[error("no identity token from {host}: {detail}; {needs}")]
    NoAnswer {
        /// Whom was asked, as host and port.
        host: String,
        /// What happened.
        detail: String,
        /// What to do.
        needs: &'static str,
    },
    /// Who issues identity tokens said no. What else it said may repeat what it was sent.
    #[error("no identity token from {host}: it answered {status}; {needs}")]
    Refused {
        /// Who answered, as host and port.
        host: String,
        /// HTTP status.
        status: StatusCode,
        /// What to do.
        needs: &'static str,
    },
}

impl ProofError {
    /// True when trying again may help by itself.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Refused { status, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
            }
            Self::NotSet { .. } | Self::Address { .. } | Self::Unreadable { .. } | Self::Malformed { .. } => {
                false
            }
        }
    }
}

/// An identity token, a JWT in its compact form. Prints as `...`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proof(String);

impl Proof {
    /// What `place` gave, without the space around it. What is in it is for the server to judge.
    fn new(text: &str, place: impl fmt::Display) -> Result<Self, ProofError> {
        let text = text.trim();
        let part = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let problem = if text.is_empty() {
            "it is empty"
        } else if text.len() > LARGEST {
            "it is longer than 64 KiB"
        } else if text.split('.').count() != 3 || !text.split('.').all(part) {
            "a JWT has three parts in base64url, with dots between them"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(ProofError::Malformed { place: place.to_string(), problem })
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// `text` without what gives access: neither the whole nor, where only that was repeated, its claims or signature.
    pub(super) fn taken_out_of(&self, text: &str) -> String {
        self.0.split('.').fold(text.replace(&self.0, "..."), |text, part| text.replace(part, "..."))
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(...)")
    }
}

/// Where a proof comes from.
pub(super) enum Source {
    /// A variable that holds it.
    Variable { name: String, needs: &'static str },
    /// A file that holds it: the configured one, else the one that the variable names, else this.
    File { path: Option<PathBuf>, variable: &'static str, default: &'static str, needs: &'static str },
    /// Somebody who issues it over HTTP.
    Exchange(&'static Exchange),
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
        match &self.source {
            Source::Variable { name, needs } => environment::proof(&self.environment, name, needs),
            Source::File { path, variable, default, needs } => {
                let named = || self.environment.get(variable).unwrap_or(default).into();
                let path = path.clone().unwrap_or_else(named);
                let needs = *needs;
                blocking(move || file::proof(path, needs)).await
            }
            Source::Exchange(exchange) => exchange.proof(&self.environment, &self.clock).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_form_of_a_jwt_is_taken() {
        let refused = |text: &str| Proof::new(text, "it").unwrap_err().to_string();
        assert!(refused(" \n").contains("it is empty"));
        assert!(refused(&format!("a.b.{}", "c".repeat(LARGEST))).contains("64 KiB"));
        for text in ["hunter2", "a.b", "a..c", "a.b.c.d", "a.b c.d", "<html>.a.b"] {
            let refused = refused(text);
            assert!(refused.contains("three parts") && !refused.contains(text), "{refused}");
        }
        assert_eq!(Proof::new("\ta-1.b_2.c3\r\n", "it").unwrap().expose(), "a-1.b_2.c3");
    }

    #[test]
    fn a_proof_never_prints_and_is_taken_out_of_what_repeats_it() {
        let proof = Proof::new("head.hunter1.hunter2", "it").unwrap();
        assert!(!format!("{proof:?}").contains("hunter"));
        let said =
            proof.taken_out_of("got head.hunter1.hunter2, of which hunter1 says it, and hunter2 signs");
        assert_eq!(said, "got ..., of which ... says it, and ... signs");
    }
}
