//! The join token: a name that is a secret, given in the configuration or in a file. One I/O edge.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::agent::platform::hex::sha256_hex;

/// A token that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file that `onboarding.token` names.
    #[error(
        "cannot read the join token from {path}: {error}; onboarding.token names this file, because it is an absolute path"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// The file is there, and says nothing.
    #[error("the join token file {path} is empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// The value of `onboarding.token`. An absolute path means the file's content, read whenever it is needed.
#[derive(Clone)]
pub(crate) struct TokenSetting(String);

/// A token's value. Prints as `...`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl TokenSetting {
    pub(crate) fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    pub(crate) fn resolve(&self) -> Result<Token, TokenError> {
        let path = Path::new(&self.0);
        if !path.is_absolute() {
            return Ok(Token(self.0.clone()));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| TokenError::Unreadable { path: path.to_owned(), error })?;
        match text.trim() {
            "" => Err(TokenError::Empty { path: path.to_owned() }),
            token => Ok(Token(token.to_owned())),
        }
    }
}

impl Token {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Lower-case hexadecimal SHA-256, as `tokenhash` holds it.
    pub(crate) fn hash(&self) -> String {
        sha256_hex(self.0.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

impl fmt::Debug for TokenSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSetting(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    #[test]
    fn the_hash_is_the_one_that_the_go_agent_wrote() {
        // The token stands in the recorded join, its hash in the recorded storage.
        let calls: serde_json::Value = serde_json::from_str(&recorded("first-join.json")).unwrap();
        let token = TokenSetting::new(calls[0]["request"]["token"].as_str().unwrap()).resolve().unwrap();
        assert_eq!(token.hash(), recorded("storage/tokenhash"));
    }

    #[test]
    fn an_absolute_path_is_a_file_and_a_relative_one_is_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let setting = TokenSetting::new(path.to_str().unwrap());
        assert!(matches!(setting.resolve(), Err(TokenError::Unreadable { .. })));
        std::fs::write(&path, " \n").unwrap();
        assert!(matches!(setting.resolve(), Err(TokenError::Empty { .. })));
        std::fs::write(&path, "abc\n").unwrap();
        assert_eq!(setting.resolve().unwrap().expose(), "abc");
        assert_eq!(TokenSetting::new("some/token").resolve().unwrap().expose(), "some/token");
    }

    #[test]
    fn a_token_never_prints() {
        let setting = TokenSetting::new("hunter2");
        assert!(!format!("{setting:?} {:?}", setting.resolve().unwrap()).contains("hunter2"));
    }
}
