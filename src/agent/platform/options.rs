//! What the agent takes from its surroundings as arguments: environment variables, the clock, randomness.
//!
//! The only module that reads the ambient clock and environment, and only if the caller asks for them explicitly.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

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

/// The wall clock: decides whether a certificate has expired and when the next renewal is due.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    poll_interval: Duration,
}

/// The longest delay of a renewal after the machine was suspended.
const POLL_INTERVAL: Duration = Duration::from_secs(15);

impl Clock {
    /// Returns the system clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place where a caller asks for the ambient clock")]
    pub fn system() -> Self {
        Self::from_fn(SystemTime::now)
    }

    /// Returns a clock that calls `now`.
    #[must_use]
    pub fn from_fn(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), poll_interval: POLL_INTERVAL }
    }

    /// Sets how often a waiting task checks the clock (15 s by default), so that it notices a jump of the time.
    #[must_use]
    pub fn with_poll_interval(self, poll_interval: Duration) -> Self {
        Self { poll_interval, ..self }
    }

    pub(crate) fn poll_interval(&self) -> Duration {
        self.poll_interval
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

/// A source of random numbers for jitter, uniform in 0.0 to 1.0. Never used for secrets.
#[derive(Clone)]
pub struct Randomness(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Randomness {
    /// Returns the system's random generator. If it fails, every number is 0.5, which means no jitter.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(|| getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))))
    }

    /// Returns randomness that calls `next` for a number in 0.0 to 1.0.
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
