//! The contents of a report. Depends on a store's counts and on their rounding.

use serde::Serialize;

use super::rounding::{RoundedTally, max_hidden, round_down};
use super::section::{Counts, Group, Section};
use super::weeks::WeekRange;
use crate::day::{Day, Week};
use crate::schema::EventSchema;
use crate::store::{Store, StoreError};

/// The default minimum number of starts of a group in a report.
pub const DEFAULT_MIN_GROUP: u64 = 10;

/// The explanation of a report that shows groups below the default minimum.
const NOT_FOR_PUBLICATION: &str =
    "This report shows groups that are small enough to recognise a single agent. Do not publish it.";

/// The explanation of a report that contains the current week or a later one.
const NOT_OVER: &str =
    "The last week is not over, so its numbers are incomplete. Do not publish this report.";

/// Explanations that are part of every report.
pub const NOTES: [&str; 3] = [
    "Starts are not users, machines or agents: a job that runs every minute adds 10,080 starts per week, while an agent \
     that keeps running for a month adds one, and one that fails and is restarted adds one each time. Only agents whose operators opted in are included.",
    "Two implementations of tbot report here, and they count destinations differently. The Rust tbot counts \
     every entry of services and outputs. How the Go tbot counts depends on its version, and is known only for Teleport 15: \
     there, it counts only entries of outputs, not services, and assigns only the types application, database and kubernetes \
     to a use case. Later versions may count services, too. So the destinations of the two are shown separately: do not \
     compare or add them up. If agents were upgraded, a change in the numbers of the Go tbot may come from the upgrade, and not \
     from a change in use. The tables by use case contain both.",
    "Values that this version of prehog does not know, such as new join methods, are combined as other. If a week has too \
     many different versions, the further ones are combined as other, too.",
];

/// The numbers of starts in a range of weeks. Each number of a week is rounded down to a multiple of the minimum size of a
/// group; all other numbers are sums of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The first day of the first week.
    pub since: Day,
    /// The last day of the last week.
    pub until: Day,
    /// The minimum number of starts of a group in a week, of which all numbers are multiples.
    pub min_group: u64,
    /// The starts in all weeks that are shown, or `None` if there is no such week.
    pub starts: Option<u64>,
    /// The same number of weeks before, or `None` if one of them or of the weeks of the report has too few starts or may be
    /// incomplete, so that a comparison would be wrong.
    pub before: Option<Before>,
    /// The starts per week.
    pub weeks: Vec<Count>,
    /// The starts per day.
    pub days: Vec<Count>,
    /// The starts per value of each facet.
    pub sections: Vec<Section>,
    /// How to read the numbers.
    pub notes: Vec<&'static str>,
}

/// The period with which a report compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Before {
    /// The first day.
    pub since: Day,
    /// The last day.
    pub until: Day,
    /// The starts in all weeks that are shown.
    pub starts: u64,
}

/// The number of starts in a day or a week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The day, or the first day of the week.
    pub from: Day,
    /// The number of starts, or `None` if it is too small.
    pub starts: Option<u64>,
}

impl Report {
    /// Builds the report of a range of weeks. If the last one is not over on `today`, the report says so, and does not compare.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    pub fn from_store(
        store: &mut dyn Store,
        weeks: WeekRange,
        min_group: u64,
        today: Day,
    ) -> Result<Self, StoreError> {
        let min_group = min_group.max(1);
        let schema = EventSchema::embedded()?;
        let tally = store.tally(weeks.before().first.plus(-1), weeks.last, min_group)?;
        let is_over = weeks.last < today.week();
        Ok(Self::from_rounded(schema, &round_down(&tally, min_group), weeks, min_group, is_over))
    }

    /// Returns true if no starts are shown.
    pub fn is_empty(&self) -> bool {
        self.starts.is_none_or(|starts| starts == 0)
    }

    /// Returns the section of a facet.
    pub fn section(&self, facet: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == facet)
    }

    /// Returns the groups of a facet. Empty if nothing is shown.
    pub fn groups(&self, facet: &str) -> &[Group] {
        match self.section(facet).map(|section| &section.content) {
            Some(super::section::Content::Groups(groups)) => groups,
            _ => &[],
        }
    }

    /// Returns by how much the number of all starts can be too small.
    pub(super) fn max_hidden(&self) -> u64 {
        max_hidden(self.min_group, u64::try_from(self.weeks.len()).unwrap_or(u64::MAX))
    }

    fn from_rounded(
        schema: &EventSchema,
        rounded: &RoundedTally,
        weeks: WeekRange,
        min_group: u64,
        is_over: bool,
    ) -> Self {
        // If small groups are hidden, a week or a day without starts must look like one with too few of them.
        let empty = (min_group <= 1).then_some(0);
        let starts_of_week = |week| rounded.get(&week).map(|week| week.total).or(empty);
        let starts_of_day =
            |day: Day| rounded.get(&day.week()).and_then(|week| week.days.get(&day).copied()).or(empty);
        let total =
            |weeks: WeekRange| weeks.weeks().filter_map(starts_of_week).reduce(|sum, starts| sum + starts);
        // A week is complete if the week before it or its own first day has starts. Otherwise, the receiver may have been installed, or
        // starts removed, in the middle of the week.
        let is_complete = |week: Week| {
            rounded.get(&week).is_some_and(|rounded_week| {
                rounded.contains_key(&week.plus(-1)) || rounded_week.days.contains_key(&week.first_day())
            })
        };
        let before = weeks.before();
        let is_shown = |week| rounded.contains_key(&week);
        let compares = is_over
            && is_complete(before.first)
            && before.weeks().all(is_shown)
            && weeks.weeks().all(is_shown);
        let before = compares.then(|| Before {
            since: before.first_day(),
            until: before.last_day(),
            starts: total(before).unwrap_or(0),
        });
        let counts = Counts { schema, rounded, weeks, min_group, compares: before.is_some(), empty };
        let not_for_publication = (min_group < DEFAULT_MIN_GROUP).then_some(NOT_FOR_PUBLICATION);
        let not_over = (!is_over).then_some(NOT_OVER);
        Self {
            since: weeks.first_day(),
            until: weeks.last_day(),
            min_group,
            starts: total(weeks),
            before,
            weeks: weeks
                .weeks()
                .map(|week| Count { from: week.first_day(), starts: starts_of_week(week) })
                .collect(),
            days: weeks.days().map(|day| Count { from: day, starts: starts_of_day(day) }).collect(),
            sections: counts.sections(),
            notes: not_for_publication.into_iter().chain(not_over).chain(NOTES).collect(),
        }
    }
}
