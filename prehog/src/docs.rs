//! What `docs/telemetry.md` says of a receiver: where events are stored and how long, from the constants that decide it.
//! Pure.

use crate::check::TIMESTAMP_TOLERANCE;
use crate::ingest::LARGEST_BODY;
use crate::report::WEEKS;
use crate::server::{MIN_GROUP, RATE_LIMIT, upkeep};
use crate::store::{DEFAULT_STORE, FOLD_WITHIN, GRACE, ID_DAYS};

/// How long after a day is over, in hours, what belongs to it goes, at the latest.
const LATE_HOURS: u64 = (GRACE.as_secs() + upkeep::EVERY.as_secs()) / 3600;

/// A section in Markdown, its title at the second level, its lines ended by a newline.
pub fn stored() -> String {
    format!(
        include_str!("docs.md"),
        largest_body = LARGEST_BODY / 1024,
        tolerance = TIMESTAMP_TOLERANCE.as_secs() / 3600,
        id_days = ID_DAYS,
        id_hours = u64::from(ID_DAYS.unsigned_abs() + 1) * 24 + LATE_HOURS,
        late_hours = LATE_HOURS,
        fold_within = FOLD_WITHIN.as_secs(),
        default_store = DEFAULT_STORE,
        min_group = MIN_GROUP,
        weeks = WEEKS,
        rate_limit = RATE_LIMIT,
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_its_place() {
        let text = super::stored();
        assert!(!text.contains(['{', '}']), "{text}");
        for number in [
            "16 KiB",
            "24 hours",
            "2 hours more until it is removed: at most 50 hours",
            "within 1 s",
            "`sqlite:prehog.db`",
            "fewer than 10",
            "12 weeks",
        ] {
            assert!(text.contains(number), "{number} in {text}");
        }
    }
}
