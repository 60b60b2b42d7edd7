//! Days and whole weeks in UTC: the finest time that is kept. Depends on jiff for the calendar; never reads a clock.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::Date;
use serde::{Serialize, Serializer};

const SECONDS: u64 = 24 * 60 * 60;
/// 1970-01-01 was a Thursday, the fourth day of its week.
const BEFORE_EPOCH: i32 = 3;

/// A day, counted from 1970-01-01; written as `2026-11-22`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// The day of a time; the first one for a time before 1970.
    pub fn of(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self(i32::try_from(seconds / SECONDS).unwrap_or(i32::MAX))
    }

    /// The day that many days later, or earlier.
    #[must_use]
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// The week that it is in.
    pub fn week(self) -> Week {
        Week(self.0.saturating_add(BEFORE_EPOCH).div_euclid(7))
    }

    fn date(self) -> Option<Date> {
        Date::constant(1970, 1, 1).checked_add(jiff::Span::new().try_days(self.0).ok()?).ok()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.date() {
            Some(date) => write!(f, "{date}"),
            None => write!(f, "day {}", self.0),
        }
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text is no day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no day: write it as 2026-11-22")]
pub struct NoDay(String);

impl FromStr for Day {
    type Err = NoDay;

    fn from_str(text: &str) -> Result<Self, NoDay> {
        let date: Date = text.parse().map_err(|_| NoDay(text.to_owned()))?;
        let span = date.since(Date::constant(1970, 1, 1)).map_err(|_| NoDay(text.to_owned()))?;
        Ok(Self(span.get_days()))
    }
}

/// A week from Monday to Sunday, counted from the one of 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Week(pub i32);

impl Week {
    /// Its Monday.
    pub fn first(self) -> Day {
        Day(self.0.saturating_mul(7).saturating_sub(BEFORE_EPOCH))
    }

    /// Its Sunday.
    pub fn last(self) -> Day {
        self.first().plus(6)
    }

    /// The week that many weeks later, or earlier.
    #[must_use]
    pub fn plus(self, weeks: i32) -> Self {
        Self(self.0.saturating_add(weeks))
    }

    /// Its seven days.
    pub fn days(self) -> RangeInclusive<i32> {
        self.first().0..=self.last().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn days_read_as_they_are_written() {
        for text in ["1970-01-01", "1970-01-04", "2024-02-29", "2026-11-22", "1969-12-31"] {
            assert_eq!(text.parse::<Day>().unwrap().to_string(), text);
        }
        assert!("2026-02-30".parse::<Day>().is_err());
        assert!("yesterday".parse::<Day>().is_err());
    }

    #[test]
    fn a_day_ends_at_midnight() {
        let midnight = UNIX_EPOCH + Duration::from_secs(20_000 * SECONDS);
        assert_eq!(Day::of(midnight), Day(20_000));
        assert_eq!(Day::of(midnight - Duration::from_secs(1)), Day(19_999));
    }

    #[test]
    fn weeks_begin_on_monday() {
        // 2026-11-22 is a Sunday.
        let sunday: Day = "2026-11-22".parse().unwrap();
        assert_eq!(sunday.week().first().to_string(), "2026-11-16");
        assert_eq!(sunday.week().last(), sunday);
        assert_eq!(sunday.plus(1).week(), sunday.week().plus(1));
        for day in -20..20 {
            assert!(Day(day).week().days().contains(&day), "{day}");
        }
    }
}
