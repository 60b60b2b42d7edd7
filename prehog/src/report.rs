//! Weekly tallies to a report in which no group is too small, as HTML, JSON and CSV. Depends on `start`, `day` and a
//! store's tallies; it never sees an event.
//!
//! Small groups are hidden week by week, and everything else is computed from what was left: see [`publish`].

mod chart;
mod html;
mod publish;
mod table;

use serde::Serialize;

use crate::day::{Day, Week};
use crate::start::{Facet, UseCase};
use crate::store::{Store, StoreError};
use publish::{Group, Published};

/// How many finished weeks a report is over, unless told otherwise.
pub const WEEKS: i32 = 12;

/// What every report says of its numbers, in whole sentences.
pub const NOTES: [&str; 3] = [
    "Starts are not users, machines or agents: one job that runs every minute starts 10,080 times a week, and an agent \
     that runs for a month starts once. Only agents whose owners opted in report at all.",
    "Two agents report here and count differently. This repository's tbot counts every entry of services and outputs. \
     The Go tbot counts entries of outputs only, and only the exact types application, database and kubernetes by \
     their use; everything under services counts nowhere. Numbers of destinations of the two do not add up.",
    "Join methods and helpers that this version does not know are shown as other.",
];

/// Whole weeks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first of them.
    pub first: Week,
    /// The last of them.
    pub last: Week,
}

impl Span {
    /// The last [`WEEKS`] weeks that are over.
    pub fn finished(today: Day) -> Self {
        let last = today.week().plus(-1);
        Self { first: last.plus(1 - WEEKS), last }
    }

    /// The weeks that these days are in; `None` where they are the wrong way round.
    pub fn of(since: Day, until: Day) -> Option<Self> {
        (since <= until).then(|| Self { first: since.week(), last: until.week() })
    }
}

/// A form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One page that stands alone.
    Html,
    /// One object.
    Json,
    /// A row for each number.
    Csv,
}

impl Format {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// What the starts of some weeks say. Holds no group that is too small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The first day of the first week.
    pub since: Day,
    /// The last day of the last week.
    pub until: Day,
    /// The fewest starts of a group that is shown.
    pub min_group: u64,
    /// Starts in all weeks that are shown.
    pub starts: u64,
    /// Every week.
    pub weeks: Vec<Count<Day>>,
    /// Every day.
    pub days: Vec<Count<Day>>,
    /// One-shot against continuous.
    pub run_modes: Table,
    /// Versions in use.
    pub versions: Table,
    /// Join methods.
    pub join_types: Table,
    /// Helpers.
    pub helpers: Table,
    /// Helpers with their versions.
    pub helper_versions: Table,
    /// Starts that have a kind of destination at all.
    pub use_cases: Vec<Row>,
    /// Which kinds they have together.
    pub combinations: Table,
    /// What is to be known of these numbers.
    pub notes: Vec<&'static str>,
}

/// A number of starts at some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count<T> {
    /// When: a day, or the first one of a week.
    pub from: T,
    /// How many; none where fewer than the smallest group, or hidden beside one.
    pub starts: Option<u64>,
}

/// How starts divide by a facet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Each value that is shown in any week; the largest first.
    pub rows: Vec<Row>,
    /// Starts that are counted in none of the rows: of values with fewer than the smallest group in their week, and of
    /// those that are hidden with them.
    pub hidden: u64,
}

/// A value and its starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The value.
    pub value: String,
    /// Its starts, in the weeks in which they are shown.
    pub starts: u64,
    /// Whether some of its starts may be hidden.
    pub at_least: bool,
}

/// Makes the report of these weeks.
///
/// # Errors
///
/// Where the store cannot be read.
pub fn make(store: &mut dyn Store, span: Span, min_group: u64) -> Result<Report, StoreError> {
    let min_group = min_group.max(1);
    let tally = store.tally(span.first, span.last, min_group)?;
    let published = publish::publish(&tally, min_group);
    Ok(Report::of(&published, span, min_group))
}

impl Report {
    fn of(published: &Published, span: Span, min_group: u64) -> Self {
        let weeks = || (span.first.0..=span.last.0).map(Week);
        let shown = |week: &Week| published.weeks.get(week);
        // A week without any start is as good as one with too few, where there can be one with too few.
        let none_at_all = (min_group <= 1).then_some(0);
        let day = |day: Day| match shown(&day.week()) {
            Some(week) => week.days.shown.get(&day).copied().or((week.days.hidden == 0).then_some(0)),
            None => none_at_all,
        };
        let combinations = published.table(Facet::UseCases);
        Self {
            since: span.first.first(),
            until: span.last.last(),
            min_group,
            starts: published.weeks.values().map(|week| week.total).sum(),
            weeks: weeks()
                .map(|week| Count {
                    from: week.first(),
                    starts: shown(&week).map(|week| week.total).or(none_at_all),
                })
                .collect(),
            days: weeks()
                .flat_map(|week| week.days().map(Day))
                .map(|from| Count { from, starts: day(from) })
                .collect(),
            run_modes: published.table(Facet::RunMode),
            versions: published.table(Facet::Version),
            join_types: published.table(Facet::JoinType),
            helpers: published.table(Facet::Helper),
            helper_versions: published.table(Facet::HelperVersion),
            use_cases: use_cases(&combinations),
            combinations,
            notes: NOTES.to_vec(),
        }
    }

    /// The report in a form.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Html => html::page(self),
            // Serialising numbers, texts and lists does not fail.
            Format::Json => {
                serde_json::to_string_pretty(self).map_or_else(|_| String::new(), |text| text + "\n")
            }
            Format::Csv => table::csv(self),
        }
    }
}

/// How many starts have a kind of destination: the sum of the combinations that are shown and have it.
fn use_cases(combinations: &Table) -> Vec<Row> {
    let of = |case: UseCase| {
        let has = combinations.rows.iter().filter(|row| row.value.split('+').any(|name| name == case.name()));
        Row {
            value: case.name().to_owned(),
            starts: has.map(|row| row.starts).sum(),
            at_least: combinations.hidden > 0,
        }
    };
    [UseCase::Database, UseCase::Kubernetes, UseCase::Application].map(of).into()
}

impl Published {
    fn table(&self, facet: Facet) -> Table {
        let mut values: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
        let groups: Vec<&Group<String>> =
            self.weeks.values().filter_map(|week| week.facets.get(&facet)).collect();
        for (value, starts) in groups.iter().flat_map(|group| &group.shown) {
            *values.entry(value).or_default() += starts;
        }
        let may_hide =
            |value: &str| groups.iter().any(|group| group.hidden > 0 && !group.shown.contains_key(value));
        let mut rows: Vec<Row> = values
            .into_iter()
            .map(|(value, starts)| Row { value: value.to_owned(), starts, at_least: may_hide(value) })
            .collect();
        // Equal ones stay in the order of their values.
        rows.sort_by_key(|row| std::cmp::Reverse(row.starts));
        Table { rows, hidden: groups.iter().map(|group| group.hidden).sum() }
    }
}
