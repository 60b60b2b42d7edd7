//! Reads the join token from the configuration, or from the file that the configuration names.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::agent::platform::Hint;
use crate::agent::platform::hex::sha256_hex;
use crate::agent::platform::regular_file;
use crate::agent::platform::tasks::run_blocking;

/// The largest token file that the agent reads, in bytes. Tokens have some 32 bytes.
const FILE_LIMIT: u64 = 64 << 10;

/// A join token that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinTokenError {
    /// The file cannot be read.
    #[error("cannot read the join token from {path}")]
    Unreadable {
        /// The file that `onboarding.token` names.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        error: io::Error,
    },
    /// The file is empty, or contains only whitespace.
    #[error("the join token file {path} is empty")]
    Empty {
        /// The file that `onboarding.token` names.
        path: PathBuf,
    },
}

impl JoinTokenError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Unreadable { .. } => {
                Some(Hint::new("onboarding.token is an absolute path, so it names a file"))
            }
            Self::Empty { .. } => None,
        }
    }
}

/// The value of `onboarding.token`: a token, or the absolute path of a file that contains it.
#[derive(Clone)]
pub(crate) struct JoinTokenSource(String);

/// A join token. Its `Debug` output does not contain the token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct JoinToken(String);

impl JoinTokenSource {
    pub(crate) fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Returns the token. If it is in a file, reads the file on each call, on a thread that may block.
    pub(crate) async fn resolve(&self) -> Result<JoinToken, JoinTokenError> {
        let source = self.clone();
        run_blocking(move || source.resolve_blocking()).await
    }

    /// Returns the token, like [`resolve`](Self::resolve).
    pub(crate) fn resolve_blocking(&self) -> Result<JoinToken, JoinTokenError> {
        let path = Path::new(&self.0);
        if !path.is_absolute() {
            return Ok(JoinToken(self.0.clone()));
        }
        let content = regular_file::read_to_string(path, FILE_LIMIT)
            .map_err(|error| JoinTokenError::Unreadable { path: path.to_owned(), error })?;
        match content.trim() {
            "" => Err(JoinTokenError::Empty { path: path.to_owned() }),
            token => Ok(JoinToken(token.to_owned())),
        }
    }
}

impl JoinToken {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the lower-case hexadecimal SHA-256 of the token, which the storage keeps in `tokenhash`.
    pub(crate) fn hash(&self) -> String {
        sha256_hex(self.0.as_bytes())
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(...)")
    }
}

impl fmt::Debug for JoinTokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinTokenSource(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    #[test]
    fn the_hash_equals_that_of_the_go_agent() {
        // The recorded join contains the token, the recorded storage its hash.
        let calls: serde_json::Value = serde_json::from_str(&recorded("first-join.json")).unwrap();
        let token = calls[0]["request"]["token"].as_str().unwrap();
        let token = JoinTokenSource::new(token).resolve_blocking().unwrap();
        assert_eq!(token.hash(), recorded("storage/tokenhash"));
    }

    #[test]
    fn an_absolute_path_names_a_file_and_a_relative_path_is_a_token() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let source = JoinTokenSource::new(path.to_str().unwrap());
        assert!(matches!(source.resolve_blocking(), Err(JoinTokenError::Unreadable { .. })));
        std::fs::write(&path, " \n").unwrap();
        assert!(matches!(source.resolve_blocking(), Err(JoinTokenError::Empty { .. })));
        std::fs::write(&path, "abc\n").unwrap();
        assert_eq!(source.resolve_blocking().unwrap().expose(), "abc");
        assert_eq!(JoinTokenSource::new("some/token").resolve_blocking().unwrap().expose(), "some/token");
    }

    #[test]
    fn a_token_is_hidden_in_debug_output() {
        let source = JoinTokenSource::new("hunter2");
        assert!(!format!("{source:?} {:?}", source.resolve_blocking().unwrap()).contains("hunter2"));
    }
}
