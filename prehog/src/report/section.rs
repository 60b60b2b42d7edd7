//! The sections of a report: the starts with each value of a facet. Depends on the rounded counts.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;
use tbot::event::internal::{Implementation, ReportPart};

use super::rounding::{RoundedTally, max_hidden};
use super::weeks::WeekRange;
use crate::facet::{
    CROSS_SEPARATOR, Facet, FacetId, FacetValue, RANGES, USE_CASE_SEPARATOR, UseCases, implementation_of,
};
use crate::schema::EventSchema;
use crate::start::OTHER;

/// The maximum number of values in a table. Further values are combined, so that a report stays small.
pub const MAX_ROWS: usize = 100;

/// The starts with each value of a facet, and the questions that they answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// The name of the facet.
    pub name: String,
    /// The title.
    pub title: String,
    /// Describes the numbers, in Markdown.
    pub description: String,
    /// The properties whose reasons the section answers.
    pub answers: Vec<Answer>,
    /// The numbers.
    pub content: Content,
}

/// A property whose reason a section answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The name of the property.
    pub property: String,
    /// Why the property is collected.
    pub reason: String,
    /// The parts of a report that are declared to answer the reason and that the section contains.
    pub parts: Vec<ReportPart>,
}

/// The numbers of a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The starts with each value, in groups if they are divided by implementation.
    Groups(Vec<Group>),
    /// The starts with each value, by use case.
    ByUseCase(CrossTable),
}

/// The starts of an implementation, or all starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The name of the implementation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All starts of the group, or `None` if there are too few; shares are percentages of them.
    pub starts: Option<u64>,
    /// The starts with each value.
    pub table: Table,
    /// The starts with each combination of values, if a start can have several values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub combinations: Option<Table>,
}

/// The number of starts per value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// The values that are shown in any week, or in any week before if the report compares: ranges and use cases in their order,
    /// others in descending order of their starts, or of those before if they are hidden. At most [`MAX_ROWS`].
    pub rows: Vec<Row>,
    /// The number of further values.
    pub more_values: usize,
    /// The starts of the further values, or `None` if there are too few.
    pub more_starts: Option<u64>,
    /// By how much the starts of a row can be too small, because each number of a week is rounded down.
    pub max_hidden: u64,
}

/// A value and its starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The value.
    pub value: String,
    /// The starts in the weeks in which the value is shown, or `None` if there is no such week.
    pub starts: Option<u64>,
    /// The starts in the period before, or `None` if there are too few, or if the report does not compare with it.
    pub before: Option<u64>,
    /// The starts in each week, or `None` if there are too few.
    pub weeks: Vec<Option<u64>>,
}

/// The starts with each value, by use case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CrossTable {
    /// The use cases.
    pub columns: Vec<String>,
    /// The values, at most [`MAX_ROWS`].
    pub rows: Vec<CrossRow>,
}

/// The starts with one value, by use case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CrossRow {
    /// The value.
    pub value: String,
    /// All starts with the value.
    pub starts: u64,
    /// The starts with each use case, or `None` if there are too few. A start can have several.
    pub cells: Vec<Option<u64>>,
}

impl Content {
    /// Returns true if no number is shown.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Groups(groups) => groups.is_empty(),
            Self::ByUseCase(cross) => cross.rows.is_empty(),
        }
    }
}

/// The rounded counts from which sections are made.
pub(super) struct Counts<'a> {
    pub(super) schema: &'a EventSchema,
    pub(super) rounded: &'a RoundedTally,
    pub(super) weeks: WeekRange,
    /// The minimum size of a group, of which all numbers are multiples.
    pub(super) min_group: u64,
    /// Whether to compare with the weeks before.
    pub(super) compares: bool,
    /// The number to show if no starts are counted: `None`, which means unknown, if small groups are hidden.
    pub(super) empty: Option<u64>,
}

/// The starts in each week, and in all weeks before.
#[derive(Clone, Debug)]
struct Series {
    weeks: Vec<u64>,
    before: u64,
}

impl Series {
    fn total(&self) -> u64 {
        self.weeks.iter().sum()
    }

    fn add(&mut self, other: &Self) {
        self.weeks.iter_mut().zip(&other.weeks).for_each(|(sum, starts)| *sum += starts);
        self.before += other.before;
    }
}

type SeriesByValue = BTreeMap<String, Series>;

impl Counts<'_> {
    /// Makes the section of each facet. That of the use cases comes first.
    pub(super) fn sections(&self) -> Vec<Section> {
        let facets = (0..).map(FacetId).zip(&self.schema.facets);
        let mut sections: Vec<(bool, Section)> = facets
            .map(|(id, facet)| {
                let is_use_cases = matches!(facet.own_value(), FacetValue::UseCases(_));
                (!is_use_cases, self.section(id, facet))
            })
            .collect();
        sections.sort_by_key(|(is_later, _)| *is_later);
        sections.into_iter().map(|(_, section)| section).collect()
    }

    fn section(&self, id: FacetId, facet: &Facet) -> Section {
        let series = self.series(id);
        let content = match &facet.value {
            FacetValue::Cross(pair) => match &pair[1] {
                FacetValue::UseCases(use_cases) => {
                    Content::ByUseCase(self.by_use_case(series, &pair[0], use_cases))
                }
                _ => Content::Groups(self.groups(divide(series), &pair[0])),
            },
            value => match self.implementations_of(value) {
                Some(implementations) => {
                    let divided = series.into_iter().map(|(version, series)| {
                        let name = implementation_of(&version, implementations).unwrap_or(OTHER).to_owned();
                        (name, version, series)
                    });
                    Content::Groups(self.groups(collect(divided), value))
                }
                None => Content::Groups(self.groups([(None, series)].into(), value)),
            },
        };
        Section {
            name: facet.name.clone(),
            title: self.title(facet),
            description: self.description(facet),
            answers: self.answers(facet),
            content,
        }
    }

    fn answers(&self, facet: &Facet) -> Vec<Answer> {
        let mut answers: Vec<Answer> = Vec::new();
        for (property, part) in &facet.answers {
            let Some(rule) = self.schema.properties.get(*property).map(|property| &property.rule) else {
                continue;
            };
            match answers.iter_mut().find(|answer| answer.property == rule.name) {
                Some(answer) => answer.parts.push(*part),
                None => answers.push(Answer {
                    property: rule.name.clone(),
                    reason: rule.reason.clone(),
                    parts: vec![*part],
                }),
            }
        }
        answers
    }

    fn title(&self, facet: &Facet) -> String {
        let own = match facet.own_value() {
            FacetValue::UseCases(_) => "use_cases".to_owned(),
            FacetValue::Implementation { .. } => "implementations".to_owned(),
            value => {
                let property = facet.property().and_then(|property| self.schema.properties.get(property));
                let name = property.map_or(facet.name.as_str(), |property| property.name());
                if matches!(value, FacetValue::Range(_)) { name.to_owned() } else { format!("{name}s") }
            }
        };
        let by = if is_by_use_case(facet) { " by use case" } else { "" };
        title(&own) + by
    }

    fn description(&self, facet: &Facet) -> String {
        if is_by_use_case(facet) {
            return "For each value, the share of its starts that have the use case. A start can have several."
                .to_owned();
        }
        match facet.own_value() {
            FacetValue::UseCases(_) => {
                "Starts with at least one destination for a use case; a start can have several use cases. `other` is \
                 anything else, such as SSH; `none` means no destinations."
                    .to_owned()
            }
            FacetValue::Implementation { implementations, .. } => {
                let first = |one: &Implementation| format!("{} from {}.0.0 on", one.name, one.first_major);
                let firsts: Vec<String> = implementations.iter().map(first).collect();
                format!("The implementation of `tbot`, recognised by its version: {}.", firsts.join(", "))
            }
            _ => {
                let property = facet.property().and_then(|property| self.schema.properties.get(property));
                first_sentence(property.map_or("", |property| &property.rule.description)).to_owned()
            }
        }
    }

    /// Returns the implementations to which the values of a facet belong, if they are versions.
    fn implementations_of(&self, value: &FacetValue) -> Option<&[Implementation]> {
        let FacetValue::Text(property) = value else { return None };
        let implementations = &self.schema.properties.get(*property)?.rule.implementations;
        Some(implementations.as_slice()).filter(|implementations| !implementations.is_empty())
    }

    fn series(&self, id: FacetId) -> SeriesByValue {
        let len = usize::try_from(self.weeks.len()).unwrap_or(0);
        let mut all = SeriesByValue::new();
        let mut add = |weeks: WeekRange, add: &dyn Fn(&mut Series, usize, u64)| {
            for (index, week) in weeks.weeks().enumerate() {
                let values = self.rounded.get(&week).and_then(|week| week.facets.get(&id));
                for (value, starts) in values.into_iter().flatten() {
                    let empty = || Series { weeks: vec![0; len], before: 0 };
                    add(all.entry(value.clone()).or_insert_with(empty), index, *starts);
                }
            }
        };
        add(self.weeks, &|series, index, starts| series.weeks[index] += starts);
        add(self.weeks.before(), &|series, _, starts| series.before += starts);
        all
    }

    /// Makes the groups that have any rows: implementations in the order of their versions, then others.
    fn groups(&self, divided: BTreeMap<Option<String>, SeriesByValue>, value: &FacetValue) -> Vec<Group> {
        let implementations = self.schema.properties.iter().map(|property| &property.rule.implementations);
        let names: Vec<&str> =
            implementations.flatten().map(|implementation| implementation.name.as_str()).collect();
        let mut groups: Vec<Group> =
            divided.into_iter().filter_map(|(name, series)| self.group(name, series, value)).collect();
        groups.sort_by_key(|group| {
            let name = group.name.as_deref().unwrap_or_default();
            names.iter().position(|other| *other == name).unwrap_or(names.len())
        });
        groups
    }

    fn group(&self, name: Option<String>, series: SeriesByValue, value: &FacetValue) -> Option<Group> {
        let shown: u64 = series.values().map(Series::total).sum();
        let starts = match &name {
            None => self.rounded_total(),
            Some(name) => self.starts_of_implementation(name).max(shown),
        };
        let (table, combinations) = match value {
            FacetValue::UseCases(use_cases) => {
                let per_use_case = self.table(per_use_case(&series, use_cases), Some(value));
                // Each use case is the sum of the combinations with it, which are rounded.
                let max_hidden = per_use_case.max_hidden.saturating_mul(use_cases.combinations_with_one());
                (Table { max_hidden, ..per_use_case }, Some(self.table(series, None)))
            }
            _ => (self.table(series, Some(value)), None),
        };
        (!table.rows.is_empty()).then_some(Group { name, starts: self.shown(starts), table, combinations })
    }

    /// Returns a sum of rounded numbers, of which 0 means that there are too few starts.
    fn shown(&self, starts: u64) -> Option<u64> {
        Some(starts).filter(|starts| *starts > 0).or(self.empty)
    }

    fn rounded_total(&self) -> u64 {
        self.weeks.weeks().filter_map(|week| self.rounded.get(&week)).map(|week| week.total).sum()
    }

    fn starts_of_implementation(&self, name: &str) -> u64 {
        let mut values = self.schema.facets.iter().map(|facet| &facet.value);
        let implementation = values.find(|value| matches!(value, FacetValue::Implementation { .. }));
        let starts = implementation.and_then(|value| self.series_of(value).remove(name));
        starts.map_or(0, |series| series.total())
    }

    /// Returns the starts with each value of the facet that counts a value, if there is one.
    fn series_of(&self, value: &FacetValue) -> SeriesByValue {
        let facet = self.schema.facets.iter().position(|facet| facet.value == *value);
        facet.map_or_else(SeriesByValue::new, |index| self.series(FacetId(index)))
    }

    /// Makes a table. `counted` says what its values are: ranges and use cases have a fixed order.
    fn table(&self, series: SeriesByValue, counted: Option<&FacetValue>) -> Table {
        // The number before reveals nothing about a value without a shown number: a report on the weeks before has both.
        let mut rows: Vec<Row> = series
            .into_iter()
            .filter(|(_, series)| series.total() > 0 || (self.compares && series.before > 0))
            .map(|(value, series)| Row {
                value,
                starts: self.shown(series.total()),
                before: self.shown(series.before).filter(|_| self.compares),
                weeks: series.weeks.iter().map(|starts| self.shown(*starts)).collect(),
            })
            .collect();
        rows.sort_by_key(|row| {
            (position(&row.value, counted), Reverse((row.starts.or(row.before), row.before)))
        });
        let more = rows.split_off(rows.len().min(MAX_ROWS));
        let more_starts = more.iter().filter_map(|row| row.starts).sum();
        Table {
            rows,
            more_values: more.len(),
            more_starts: if more.is_empty() { Some(0) } else { self.shown(more_starts) },
            max_hidden: max_hidden(self.min_group, u64::try_from(self.weeks.len()).unwrap_or(0)),
        }
    }

    fn by_use_case(&self, series: SeriesByValue, value: &FacetValue, use_cases: &UseCases) -> CrossTable {
        let mut rows: BTreeMap<String, SeriesByValue> = BTreeMap::new();
        for (cross, series) in series {
            let (own, combination) = split(&cross);
            rows.entry(own.to_owned()).or_default().insert(combination.to_owned(), series);
        }
        let mut columns: Vec<String> = use_cases.names().map(str::to_owned).collect();
        // The total of a row also counts starts whose combination of use cases is hidden.
        let mut all = self.series_of(value);
        let mut rows: Vec<CrossRow> = rows
            .into_iter()
            .map(|(value, combinations)| {
                let shown = combinations.values().map(Series::total).sum();
                let starts = all.remove(&value).map_or(0, |series| series.total()).max(shown);
                let counts = per_use_case(&combinations, use_cases);
                let cell = |name: &String| self.shown(counts.get(name).map_or(0, Series::total));
                CrossRow { value, starts, cells: columns.iter().map(cell).collect() }
            })
            .filter(|row| row.cells.iter().flatten().any(|starts| *starts > 0))
            .collect();
        rows.sort_by_key(|row| (position(&row.value, Some(value)), Reverse(row.starts)));
        rows.truncate(MAX_ROWS);
        // Use cases of which nothing is shown have no column.
        let is_shown: Vec<bool> = (0..columns.len())
            .map(|index| rows.iter().any(|row| row.cells[index].is_some_and(|starts| starts > 0)))
            .collect();
        retain(&mut columns, &is_shown);
        rows.iter_mut().for_each(|row| retain(&mut row.cells, &is_shown));
        CrossTable { columns, rows }
    }
}

/// Keeps the items whose flag is set.
fn retain<T>(items: &mut Vec<T>, is_kept: &[bool]) {
    let mut is_kept = is_kept.iter();
    items.retain(|_| is_kept.next().is_some_and(|is_kept| *is_kept));
}

fn is_by_use_case(facet: &Facet) -> bool {
    matches!(&facet.value, FacetValue::Cross(pair) if matches!(pair[1], FacetValue::UseCases(_)))
}

/// Splits the value of a cross.
fn split(value: &str) -> (&str, &str) {
    value.split_once(CROSS_SEPARATOR).unwrap_or((value, ""))
}

/// Divides the values of a cross by the second value.
fn divide(series: SeriesByValue) -> BTreeMap<Option<String>, SeriesByValue> {
    collect(series.into_iter().map(|(cross, series)| {
        let (own, by) = split(&cross);
        (by.to_owned(), own.to_owned(), series)
    }))
}

fn collect(
    divided: impl Iterator<Item = (String, String, Series)>,
) -> BTreeMap<Option<String>, SeriesByValue> {
    let mut groups: BTreeMap<Option<String>, SeriesByValue> = BTreeMap::new();
    for (group, value, series) in divided {
        groups.entry(Some(group)).or_default().insert(value, series);
    }
    groups
}

/// Sums up the combinations that are shown, for each use case in them.
fn per_use_case(combinations: &SeriesByValue, use_cases: &UseCases) -> SeriesByValue {
    let mut counts = SeriesByValue::new();
    for name in use_cases.names() {
        let with =
            combinations.iter().filter(|(value, _)| value.split(USE_CASE_SEPARATOR).any(|part| part == name));
        for (_, series) in with {
            counts
                .entry(name.to_owned())
                .and_modify(|sum: &mut Series| sum.add(series))
                .or_insert_with(|| series.clone());
        }
    }
    counts
}

/// Returns the position of a value in a table: ranges and use cases have a fixed order, and all others the same position.
fn position(value: &str, counted: Option<&FacetValue>) -> usize {
    let position = match counted {
        Some(FacetValue::Range(_)) => RANGES.iter().position(|(_, name)| *name == value),
        Some(FacetValue::UseCases(use_cases)) => use_cases.names().position(|name| name == value),
        // A stable sort: values with equal numbers stay in alphabetical order.
        _ => None,
    };
    position.unwrap_or(usize::MAX)
}

/// Returns the first sentence of a description. The rest is about the event and not about its values.
fn first_sentence(description: &str) -> &str {
    description.split_inclusive(". ").next().unwrap_or_default().trim_end()
}

/// Converts a name in snake case to a title.
fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
