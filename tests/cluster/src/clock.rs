//! Where the cluster's time comes from: an argument. The one ambient clock of the crate is [`system`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// Tells the time. Validity of certificates, expiry of tokens and the check of client certificates all follow it.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The machine's clock.
#[expect(clippy::disallowed_methods, reason = "the edge where a clock comes in; everything else takes one")]
pub fn system() -> Clock {
    Arc::new(SystemTime::now)
}

/// A clock that a test moves by hand on top of another one.
#[derive(Clone)]
pub struct MovableClock {
    base: Clock,
    /// How far it is ahead, and how far it was set back.
    moved: Arc<Mutex<(Duration, Duration)>>,
}

impl MovableClock {
    pub fn new(base: Clock) -> Self {
        Self { base, moved: Arc::default() }
    }

    /// Moves this clock, and every [`Clock`] taken from it, forward.
    pub fn advance(&self, by: Duration) {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).0 += by;
    }

    /// Sets it, and every [`Clock`] taken from it, back.
    pub fn set_back(&self, by: Duration) {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).1 += by;
    }

    pub fn now(&self) -> SystemTime {
        let (ahead, back) = *self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        (self.base)() + ahead - back
    }

    /// The clock to hand to a `ClusterConfig`.
    pub fn clock(&self) -> Clock {
        let this = self.clone();
        Arc::new(move || this.now())
    }
}

/// Seconds since the epoch; certificates know nothing finer.
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The same clock for rustls, so that a client certificate expires when the cluster's time says so.
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
