//! The wall clock, passed in as an argument.
//!
//! The only module that reads the system clock, and only if the caller asks for it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The longest delay of a renewal after the machine was suspended.
const POLL_INTERVAL: Duration = Duration::from_secs(15);

/// The wall clock: decides whether a certificate has expired and when the next renewal is due.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    poll_interval: Duration,
}

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
