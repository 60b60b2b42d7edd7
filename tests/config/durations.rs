//! The pattern for durations in the schema and the parser accept the same strings, and a printed duration parses as the
//! same duration.

use proptest::prelude::*;
use tbot::config::GoDuration;
use tbot::config::internal::FormatVersion;

use crate::agreement::test_property;
use crate::values::near_durations;

#[test]
fn pattern_and_parser_accept_the_same_strings() {
    let schema = &FormatVersion::V2.schema()["$defs"]["GoDuration"];
    let validator = jsonschema::validator_for(schema).unwrap();
    test_property(5000, &near_durations(), |string| {
        let parsed = string.parse::<GoDuration>();
        prop_assert_eq!(parsed.is_ok(), validator.is_valid(&string.clone().into()), "{:?}", string);
        if let Ok(duration) = parsed {
            prop_assert_eq!(
                duration.to_string().parse(),
                Ok(duration),
                "{:?} prints as {}",
                string,
                duration
            );
        }
        Ok(())
    });
}
