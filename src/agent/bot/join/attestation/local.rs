//! Reads ID tokens that another program provides in an environment variable or a file. Nothing is cached: the other
//! program may replace the file at any time.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::error::{AttestationError, MAX_BYTES, RequestContext};
use super::jwt::Jwt;
use crate::agent::platform::regular_file::open_named;
use crate::agent::platform::tasks::run_blocking;
use crate::agent::platform::{Environment, Hint};

/// Returns the ID token in the environment variable `name`. `hint` says how to have the variable set.
pub(super) fn id_token_from_variable(
    environment: &Environment,
    name: &str,
    hint: &'static str,
) -> Result<Jwt, AttestationError> {
    let not_set = || AttestationError::NotSet { variable: name.to_owned(), hint: Hint::new(hint) };
    Jwt::parse(environment.get(name).ok_or_else(not_set)?, RequestContext::id_token(hint), name)
}

/// Returns the ID token in the file at `path`. `hint` says how to have the file created.
pub(super) async fn id_token_from_file(path: PathBuf, hint: &'static str) -> Result<Jwt, AttestationError> {
    let context = RequestContext::id_token(hint);
    Jwt::parse(&read_file(&path, context).await?, context, path.display())
}

/// Reads a file like [`read_file_blocking`], on a thread that may block.
pub(super) async fn read_file(path: &Path, context: RequestContext) -> Result<String, AttestationError> {
    let path = path.to_owned();
    run_blocking(move || read_file_blocking(&path).map_err(|error| context.unreadable(path, error))).await
}

/// Reads at most one byte more than [`MAX_BYTES`], so that the caller notices a file that is too large.
pub(super) fn read_file_blocking(path: &Path) -> std::io::Result<String> {
    let mut content = String::new();
    open_named(path)?.take(MAX_BYTES as u64 + 1).read_to_string(&mut content)?;
    Ok(content)
}
