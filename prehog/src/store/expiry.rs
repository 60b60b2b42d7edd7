//! Which days are over, and which have expired. Pure. A clock can be wrong, so nothing expires because of the current time alone:
//! the store also records the days on which it was maintained, and a single day far ahead of the others does not count.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use crate::day::Day;

/// On how many days the store must have been maintained before a clock that has jumped ahead is trusted to remove starts.
pub const TRUSTED_AFTER_DAYS: usize = 7;

/// How long after midnight a day counts as complete. By then everything accepted on that day is stored, including
/// submissions of other receivers whose clocks differ.
pub const DAY_END_GRACE: Duration = Duration::from_secs(60 * 60);

/// Returns the first day that may still get new starts. All earlier days are complete.
pub fn first_open_day(now: SystemTime) -> Day {
    Day::of(now.checked_sub(DAY_END_GRACE).unwrap_or(now))
}

/// The minimum number of days for which starts are kept. A report shows the last complete week until the next one is complete, so with
/// fewer days, starts could be removed before or while their week is shown.
pub const MIN_RETENTION_DAYS: u32 = 14;

/// Returns the first day that is kept if starts are kept for `days` days. It is a Monday, because weeks are removed as a
/// whole: a report never contains a part of a week. A week is removed before any of its days is older than `days` days.
pub fn first_retained_day(today: Day, days: NonZeroU32) -> Day {
    let oldest = today.plus(i32::try_from(days.get()).map_or(i32::MIN, |days| -days));
    let week = oldest.week();
    if week.first_day() == oldest { oldest } else { week.plus(1).first_day() }
}

/// Returns the day by which ids expire, given the days of maintenance up to today, the newest first: today if there was
/// maintenance on the day before, too, otherwise the last day of maintenance before it.
pub(super) fn today_for_ids(maintained: &[Day]) -> Option<Day> {
    match maintained {
        [today, before, ..] if *before == today.plus(-1) => Some(*today),
        [_, before, ..] => Some(*before),
        _ => None,
    }
}

/// Returns the day by which starts expire, given the days of maintenance up to today, the newest first: at most one day per
/// day of maintenance later than [`TRUSTED_AFTER_DAYS`] ago. This is today if there was maintenance on every day.
pub(super) fn today_for_starts(maintained: &[Day]) -> Option<Day> {
    let days = TRUSTED_AFTER_DAYS - 1;
    maintained.get(days).map(|day| day.plus(i32::try_from(days).unwrap_or(0)))
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

    /// At any hour of any day of the week. With a day less, this is not so on Monday within the grace period.
    #[test]
    fn the_last_complete_week_is_never_removed() {
        let removes_it = |days: u32| {
            let hour =
                |hour: u64| SystemTime::UNIX_EPOCH + Duration::from_secs((20_000 * 24 + hour) * 60 * 60);
            (0..14 * 24_u64).map(hour).any(|now| {
                let last_complete = first_open_day(now).week().plus(-1);
                first_retained_day(Day::of(now), NonZeroU32::new(days).unwrap()) > last_complete.first_day()
            })
        };
        assert!(!removes_it(MIN_RETENTION_DAYS));
        assert!(removes_it(MIN_RETENTION_DAYS - 1));
    }

    /// Returns both results for days of maintenance, given as numbers.
    fn todays(maintained: &[i32]) -> (Option<i32>, Option<i32>) {
        let days: Vec<Day> = maintained.iter().copied().map(Day).collect();
        (today_for_ids(&days).map(|day| day.0), today_for_starts(&days).map(|day| day.0))
    }

    #[test]
    fn a_clock_that_is_ahead_is_not_trusted_at_once() {
        assert_eq!(todays(&[107, 106, 105, 104, 103, 102, 101]), (Some(107), Some(107)));
        // The first days of a store.
        assert_eq!(todays(&[]), (None, None));
        assert_eq!(todays(&[107]), (None, None));
        // Two years ahead, for less than a day and for several days.
        assert_eq!(todays(&[837, 107, 106, 105, 104, 103, 102]), (Some(107), Some(108)));
        assert_eq!(todays(&[839, 838, 837, 107, 106, 105, 104]), (Some(839), Some(110)));
        // After a pause of a week, and with a pause every weekend.
        assert_eq!(todays(&[114, 107, 106, 105, 104, 103, 102]), (Some(107), Some(108)));
        assert_eq!(todays(&[109, 108, 107, 106, 105, 102, 101]), (Some(109), Some(107)));
    }
}
