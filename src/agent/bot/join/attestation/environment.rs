//! An identity token in a variable of the environment that the agent was given. Reads nothing else.

use super::{Jwt, ProofError, Wanted};
use crate::agent::platform::options::Environment;

/// The identity token in `name`; `needs` says what sets it.
pub(super) fn proof(environment: &Environment, name: &str, needs: &'static str) -> Result<Jwt, ProofError> {
    let text = environment.get(name).ok_or_else(|| ProofError::NotSet { name: name.to_owned(), needs })?;
    Jwt::new(text, Wanted::id_token(needs).what, name)
}
