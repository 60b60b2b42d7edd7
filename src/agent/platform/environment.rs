//! The environment variables that the agent and the program read, passed in as an argument.
//!
//! This is the only module that reads the environment of the process, and only through [`Environment::of_process`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

use super::Hint;

/// The environment variables that the agent sees.
///
/// The agent reads `SSL_CERT_FILE` and `SSL_CERT_DIR` (colon separated), `HTTPS_PROXY`, `ALL_PROXY` and
/// `NO_PROXY` (each also in lower case), `TELEPORT_TLS_ROUTING_CONN_UPGRADE`, `TBOT_USE_PROXY_ADDR`, and
/// those that the configured join method and destinations need; docs/configuration.md lists all of them. An empty variable
/// counts as unset.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

/// An environment variable whose value must be UTF-8, but is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {0} is not valid UTF-8")]
pub struct NotUtf8(String);

impl NotUtf8 {
    /// Returns advice for the operator.
    #[must_use]
    pub fn hint(&self) -> Hint {
        Hint::new("correct it or unset it")
    }
}

impl Environment {
    /// Returns the environment of this process. Of several entries with the same name, the first one counts, as in Go and for `getenv`.
    #[must_use]
    pub fn of_process() -> Self {
        Self::first_of_each(std::env::vars_os())
    }

    fn first_of_each(entries: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut variables = BTreeMap::new();
        for (name, value) in entries {
            variables.entry(name).or_insert(value);
        }
        Self(variables)
    }

    /// Returns the value of `name`, unless it is unset, empty or not UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_os(name).and_then(OsStr::to_str)
    }

    /// Returns the value of `name`, whether UTF-8 or not, unless it is unset or empty.
    #[must_use]
    pub fn get_os(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Returns all variables, for a program that the agent starts.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Returns the value of `name`, unless it is unset or empty.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is not UTF-8.
    pub fn get_utf8(&self, name: &str) -> Result<Option<&str>, NotUtf8> {
        self.get_os(name).map(|value| value.to_str().ok_or_else(|| NotUtf8(name.to_owned()))).transpose()
    }

    /// Returns the value of the first variable of `names` that is set: for example `HTTPS_PROXY`, else `https_proxy`.
    pub(crate) fn first_of(&self, names: &[&str]) -> Result<Option<&str>, NotUtf8> {
        names.iter().find_map(|name| self.get_utf8(name).transpose()).transpose()
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Prints names only, because values may be tokens.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_entries_with_the_same_name_counts() {
        let entries = [("DO_NOT_TRACK", "1"), ("A", "b"), ("DO_NOT_TRACK", "0")];
        let entries = entries.map(|(name, value)| (name.into(), value.into()));
        let environment = Environment::first_of_each(entries.into_iter());
        assert_eq!((environment.get("DO_NOT_TRACK"), environment.get("A")), (Some("1"), Some("b")));
    }
}
