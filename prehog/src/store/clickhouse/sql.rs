//! SQL statements that work with ClickHouse 18.16 and current versions. They are built from days, numbers and names
//! that this program defines, never from received strings. Depends on the layout.

use tbot::config::internal::AccessClass;

use super::layout::{IDS, Layout, RECENT};
use crate::day::Day;
use crate::facet::{
    CROSS_SEPARATOR, Facet, FacetValue, NONE, PAIR_SEPARATOR, RANGES, USE_CASE_SEPARATOR, UseCases,
};
use crate::schema::EventSchema;
use crate::start::OTHER;
use crate::store::distinct_values::MAX_DISTINCT_VALUES;
use crate::store::expiry::DAY_END_GRACE;

/// The condition that a day is folded. Not only the last folded day counts: a wrong clock may have folded one that is far ahead
/// of the others.
pub(super) const IS_FOLDED: &str = "day IN (SELECT day FROM folded)";

/// The last day that all versions of ClickHouse support: 2105-12-31.
const LAST_DAY: i32 = 49_672;

/// The number of a day that no row has.
pub(super) const NO_DAY: u16 = u16::MAX;

/// Builds the statements that contain properties.
pub(super) struct Sql {
    /// The names of the properties, in order.
    names: Vec<String>,
    /// The names, separated by commas, as columns that are read.
    properties: String,
    /// The columns of `starts` to which the properties are written, separated by commas.
    starts_columns: String,
    /// The condition for submissions whose id did not arrive on an earlier day: a repeated submission counts on its first day
    /// only.
    not_repeated: String,
}

impl Sql {
    pub(super) fn new(schema: &EventSchema, starts_columns: &[String], layout: &Layout) -> Self {
        let names: Vec<String> = schema.names().into_iter().map(str::to_owned).collect();
        let not_repeated = format!(
            "{} AND (id, day) IN (SELECT id, min(day) FROM \
             (SELECT id, day FROM {} UNION ALL SELECT id, day FROM {}) GROUP BY id)",
            layout.up_to_date_condition(),
            layout.qualified_local_name(RECENT),
            layout.qualified_local_name(IDS),
        );
        let starts_columns = starts_columns.join(", ");
        Self { properties: names.join(", "), names, starts_columns, not_repeated }
    }

    /// Selects the starts of these days, whether they are folded or not: every start once, with how often it happened on its
    /// day.
    pub(super) fn all_starts(&self, first: Day, last: Day, is_folded: &str) -> String {
        let range = range(first, last);
        let Self { properties, not_repeated, .. } = self;
        // Grouped, so that the shards of a cluster do not send a row per submission.
        format!(
            "SELECT day, {properties}, starts FROM starts FINAL WHERE {range} AND {is_folded} \
             UNION ALL \
             SELECT day, {properties}, count() AS starts FROM recent FINAL \
             WHERE {range} AND NOT ({is_folded}) AND {not_repeated} GROUP BY day, {properties}"
        )
    }

    /// Counts the starts with each value of a facet.
    pub(super) fn by_facet(&self, all: &str, facet: &Facet, floor: u64) -> String {
        let value = self.value(&facet.value);
        format!(
            "SELECT toMonday(day) AS week, {value} AS value, sum(starts) AS total FROM ({all}) \
             GROUP BY week, value HAVING total >= {floor}"
        )
    }

    /// Selects the different values of a property, up to the limit.
    pub(super) fn distinct_values(&self, all: &str, property: usize) -> String {
        let name = self.names.get(property).map_or("''", String::as_str);
        format!(
            "SELECT DISTINCT {name} AS value FROM ({all}) WHERE value NOT IN ('', '{OTHER}') LIMIT {MAX_DISTINCT_VALUES}"
        )
    }

    pub(super) fn by_start(&self, all: &str) -> String {
        let properties = &self.properties;
        format!(
            "SELECT day, {properties}, sum(starts) AS total FROM ({all}) GROUP BY day, {properties} \
             ORDER BY day, {properties}"
        )
    }

    /// Counts the starts of a complete day of `recent`. Running it twice inserts the same rows, so that is harmless. It skips a
    /// day that another receiver has folded in the meantime, because the ids of the day before may already be dropped.
    pub(super) fn fold(&self, day: Day) -> String {
        let Self { properties, starts_columns, not_repeated, .. } = self;
        format!(
            "INSERT INTO starts (day, {starts_columns}, starts) SELECT day, {properties}, count() AS starts FROM recent FINAL \
             WHERE day = toDate('{day}') AND (SELECT count() FROM folded WHERE day = toDate('{day}')) = 0 AND {not_repeated} \
             GROUP BY day, {properties}"
        )
    }

    /// Computes the same value as [`Facet::value_of`].
    fn value(&self, value: &FacetValue) -> String {
        let name = |property: usize| self.names.get(property).map_or("''", String::as_str);
        match value {
            FacetValue::Text(property) => format!("if({0} = '', '{NONE}', {0})", name(*property)),
            FacetValue::Pair { required, property } => format!(
                "if({0} = '', '{NONE}', if({1} = '', {0}, concat({0}, '{PAIR_SEPARATOR}', {1})))",
                name(*required),
                name(*property)
            ),
            FacetValue::Range(property) => {
                let count = name(*property);
                let ranges = RANGES.iter().rev();
                let ranges: String =
                    ranges.map(|(first, range)| format!("{count} >= {first}, '{range}', ")).collect();
                format!("multiIf({ranges}'{NONE}')")
            }
            FacetValue::Implementation { version, implementations } => {
                let version = name(*version);
                let known: String = implementations
                    .iter()
                    .rev()
                    .map(|one| {
                        format!(
                            "toUInt32OrZero(splitByChar('.', {version})[1]) >= {}, '{}', ",
                            one.first_major, one.name
                        )
                    })
                    .collect();
                format!(
                    "multiIf({version} = '', '{NONE}', NOT match({version}, '^[0-9]+[.]'), '{OTHER}', {known}'{OTHER}')"
                )
            }
            FacetValue::Cross(pair) => {
                format!("concat({}, '{CROSS_SEPARATOR}', {})", self.value(&pair[0]), self.value(&pair[1]))
            }
            FacetValue::UseCases(UseCases { total, classes }) => {
                let counts: Vec<&str> = classes.iter().map(|(_, property)| name(*property)).collect();
                let classes: String = classes
                    .iter()
                    .map(|(class, property)| format!("if({} > 0, '{class}', ''), ", name(*property)))
                    .collect();
                format!(
                    "arrayStringConcat(arrayFilter(name -> name != '', [{classes}\
                     if({total} > {sum}, '{other}', if({total} = 0 AND {sum} = 0, '{NONE}', ''))]), \
                     '{USE_CASE_SEPARATOR}')",
                    other = AccessClass::Other.name(),
                    total = name(*total),
                    sum = counts.join(" + "),
                )
            }
        }
    }
}

/// Returns the condition that a day is one of these.
fn range(first: Day, last: Day) -> String {
    let [first, last] = [first, last].map(|day| Day(day.0.clamp(0, LAST_DAY)));
    format!("day >= toDate('{first}') AND day <= toDate('{last}')")
}

/// Selects those of these days that may have any starts, in order.
pub(super) fn days_with_starts(first: Day, last: Day) -> String {
    let range = range(first, last);
    format!(
        "SELECT DISTINCT day FROM (SELECT DISTINCT day FROM starts WHERE {range} \
         UNION ALL SELECT DISTINCT day FROM recent WHERE {range}) ORDER BY day"
    )
}

/// Selects those of these days that are folded.
pub(super) fn folded_days(first: Day, last: Day) -> String {
    format!("SELECT DISTINCT day FROM folded WHERE {}", range(first, last))
}

/// Selects the number of the first day that is not over by the clock of the server.
pub(super) fn first_open_day() -> String {
    let grace = DAY_END_GRACE.as_secs();
    format!("SELECT toUInt16(intDiv(toUnixTimestamp(now()) - {grace}, 86400)) AS day")
}

/// Counts the starts of each day.
pub(super) fn by_day(all: &str) -> String {
    format!("SELECT day, sum(starts) AS total FROM ({all}) GROUP BY day ORDER BY day")
}

/// Copies the ids of a complete day, so that its submissions can be dropped.
pub(super) fn copy_ids(day: Day) -> String {
    format!("INSERT INTO ids SELECT day, id FROM recent WHERE day = toDate('{day}')")
}
