//! The range of weeks of a report. Pure.

use crate::day::{Day, Week};

/// The default number of weeks in a report.
pub const DEFAULT_WEEKS: i32 = 12;
/// The maximum number of weeks in a report: ten years.
pub const MAX_WEEKS: i32 = 520;

/// A range of whole weeks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeekRange {
    /// The first week.
    pub first: Week,
    /// The last week.
    pub last: Week,
}

/// An error that occurs if two days do not select weeks of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeekRangeError {
    /// The first day is after the last one.
    #[error("the first day, {since}, is after the last one, {until}")]
    Reversed {
        /// The first day.
        since: Day,
        /// The last day.
        until: Day,
    },
    /// The first day is after the last complete week, and there is no last day.
    #[error("{since} is after the last complete week, which ends on {until}")]
    NotOver {
        /// The first day.
        since: Day,
        /// The last day of the last complete week.
        until: Day,
    },
    /// There are too many weeks between the days.
    #[error("a report has at most {MAX_WEEKS} weeks, but there are {0} between the two days")]
    TooLong(i32),
}

impl WeekRange {
    /// Returns the last [`DEFAULT_WEEKS`] weeks before the one that contains `today`.
    pub fn last_complete(today: Day) -> Self {
        Self::ending(today.week().plus(-1), DEFAULT_WEEKS)
    }

    /// Returns a number of weeks, of which `last` is the last one.
    pub fn ending(last: Week, weeks: i32) -> Self {
        Self { first: last.plus(1 - weeks), last }
    }

    /// Returns the weeks that contain the days from `since` to `until`. By default, they end with the last complete week
    /// before the one that contains `today`, and there are [`DEFAULT_WEEKS`] of them.
    ///
    /// # Errors
    ///
    /// Returns an error if `since` is after `until` or, without that, after the last complete week, or if there are more than [`MAX_WEEKS`].
    pub fn select(since: Option<Day>, until: Option<Day>, today: Day) -> Result<Self, WeekRangeError> {
        let last = until.map_or(today.week().plus(-1), Day::week);
        let default = Self::ending(last, DEFAULT_WEEKS);
        let range = Self { first: since.map_or(default.first, Day::week), last };
        match (since, until) {
            (Some(since), Some(until)) if since > until => {
                return Err(WeekRangeError::Reversed { since, until });
            }
            (Some(since), None) if since > range.last_day() => {
                return Err(WeekRangeError::NotOver { since, until: range.last_day() });
            }
            _ => {}
        }
        if range.len() > MAX_WEEKS { Err(WeekRangeError::TooLong(range.len())) } else { Ok(range) }
    }

    /// Returns the same number of weeks directly before these.
    #[must_use]
    pub fn before(self) -> Self {
        Self::ending(self.first.plus(-1), self.len())
    }

    /// Returns the number of weeks.
    #[expect(clippy::len_without_is_empty, reason = "a range has at least one week")]
    pub fn len(self) -> i32 {
        self.last.0.saturating_sub(self.first.0).saturating_add(1)
    }

    /// Returns the first day.
    pub fn first_day(self) -> Day {
        self.first.first_day()
    }

    /// Returns the last day.
    pub fn last_day(self) -> Day {
        self.last.last_day()
    }

    /// Returns all weeks.
    pub fn weeks(self) -> impl Iterator<Item = Week> {
        (self.first.0..=self.last.0).map(Week)
    }

    /// Returns all days.
    pub fn days(self) -> impl Iterator<Item = Day> {
        self.weeks().flat_map(Week::days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(since: Option<&str>, until: Option<&str>) -> Result<(String, String), WeekRangeError> {
        let day = |text: &str| text.parse::<Day>().unwrap();
        // A Wednesday.
        let range = WeekRange::select(since.map(day), until.map(day), day("2026-11-18"))?;
        Ok((range.first_day().to_string(), range.last_day().to_string()))
    }

    #[test]
    fn days_select_their_whole_weeks() {
        let range = |first: &str, last: &str| Ok((first.to_owned(), last.to_owned()));
        assert_eq!(select(None, None), range("2026-08-24", "2026-11-15"));
        assert_eq!(select(Some("2026-11-04"), None), range("2026-11-02", "2026-11-15"));
        assert_eq!(select(None, Some("2026-06-30")), range("2026-04-13", "2026-07-05"));
        assert_eq!(select(Some("2026-06-30"), Some("2026-06-30")), range("2026-06-29", "2026-07-05"));
    }

    #[test]
    fn days_in_the_wrong_order_and_too_many_weeks_are_rejected() {
        let reversed = select(Some("2026-11-11"), Some("2026-11-10"));
        assert!(matches!(reversed, Err(WeekRangeError::Reversed { .. })));
        let not_over = select(Some("2026-11-16"), None);
        assert!(matches!(not_over, Err(WeekRangeError::NotOver { .. })));
        assert_eq!(
            select(Some("2016-11-28"), Some("2026-11-15")),
            Ok(("2016-11-28".into(), "2026-11-15".into()))
        );
        assert_eq!(select(Some("2016-11-27"), Some("2026-11-15")), Err(WeekRangeError::TooLong(521)));
        assert!(matches!(select(Some("0001-01-01"), None), Err(WeekRangeError::TooLong(_))));
    }

    #[test]
    fn the_weeks_before_are_as_many() {
        let range = WeekRange { first: Week(100), last: Week(103) };
        assert_eq!(range.before(), WeekRange { first: Week(96), last: Week(99) });
    }
}
