//! The wall clock, passed in as an argument.
//!
//! This is the only module that reads the system clock, and only through [`Clock::system`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The default poll interval. A renewal that falls due while the machine is suspended is delayed by at most this long.
const POLL_INTERVAL: Duration = Duration::from_secs(15);

/// The wall clock, which decides whether a certificate has expired and when the next renewal is due.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    poll_interval: Duration,
}

impl Clock {
    /// Returns the system clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "everything else takes a `Clock`")]
    pub fn system() -> Self {
        Self::from_fn(SystemTime::now)
    }

    /// Returns a clock that calls `now`.
    #[must_use]
    pub fn from_fn(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), poll_interval: POLL_INTERVAL }
    }

    /// Sets how often a waiting task checks the clock (15 s by default), so that it notices when the time jumps.
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
