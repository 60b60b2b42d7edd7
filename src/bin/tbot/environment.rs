//! The environment variables of this process, gathered once and passed on. The only place of the binary that reads them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Environment variables as they were when the process started. An empty one counts as unset.
#[derive(Clone, Default)]
pub(crate) struct Environment(BTreeMap<OsString, OsString>);

/// A variable is set to what is not UTF-8, where text is wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} is not UTF-8: set it to text, or unset it")]
pub(crate) struct NotUtf8(pub(crate) String);

impl Environment {
    pub(crate) fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// The value of a variable as it is.
    pub(crate) fn raw(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The value of a variable that is a text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, NotUtf8> {
        let value = self.raw(name).map(|value| value.to_str().ok_or_else(|| NotUtf8(name.to_owned())));
        value.transpose()
    }

    /// All variables that are text, for the agent.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
    }

    /// The first of several variables that is set: `HTTPS_PROXY`, else `https_proxy`.
    pub(crate) fn first_of(&self, names: &[&str]) -> Result<Option<&str>, NotUtf8> {
        names.iter().find_map(|name| self.text(name).transpose()).transpose()
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
