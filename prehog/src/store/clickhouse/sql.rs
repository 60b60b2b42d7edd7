//! SQL statements that work with ClickHouse 18.16 and current versions. Pure. They are built from days, numbers and names
//! that this program defines, never from received strings.

use crate::day::Day;
use crate::start::Facet;

const COLUMNS: &str = "run_mode, version, join_type, helper, helper_version, destinations, destinations_database, \
                       destinations_kubernetes, destinations_application";

/// Selects submissions whose id did not arrive on the day before: a repeated submission counts on its first day only.
const NOT_REPEATED: &str = "(id, day) NOT IN (SELECT id, day + 1 FROM recent)";

/// Selects every start of these days once, whether it is folded or not.
pub(super) fn all_starts(first: Day, last: Day, last_folded: Day) -> String {
    let (first, last) = (Day(first.0.max(0)), Day(last.0.max(0)));
    let range = format!("day >= toDate('{first}') AND day <= toDate('{last}')");
    format!(
        "SELECT day, {COLUMNS}, starts FROM starts FINAL WHERE {range} AND day <= toDate('{last_folded}') \
         UNION ALL \
         SELECT day, {COLUMNS}, toUInt64(1) AS starts FROM recent FINAL \
         WHERE {range} AND day > toDate('{last_folded}') AND {NOT_REPEATED}"
    )
}

pub(super) fn by_day(all: &str) -> String {
    format!("SELECT day, sum(starts) AS total FROM ({all}) GROUP BY day ORDER BY day")
}

pub(super) fn by_facet(all: &str, facet: Facet, floor: u64) -> String {
    let value = facet_value(facet);
    format!(
        "SELECT toMonday(day) AS week, {value} AS value, sum(starts) AS total FROM ({all}) \
         GROUP BY week, value HAVING total >= {floor}"
    )
}

pub(super) fn by_start(all: &str) -> String {
    format!(
        "SELECT day, {COLUMNS}, sum(starts) AS total FROM ({all}) GROUP BY day, {COLUMNS} ORDER BY day, {COLUMNS}"
    )
}

/// Counts the starts of a complete day of `recent`. Running it twice inserts the same rows, so that is harmless. It skips a
/// day that another receiver has folded in the meantime, because the ids of the day before may already be dropped.
pub(super) fn fold(day: Day) -> String {
    format!(
        "INSERT INTO starts SELECT day, {COLUMNS}, count() AS starts FROM recent FINAL \
         WHERE day = toDate('{day}') AND day > (SELECT max(day) FROM folded) AND {NOT_REPEATED} GROUP BY day, {COLUMNS}"
    )
}

pub(super) fn drop_day(table: &str, day: Day) -> String {
    format!("ALTER TABLE {table} DROP PARTITION ID '{}'", day.to_string().replace('-', ""))
}

/// Computes the same value as [`Start::facet_value`](crate::start::Start::facet_value).
fn facet_value(facet: Facet) -> &'static str {
    match facet {
        Facet::RunMode => "run_mode",
        Facet::Version => "version",
        Facet::JoinType => "join_type",
        Facet::Helper => "if(helper = '', 'none', helper)",
        Facet::HelperVersion => {
            "if(helper = '', 'none', if(helper_version = '', helper, concat(helper, ' ', helper_version)))"
        }
        Facet::UseCases => {
            "if(destinations = 0, 'none', arrayStringConcat(arrayFilter(name -> name != '', [\
             if(destinations_database > 0, 'database', ''), \
             if(destinations_kubernetes > 0, 'kubernetes', ''), \
             if(destinations_application > 0, 'application', ''), \
             if(destinations > destinations_database + destinations_kubernetes + destinations_application, \
             'other', '')]), '+'))"
        }
    }
}
