//! Days and weeks in UTC. No finer time is stored. Depends on jiff for the calendar; never reads a clock.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::Date;
use serde::{Serialize, Serializer};

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
/// The days from Monday to the weekday of 1970-01-01, a Thursday.
const EPOCH_WEEKDAY: i32 = 3;

/// A day, as the number of days since 1970-01-01. Displayed as `2026-11-22`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// Returns the day that contains a time, or 1970-01-01 for an earlier time.
    pub fn of(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self(i32::try_from(seconds / SECONDS_PER_DAY).unwrap_or(i32::MAX))
    }

    /// Returns the day that is `days` days later, or earlier if negative.
    #[must_use]
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Returns the week that contains the day.
    pub fn week(self) -> Week {
        Week(self.0.saturating_add(EPOCH_WEEKDAY).div_euclid(7))
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

/// An error that occurs when parsing a [`Day`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a date such as 2026-11-22")]
pub struct ParseDayError(String);

impl FromStr for Day {
    type Err = ParseDayError;

    fn from_str(string: &str) -> Result<Self, ParseDayError> {
        let error = || ParseDayError(string.to_owned());
        let date: Date = string.parse().map_err(|_| error())?;
        let span = date.since(Date::constant(1970, 1, 1)).map_err(|_| error())?;
        Ok(Self(span.get_days()))
    }
}

/// A week from Monday to Sunday, as the number of weeks since the one that contains 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Week(pub i32);

impl Week {
    /// Returns the Monday.
    pub fn first_day(self) -> Day {
        Day(self.0.saturating_mul(7).saturating_sub(EPOCH_WEEKDAY))
    }

    /// Returns the Sunday.
    pub fn last_day(self) -> Day {
        self.first_day().plus(6)
    }

    /// Returns the week that is `weeks` weeks later, or earlier if negative.
    #[must_use]
    pub fn plus(self, weeks: i32) -> Self {
        Self(self.0.saturating_add(weeks))
    }

    /// Returns the seven days of the week.
    pub fn days(self) -> impl Iterator<Item = Day> {
        (self.first_day().0..=self.last_day().0).map(Day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_day_is_displayed_as_it_is_parsed() {
        for string in ["1970-01-01", "1970-01-04", "2024-02-29", "2026-11-22", "1969-12-31"] {
            assert_eq!(string.parse::<Day>().unwrap().to_string(), string);
        }
        assert!("2026-02-30".parse::<Day>().is_err());
        assert!("yesterday".parse::<Day>().is_err());
    }

    #[test]
    fn a_day_ends_at_midnight() {
        let midnight = UNIX_EPOCH + Duration::from_secs(20_000 * SECONDS_PER_DAY);
        assert_eq!(Day::of(midnight), Day(20_000));
        assert_eq!(Day::of(midnight - Duration::from_secs(1)), Day(19_999));
    }

    #[test]
    fn a_week_begins_on_monday() {
        // 2026-11-22 is a Sunday.
        let sunday: Day = "2026-11-22".parse().unwrap();
        assert_eq!(sunday.week().first_day().to_string(), "2026-11-16");
        assert_eq!(sunday.week().last_day(), sunday);
        assert_eq!(sunday.plus(1).week(), sunday.week().plus(1));
        for day in -20..20 {
            assert!(Day(day).week().days().any(|other| other == Day(day)), "{day}");
        }
    }
}
