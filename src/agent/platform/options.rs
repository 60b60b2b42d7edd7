//! What the agent takes from the outside as arguments: environment, clock, randomness, its own command's path.
//!
//! Depends on the standard library only. This is the one place that may read the ambient clock and
//! environment, and only when the caller asks for them by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Environment variables, as the caller wants the agent to see them.
///
/// The agent reads `SSL_CERT_FILE` and `SSL_CERT_DIR` (colon separated), `HTTPS_PROXY`, `ALL_PROXY` and
/// `NO_PROXY` (each also in lower case), `TBOT_USE_PROXY_ADDR`, and those that the configured join method and destinations
/// name: docs/configuration.md has all of them. An empty variable counts as unset.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The environment of this process. Variables that are not UTF-8 are left out.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of `name`, unless it is unset or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The first of `names` that is set: `HTTPS_PROXY`, else `https_proxy`.
    pub(crate) fn first_of(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Names only: values may be tokens.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Tells wall-clock time: when a certificate has expired, and when the next renewal is due.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    glance: Duration,
}

/// After a suspend, a renewal is late by at most this.
const GLANCE: Duration = Duration::from_secs(15);

impl Clock {
    /// The system's clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place where a caller asks for the ambient clock")]
    pub fn system() -> Self {
        Self::from_fn(SystemTime::now)
    }

    /// A clock that asks `now`.
    #[must_use]
    pub fn from_fn(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), glance: GLANCE }
    }

    /// The same clock, looked at every `glance` (15 s otherwise) by whoever waits: a jump is noticed that late.
    #[must_use]
    pub fn glanced_at(self, glance: Duration) -> Self {
        Self { glance, ..self }
    }

    pub(crate) fn glance(&self) -> Duration {
        self.glance
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.now)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Gives random numbers for jitter, uniform in 0.0 to 1.0, and nothing secret.
#[derive(Clone)]
pub struct Randomness(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Randomness {
    /// The system's random generator; where it fails, one half, which is no worse than no jitter.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(|| getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))))
    }

    /// Randomness that asks `next`, which answers in 0.0 to 1.0.
    #[must_use]
    pub fn from_fn(next: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(next))
    }

    pub(crate) fn next(&self) -> f64 {
        (self.0)().clamp(0.0, 1.0)
    }
}

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Randomness")
    }
}
