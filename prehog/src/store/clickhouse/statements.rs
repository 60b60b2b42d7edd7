//! The statements, in the SQL that ClickHouse 18.16 and current versions share. Pure. What is put into them is days,
//! numbers and names of this program: never a text that was received.

use crate::day::Day;
use crate::start::Facet;

const COLUMNS: &str = "run_mode, version, join_type, helper, helper_version, destinations, destinations_database, \
                       destinations_kubernetes, destinations_application";

/// Of a repeated submission only the first day counts.
const FIRST: &str = "(id, day) NOT IN (SELECT id, day + 1 FROM recent)";

/// Every start of these days once, however far folding has come.
pub(super) fn all_starts(first: Day, last: Day, folded: Day) -> String {
    let (first, last) = (Day(first.0.max(0)), Day(last.0.max(0)));
    let range = format!("day >= toDate('{first}') AND day <= toDate('{last}')");
    format!(
        "SELECT day, {COLUMNS}, starts FROM starts FINAL WHERE {range} AND day <= toDate('{folded}') \
         UNION ALL \
         SELECT day, {COLUMNS}, toUInt64(1) AS starts FROM recent FINAL \
         WHERE {range} AND day > toDate('{folded}') AND {FIRST}"
    )
}

pub(super) fn by_day(all: &str) -> String {
    format!("SELECT day, sum(starts) AS total FROM ({all}) GROUP BY day ORDER BY day")
}

pub(super) fn by_facet(all: &str, facet: Facet, floor: u64) -> String {
    let value = value(facet);
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

/// Counts a day of `recent` by start. The day is over, so that it gives the same rows whenever it is run; but for one that
/// another receiver has counted meanwhile, whose day before may be gone already.
pub(super) fn fold(day: Day) -> String {
    format!(
        "INSERT INTO starts SELECT day, {COLUMNS}, count() AS starts FROM recent FINAL \
         WHERE day = toDate('{day}') AND day > (SELECT max(day) FROM folded) AND {FIRST} GROUP BY day, {COLUMNS}"
    )
}

pub(super) fn drop_day(table: &str, day: Day) -> String {
    format!("ALTER TABLE {table} DROP PARTITION ID '{}'", day.to_string().replace('-', ""))
}

/// The same values that [`crate::start::Start::value`] gives.
fn value(facet: Facet) -> &'static str {
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
