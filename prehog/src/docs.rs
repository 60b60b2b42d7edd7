//! What `docs/telemetry.md` says of a receiver: where events are stored and how long, from the constants that decide it.
//! Pure.

use crate::check::TIMESTAMP_TOLERANCE;
use crate::ingest::LARGEST_BODY;
use crate::report::WEEKS;
use crate::server::{MIN_GROUP, RATE_LIMIT};
use crate::store::ID_DAYS;

/// A section in Markdown, its title at the second level.
pub fn stored() -> String {
    format!(
        include_str!("docs.md"),
        largest_body = LARGEST_BODY / 1024,
        tolerance = TIMESTAMP_TOLERANCE.as_secs() / 3600,
        id_days = ID_DAYS,
        id_hours = (ID_DAYS + 1) * 24,
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
        for number in ["16 KiB", "24 hours", "48 hours", "fewer than 10", "12 weeks"] {
            assert!(text.contains(number), "{number} in {text}");
        }
    }
}
