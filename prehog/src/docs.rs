//! The section of `docs/telemetry.md` about what a receiver stores and for how long, generated from the constants and the
//! declarations that determine it. Pure.

use crate::ingest::MAX_BODY;
use crate::property::Property;
use crate::report::{DEFAULT_MIN_GROUP, DEFAULT_WEEKS};
use crate::schema::EventSchema;
use crate::server::{DEFAULT_RATE_LIMIT, expiry};
use crate::start::{OTHER, PropertyValue};
use crate::store::{
    DAY_END_GRACE, DEFAULT_STORE, ID_RETENTION_DAYS, MAX_DISTINCT_VALUES, MAX_FOLD_DELAY, MIN_RETENTION_DAYS,
    TRUSTED_AFTER_DAYS,
};
use crate::validation::TIMESTAMP_TOLERANCE;

/// The maximum number of hours from the end of a day to the removal of its data: on a cluster of ClickHouse servers, only the
/// second removal after it does this.
const EXPIRY_DELAY_HOURS: u64 = (DAY_END_GRACE.as_secs() + 2 * expiry::EXPIRY_INTERVAL.as_secs()) / 3600;

/// Returns the section in Markdown, with a second-level heading.
pub fn storage_section(schema: &EventSchema) -> String {
    let strings = schema.properties.iter().filter(|property| property.is_string_on_wire());
    let (omitted, replaced): (Vec<&Property>, Vec<&Property>) =
        strings.partition(|property| property.unlisted_value() == PropertyValue::Absent);
    let limited: Vec<&Property> = schema.properties.iter().filter(|property| property.is_limited()).collect();
    format!(
        include_str!("docs.md"),
        other = OTHER,
        replaced = names(&replaced),
        omitted = names(&omitted),
        max_body = MAX_BODY / 1024,
        tolerance = TIMESTAMP_TOLERANCE.as_secs() / 3600,
        id_days = ID_RETENTION_DAYS,
        id_hours = u64::from(ID_RETENTION_DAYS.unsigned_abs() + 1) * 24 + EXPIRY_DELAY_HOURS,
        expiry_delay_hours = EXPIRY_DELAY_HOURS,
        limited = names(&limited),
        max_values = MAX_DISTINCT_VALUES,
        min_retention_days = MIN_RETENTION_DAYS,
        trusted_days = TRUSTED_AFTER_DAYS,
        fold_delay = MAX_FOLD_DELAY.as_secs(),
        default_store = DEFAULT_STORE,
        min_group = DEFAULT_MIN_GROUP,
        weeks = DEFAULT_WEEKS,
        rate_limit = DEFAULT_RATE_LIMIT,
    )
}

fn names(properties: &[&Property]) -> String {
    let names: Vec<String> = properties.iter().map(|property| format!("`{}`", property.name())).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_is_in_its_unit() {
        let section = super::storage_section(crate::schema::EventSchema::embedded().unwrap());
        assert!(!section.contains(['{', '}']), "{section}");
        for number in [
            "16 KiB",
            "24 hours",
            "3 hours",
            "51 hours",
            "4 seconds",
            "`sqlite:prehog.db`",
            "fewer than 10 starts",
            "first 1000 different",
            "at least 14)",
            "last 7 days",
            "12 complete weeks",
            "600 requests",
        ] {
            assert!(section.contains(number), "{number} in {section}");
        }
    }
}
