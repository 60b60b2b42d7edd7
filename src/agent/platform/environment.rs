//! The environment variables that the agent reads, passed in as an argument.
//!
//! The only module that reads the environment of the process, and only if the caller asks for it.

use std::collections::BTreeMap;
use std::fmt;

/// The environment variables that the agent sees.
///
/// The agent reads `SSL_CERT_FILE` and `SSL_CERT_DIR` (colon separated), `HTTPS_PROXY`, `ALL_PROXY` and
/// `NO_PROXY` (each also in lower case), `TBOT_USE_PROXY_ADDR`, and those that the configured join method and destinations
/// need; docs/configuration.md lists all of them. An empty variable counts as unset.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Returns the environment of this process, without variables that are not UTF-8.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// Returns the value of `name`, unless it is unset or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns the first of `names` that is set: `HTTPS_PROXY`, else `https_proxy`.
    pub(crate) fn first_of(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
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
