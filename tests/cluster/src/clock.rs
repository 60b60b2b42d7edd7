//! The clock of the cluster. It is always passed in; only [`system`] reads the system clock.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// Returns the current time.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Returns the system clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the only reader of the system clock; everything else takes a `Clock`"
)]
pub fn system() -> Clock {
    Arc::new(SystemTime::now)
}

/// A clock that a test can move relative to another clock.
#[derive(Clone)]
pub struct MovableClock {
    base: Clock,
    /// The sum of all moves forward and the sum of all moves back.
    moved: Arc<Mutex<(Duration, Duration)>>,
}

impl MovableClock {
    pub fn new(base: Clock) -> Self {
        Self { base, moved: Arc::default() }
    }

    /// Moves this clock, and every [`Clock`] obtained from it, forward.
    pub fn advance(&self, by: Duration) {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).0 += by;
    }

    /// Moves this clock, and every [`Clock`] obtained from it, back.
    pub fn set_back(&self, by: Duration) {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).1 += by;
    }

    pub fn now(&self) -> SystemTime {
        let (forward, back) = *self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        (self.base)() + forward - back
    }

    /// Returns this clock as a [`Clock`], for a `ClusterConfig`.
    pub fn clock(&self) -> Clock {
        let this = self.clone();
        Arc::new(move || this.now())
    }
}

/// Returns the seconds since the epoch, the resolution of certificates.
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A [`Clock`] for rustls, so that client certificates expire by the cluster's clock.
pub(crate) struct TlsClock(pub(crate) Clock);

impl fmt::Debug for TlsClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsClock")
    }
}

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(unix_seconds((self.0)()))))
    }
}
