//! Where time comes from: an argument. The one ambient clock of the crate is [`system`].

use std::sync::Arc;
use std::time::SystemTime;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The machine's clock.
#[expect(clippy::disallowed_methods, reason = "the edge where the clock comes in; everything else takes one")]
pub fn system() -> Clock {
    Arc::new(SystemTime::now)
}
