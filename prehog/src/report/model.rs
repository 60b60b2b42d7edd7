//! The contents of a report. Depends on a store's counts and on the suppression of small groups.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::suppression::{PublishedTable, PublishedTally, hide_small_groups};
use crate::day::{Day, Week};
use crate::facet::{Facet, FacetId, FacetValue, RANGES, USE_CASE_SEPARATOR, UseCases};
use crate::schema::EventSchema;
use crate::store::{Store, StoreError};

/// The default number of weeks in a report.
pub const DEFAULT_WEEKS: i32 = 12;

/// Explanations that are part of every report.
pub const NOTES: [&str; 3] = [
    "Starts are not users, machines or agents: a job that runs every minute adds 10,080 starts per week, while an agent \
     that keeps running for a month adds one. Only agents whose operators opted in are included.",
    "Two implementations of tbot report here, and they count destinations differently. The tbot of this project counts \
     every entry of services and outputs. The Go tbot counts only entries of outputs, and assigns only the types \
     application, database and kubernetes to a use case; it does not count services. Do not compare or add up the \
     destinations of the two.",
    "Values that this version of prehog does not know, such as new join methods, are combined as other.",
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

/// The numbers of starts in a range of weeks. Contains no group that is too small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The first day of the first week.
    pub since: Day,
    /// The last day of the last week.
    pub until: Day,
    /// The minimum number of starts of a group. Smaller groups are hidden.
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
    /// The number of starts, or `None` if it is too small or hidden together with one that is too small.
    pub starts: Option<u64>,
}

/// The number of starts per value of a facet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// The values that are shown in any week: ranges in ascending order, others in descending order of their starts.
    pub rows: Vec<Row>,
    /// The starts that are in none of the rows: those of values that are too small in their week, and those that are hidden
    /// together with them.
    pub hidden: u64,
}

/// A value and its starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The value.
    pub value: String,
    /// The starts in the weeks in which the value is shown.
    pub starts: u64,
    /// Whether the value may have more starts in weeks in which it is hidden.
    pub at_least: bool,
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
        Ok(Self::from_published(
            schema,
            &hide_small_groups(&tally, &schema.facets, min_group),
            weeks,
            min_group,
        ))
    }

    /// Returns the table of a facet.
    pub fn table(&self, facet: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == facet).map(|table| &table.table)
    }

    fn from_published(
        schema: &EventSchema,
        published: &PublishedTally,
        weeks: WeekRange,
        min_group: u64,
    ) -> Self {
        let shown = |week: Week| published.weeks.get(&week);
        // If small groups are hidden, a week without starts must look like a week with too few of them.
        let empty = (min_group <= 1).then_some(0);
        let starts_of_week = |week| shown(week).map(|week| week.total).or(empty);
        let starts_of_day = |day: Day| match shown(day.week()) {
            Some(week) => week.days.shown.get(&day).copied().or((week.days.hidden == 0).then_some(0)),
            None => empty,
        };
        let (mut tables, mut use_cases, mut combinations) = (Vec::new(), Vec::new(), Table::default());
        for (index, facet) in schema.facets.iter().enumerate() {
            let table = table(published, FacetId(index), facet);
            if let FacetValue::UseCases(cases) = &facet.value {
                use_cases = count_use_cases(cases, &table);
                combinations = table;
            } else {
                tables.push(FacetTable::new(schema, facet, table));
            }
        }
        Self {
            since: weeks.first_day(),
            until: weeks.last_day(),
            min_group,
            starts: published.weeks.values().map(|week| week.total).sum(),
            weeks: weeks
                .weeks()
                .map(|week| Count { from: week.first_day(), starts: starts_of_week(week) })
                .collect(),
            days: weeks.days().map(|day| Count { from: day, starts: starts_of_day(day) }).collect(),
            tables,
            use_cases,
            combinations,
            notes: NOTES.to_vec(),
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

/// Sums up the combinations that are shown, for each use case in them.
fn count_use_cases(use_cases: &UseCases, combinations: &Table) -> Vec<Row> {
    let row = |name: &str| {
        let with = combinations.rows.iter();
        let with = with.filter(|row| row.value.split(USE_CASE_SEPARATOR).any(|part| part == name));
        Row {
            value: name.to_owned(),
            starts: with.map(|row| row.starts).sum(),
            at_least: combinations.hidden > 0,
        }
    };
    use_cases.counted().map(row).collect()
}

/// Sums up the weeks of a facet.
fn table(published: &PublishedTally, id: FacetId, facet: &Facet) -> Table {
    let weeks: Vec<&PublishedTable<String>> =
        published.weeks.values().filter_map(|week| week.facets.get(&id)).collect();
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for (value, starts) in weeks.iter().flat_map(|week| &week.shown) {
        *totals.entry(value).or_default() += starts;
    }
    let may_be_hidden =
        |value: &str| weeks.iter().any(|week| week.hidden > 0 && !week.shown.contains_key(value));
    let mut rows: Vec<Row> = totals
        .into_iter()
        .map(|(value, starts)| Row { value: value.to_owned(), starts, at_least: may_be_hidden(value) })
        .collect();
    if matches!(facet.value, FacetValue::Range(_)) {
        rows.sort_by_key(|row| RANGES.iter().position(|(_, name)| *name == row.value));
    } else {
        // A stable sort: values with equal numbers stay in alphabetical order.
        rows.sort_by_key(|row| Reverse(row.starts));
    }
    Table { rows, hidden: weeks.iter().map(|week| week.hidden).sum() }
}
