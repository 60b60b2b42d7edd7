//! The contents of a report. Depends on a store's counts and on their rounding.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::rounding::{RoundedTally, RoundedWeek, round_down};
use crate::day::{Day, Week};
use crate::facet::{Facet, FacetId, FacetValue, RANGES, USE_CASE_SEPARATOR, UseCases};
use crate::schema::EventSchema;
use crate::store::{Store, StoreError};

/// The default number of weeks in a report.
pub const DEFAULT_WEEKS: i32 = 12;

/// The default minimum number of starts of a group in a report.
pub const DEFAULT_MIN_GROUP: u64 = 10;

/// The maximum number of values in a table. Further values are combined, so that a report stays small.
pub const MAX_ROWS: usize = 100;

/// The explanation of a report that shows groups below the default minimum.
const NOT_FOR_PUBLICATION: &str =
    "This report shows groups that are small enough to recognise a single agent. Do not publish it.";

/// Explanations that are part of every report.
pub const NOTES: [&str; 3] = [
    "Starts are not users, machines or agents: a job that runs every minute adds 10,080 starts per week, while an agent \
     that keeps running for a month adds one. Only agents whose operators opted in are included.",
    "Two implementations of tbot report here, and they count destinations differently. The tbot of this project counts \
     every entry of services and outputs. The Go tbot counts only entries of outputs, and assigns only the types \
     application, database and kubernetes to a use case; it does not count services. Do not compare or add up the \
     destinations of the two.",
    "Values that this version of prehog does not know, such as new join methods, are combined as other. So are the versions \
     of a week beyond a maximum number of different ones.",
];

/// A range of whole weeks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeekRange {
    /// The first week.
    pub first: Week,
    /// The last week.
    pub last: Week,
}

impl WeekRange {
    /// Returns the last [`DEFAULT_WEEKS`] weeks before the one that contains `today`.
    pub fn last_complete(today: Day) -> Self {
        let last = today.week().plus(-1);
        Self { first: last.plus(1 - DEFAULT_WEEKS), last }
    }

    /// Returns the weeks that contain the days from `since` to `until`, or `None` if `since` is after `until`.
    pub fn containing(since: Day, until: Day) -> Option<Self> {
        (since <= until).then(|| Self { first: since.week(), last: until.week() })
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

/// The numbers of starts in a range of weeks. Each number of a week is rounded down to a multiple of the minimum size of a
/// group; all other numbers are sums of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The first day of the first week.
    pub since: Day,
    /// The last day of the last week.
    pub until: Day,
    /// The minimum number of starts of a group in a week, of which all numbers are multiples.
    pub min_group: u64,
    /// The starts in all weeks that are shown.
    pub starts: u64,
    /// The starts per week.
    pub weeks: Vec<Count>,
    /// The starts per day.
    pub days: Vec<Count>,
    /// One table per facet other than the use cases.
    pub tables: Vec<FacetTable>,
    /// The starts with at least one destination for a use case.
    pub use_cases: Vec<Row>,
    /// The use cases that one start serves together.
    pub combinations: Table,
    /// How to read the numbers.
    pub notes: Vec<&'static str>,
}

/// The number of starts per value of a facet, and how to present them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetTable {
    /// The name of the facet.
    pub name: String,
    /// The key of the table in JSON: a name in snake case, such as `versions`.
    pub key: String,
    /// The description of the property, in Markdown.
    pub description: String,
    /// The numbers.
    pub table: Table,
}

/// The tables are members of the object, under their keys.
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("since", &self.since)?;
        map.serialize_entry("until", &self.until)?;
        map.serialize_entry("min_group", &self.min_group)?;
        map.serialize_entry("starts", &self.starts)?;
        map.serialize_entry("weeks", &self.weeks)?;
        map.serialize_entry("days", &self.days)?;
        for FacetTable { key, table, .. } in &self.tables {
            map.serialize_entry(key, table)?;
        }
        map.serialize_entry("use_cases", &self.use_cases)?;
        map.serialize_entry("combinations", &self.combinations)?;
        map.serialize_entry("notes", &self.notes)?;
        map.end()
    }
}

/// The number of starts in a day or a week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The day, or the first day of the week.
    pub from: Day,
    /// The number of starts, or `None` if it is too small.
    pub starts: Option<u64>,
}

/// The number of starts per value of a facet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// The values that are shown in any week: ranges in ascending order, others in descending order of their starts. At most
    /// [`MAX_ROWS`].
    pub rows: Vec<Row>,
    /// The number of further values.
    pub more_values: usize,
    /// The starts of the further values.
    pub more_starts: u64,
}

/// A value and its starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The value.
    pub value: String,
    /// The starts in the weeks in which the value is shown.
    pub starts: u64,
}

impl Report {
    /// Builds the report of a range of weeks.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    pub fn from_store(store: &mut dyn Store, weeks: WeekRange, min_group: u64) -> Result<Self, StoreError> {
        let min_group = min_group.max(1);
        let schema = EventSchema::embedded()?;
        let tally = store.tally(weeks.first, weeks.last, min_group)?;
        Ok(Self::from_rounded(schema, &round_down(&tally, min_group), weeks, min_group))
    }

    /// Returns the table of a facet.
    pub fn table(&self, facet: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == facet).map(|table| &table.table)
    }

    fn from_rounded(schema: &EventSchema, rounded: &RoundedTally, weeks: WeekRange, min_group: u64) -> Self {
        // If small groups are hidden, a week or a day without starts must look like one with too few of them.
        let empty = (min_group <= 1).then_some(0);
        let starts_of_week = |week| rounded.get(&week).map(|week| week.total).or(empty);
        let starts_of_day =
            |day: Day| rounded.get(&day.week()).and_then(|week| week.days.get(&day).copied()).or(empty);
        let (mut tables, mut use_cases, mut combinations) = (Vec::new(), Vec::new(), Table::default());
        for (index, facet) in schema.facets.iter().enumerate() {
            let rows = rows(rounded.values(), FacetId(index), facet);
            if let FacetValue::UseCases(cases) = &facet.value {
                use_cases = count_use_cases(cases, &rows);
                combinations = Table::new(rows);
            } else {
                tables.push(FacetTable::new(schema, facet, Table::new(rows)));
            }
        }
        let not_for_publication = (min_group < DEFAULT_MIN_GROUP).then_some(NOT_FOR_PUBLICATION);
        Self {
            since: weeks.first_day(),
            until: weeks.last_day(),
            min_group,
            starts: rounded.values().map(|week| week.total).sum(),
            weeks: weeks
                .weeks()
                .map(|week| Count { from: week.first_day(), starts: starts_of_week(week) })
                .collect(),
            days: weeks.days().map(|day| Count { from: day, starts: starts_of_day(day) }).collect(),
            tables,
            use_cases,
            combinations,
            notes: not_for_publication.into_iter().chain(NOTES).collect(),
        }
    }
}

impl FacetTable {
    fn new(schema: &EventSchema, facet: &Facet, table: Table) -> Self {
        let property = facet.property().and_then(|property| schema.properties.get(property));
        Self {
            name: facet.name.clone(),
            key: facet.values_name(),
            description: property.map_or_else(String::new, |property| property.rule.description.clone()),
            table,
        }
    }
}

impl Table {
    /// Creates a table of the first rows, and combines the others.
    fn new(mut rows: Vec<Row>) -> Self {
        let more = rows.split_off(rows.len().min(MAX_ROWS));
        Self { rows, more_values: more.len(), more_starts: more.iter().map(|row| row.starts).sum() }
    }
}

/// Sums up the combinations that are shown, for each use case in them.
fn count_use_cases(use_cases: &UseCases, combinations: &[Row]) -> Vec<Row> {
    let row = |name: &str| {
        let with = combinations.iter();
        let with = with.filter(|row| row.value.split(USE_CASE_SEPARATOR).any(|part| part == name));
        Row { value: name.to_owned(), starts: with.map(|row| row.starts).sum() }
    };
    use_cases.counted().map(row).collect()
}

/// Sums up the weeks of a facet.
fn rows<'a>(weeks: impl Iterator<Item = &'a RoundedWeek>, id: FacetId, facet: &Facet) -> Vec<Row> {
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for (value, starts) in weeks.filter_map(|week| week.facets.get(&id)).flatten() {
        *totals.entry(value).or_default() += starts;
    }
    let mut rows: Vec<Row> =
        totals.into_iter().map(|(value, starts)| Row { value: value.to_owned(), starts }).collect();
    if matches!(facet.value, FacetValue::Range(_)) {
        rows.sort_by_key(|row| RANGES.iter().position(|(_, name)| *name == row.value));
    } else {
        // A stable sort: values with equal numbers stay in alphabetical order.
        rows.sort_by_key(|row| Reverse(row.starts));
    }
    rows
}
