//! Reads the join token from the configuration, or from the file that the configuration names.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::agent::bot::secret_file::{SecretFile, SecretFileError};
use crate::agent::platform::Hint;
use crate::agent::platform::hex::sha256_hex;
use crate::agent::platform::reminders::RecurringWarnings;
use crate::agent::platform::tasks::run_blocking;
use crate::config::JoinMethod;

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
    /// Returns advice for the operator.
    #[must_use]
    pub fn hint(&self) -> Hint {
        Hint::new(match self {
            Self::Unreadable { .. } => "onboarding.token is an absolute path, so it names a file",
            Self::Empty { .. } => "write the token to the file",
        })
    }
}

/// The value of `onboarding.token`: a token, or the absolute path of a file that contains it.
#[derive(Clone)]
pub(crate) struct JoinTokenSource {
    location: TokenLocation,
    /// For the join method `token`. For the other methods, the token is only a name.
    is_secret: bool,
}

#[derive(Clone)]
enum TokenLocation {
    Value(String),
    File(SecretFile),
}

/// A join token. Its `Debug` output does not contain the token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct JoinToken(String);

impl JoinTokenSource {
    pub(crate) fn new(value: impl Into<String>, method: JoinMethod) -> Self {
        let value = value.into();
        let is_file = Path::new(&value).is_absolute();
        let location =
            if is_file { TokenLocation::File(SecretFile::new(value)) } else { TokenLocation::Value(value) };
        Self { location, is_secret: method == JoinMethod::Token }
    }

    /// Returns the token. If it is in a regular file, reads the file on each call, on a thread that may block, and warns if
    /// every user can read or change a secret token.
    pub(crate) async fn resolve(&self, warnings: &RecurringWarnings) -> Result<JoinToken, JoinTokenError> {
        let (source, warnings) = (self.clone(), warnings.clone());
        run_blocking(move || source.resolve_blocking(&warnings)).await
    }

    /// Returns the token, like [`resolve`](Self::resolve).
    pub(crate) fn resolve_blocking(&self, warnings: &RecurringWarnings) -> Result<JoinToken, JoinTokenError> {
        let file = match &self.location {
            TokenLocation::Value(token) => return Ok(JoinToken(token.clone())),
            TokenLocation::File(file) => file,
        };
        let path = || file.path().to_owned();
        match file.read(self.is_secret.then_some("join token"), warnings) {
            Ok(content) => Ok(JoinToken(content.trim().to_owned())),
            Err(SecretFileError::Empty) => Err(JoinTokenError::Empty { path: path() }),
            Err(SecretFileError::Unreadable(error)) => {
                Err(JoinTokenError::Unreadable { path: path(), error })
            }
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
    use crate::agent::platform::Clock;
    use crate::agent::recordings::recorded;

    fn resolve(source: &JoinTokenSource) -> Result<JoinToken, JoinTokenError> {
        source.resolve_blocking(&RecurringWarnings::new(Clock::system()))
    }

    fn secret(value: &str) -> JoinTokenSource {
        JoinTokenSource::new(value, JoinMethod::Token)
    }

    #[test]
    fn the_hash_equals_that_of_the_go_agent() {
        // The recorded join contains the token, the recorded storage its hash.
        let calls: serde_json::Value = serde_json::from_str(&recorded("first-join.json")).unwrap();
        let token = calls[0]["request"]["token"].as_str().unwrap();
        assert_eq!(resolve(&secret(token)).unwrap().hash(), recorded("storage/tokenhash"));
    }

    #[test]
    fn an_absolute_path_names_a_file_and_a_relative_path_is_a_token() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let source = secret(path.to_str().unwrap());
        assert!(matches!(resolve(&source), Err(JoinTokenError::Unreadable { .. })));
        std::fs::write(&path, " \n").unwrap();
        assert!(matches!(resolve(&source), Err(JoinTokenError::Empty { .. })));
        std::fs::write(&path, "abc\n").unwrap();
        assert_eq!(resolve(&source).unwrap().expose(), "abc");
        assert_eq!(resolve(&secret("some/token")).unwrap().expose(), "some/token");
    }

    #[test]
    fn a_token_is_hidden_in_debug_output() {
        let source = secret("hunter2");
        assert!(!format!("{source:?} {:?}", resolve(&source).unwrap()).contains("hunter2"));
    }
}
