//! The environment variables of this process. Nothing else in the binary reads them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// The environment variables as they were when the process started. An empty variable counts as unset.
#[derive(Clone, Default)]
pub(crate) struct Environment(BTreeMap<OsString, OsString>);

/// A variable that must be UTF-8 is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {0} is not valid UTF-8: correct it or unset it")]
pub(crate) struct NotUtf8(pub(crate) String);

impl Environment {
    pub(crate) fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// Returns the value of a variable, which may not be UTF-8.
    pub(crate) fn var_os(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Returns the value of a variable that must be UTF-8.
    pub(crate) fn var(&self, name: &str) -> Result<Option<&str>, NotUtf8> {
        self.var_os(name).map(|value| value.to_str().ok_or_else(|| NotUtf8(name.to_owned()))).transpose()
    }

    /// Returns the first of these variables that is set, such as `HTTPS_PROXY` before `https_proxy`.
    pub(crate) fn first_var(&self, names: &[&str]) -> Result<Option<&str>, NotUtf8> {
        names.iter().find_map(|name| self.var(name).transpose()).transpose()
    }

    /// Iterates over the variables that are UTF-8.
    pub(crate) fn utf8_vars(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Parses a boolean like Go's `strconv.ParseBool`, which Teleport's programs use for their variables.
pub(crate) fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}
