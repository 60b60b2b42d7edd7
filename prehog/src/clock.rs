//! The clock, which callers pass as an argument. [`system`] is the only place in this crate that reads the real clock.

use std::sync::Arc;
use std::time::SystemTime;

/// A function that returns the current time.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Returns the clock of the system.
#[expect(
    clippy::disallowed_methods,
    reason = "the only place that reads the real clock; everything else takes a `Clock`"
)]
pub fn system() -> Clock {
    Arc::new(SystemTime::now)
}
