//! Retention: requests the removal of expired ids and starts at regular intervals. Depends on the store's writer.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::store::Writer;

/// How often expired data is removed.
pub const CLEANUP_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Requests a cleanup at the start and then every [`CLEANUP_INTERVAL`], until the server stops.
pub(super) async fn clean_up_periodically(
    writer: Writer,
    retain_days: Option<NonZeroU32>,
    mut stop: watch::Receiver<()>,
) {
    let mut ticks = tokio::time::interval(CLEANUP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => return,
        }
        writer.request_cleanup(retain_days);
    }
}
