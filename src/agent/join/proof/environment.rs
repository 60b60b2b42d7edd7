//! A proof in a variable of the environment that the agent was given. Reads nothing else.

use super::{Proof, ProofError};
use crate::agent::options::Environment;

/// The proof in `name`; `needs` says what sets it.
pub(super) fn proof(environment: &Environment, name: &str, needs: &'static str) -> Result<Proof, ProofError> {
    let text = environment.get(name).ok_or_else(|| ProofError::NotSet { name: name.to_owned(), needs })?;
    Proof::new(text, name)
}
