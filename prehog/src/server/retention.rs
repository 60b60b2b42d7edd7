//! Retention: requests the removal of expired ids and starts at regular intervals. Depends on the store's writer.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::options::Options;
use crate::day::Day;
use crate::store::Writer;

/// How often expired data is removed.
pub const CLEANUP_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Returns the first day that is kept if starts are kept for `days` days. It is a Monday, because weeks are removed as a
/// whole: a report never contains a part of a week. A week is removed before any of its days is older than `days` days.
pub fn first_retained_day(today: Day, days: NonZeroU32) -> Day {
    let oldest = today.plus(i32::try_from(days.get()).map_or(i32::MIN, |days| -days));
    let week = oldest.week();
    if week.first_day() == oldest { oldest } else { week.plus(1).first_day() }
}

/// Requests a cleanup at the start and then every [`CLEANUP_INTERVAL`], until the server stops.
pub(super) async fn clean_up_periodically(writer: Writer, options: Options, mut stop: watch::Receiver<()>) {
    let mut ticks = tokio::time::interval(CLEANUP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => return,
        }
        let today = Day::of((options.clock)());
        writer.request_cleanup(options.retain_days.map(|days| first_retained_day(today, days)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_is_removed_as_a_whole_and_in_time() {
        let day = |date: &str| date.parse::<Day>().unwrap();
        let first = |today: &str, days: u32| {
            first_retained_day(day(today), NonZeroU32::new(days).unwrap()).to_string()
        };
        // 2026-11-16 and 2026-11-23 are Mondays.
        assert_eq!(first("2026-11-23", 7), "2026-11-16");
        assert_eq!(first("2026-11-24", 7), "2026-11-23");
        assert_eq!(first("2026-11-22", 7), "2026-11-16");
        assert_eq!(first("2026-11-22", 6), "2026-11-16");
        assert_eq!(first("2026-11-22", 5), "2026-11-23");
        for (today, days) in [(20_000, 1), (20_003, 30), (20_006, 400)] {
            let first = first_retained_day(Day(today), NonZeroU32::new(days).unwrap());
            assert!(today - first.0 <= i32::try_from(days).unwrap());
            assert_eq!(first.week().first_day(), first);
        }
    }
}
