//! Requests the removal of expired ids and starts at regular intervals. Depends on the store's writer.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::store::Writer;

/// How often expired data is removed.
pub const EXPIRY_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Requests the removal of expired data at the start and then every [`EXPIRY_INTERVAL`], until the server stops.
pub(super) async fn expire_periodically(
    writer: Writer,
    retain_days: Option<NonZeroU32>,
    mut stop: watch::Receiver<()>,
) {
    let mut ticks = tokio::time::interval(EXPIRY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => return,
        }
        writer.request_expiry(retain_days);
    }
}
