//! Durations: the schema's pattern and the parser accept the same texts, and what is printed reads as the same value.

use proptest::prelude::*;
use tbot::config::{FormatVersion, GoDuration};

use crate::agreement::run;
use crate::values::odd_durations;

#[test]
fn pattern_and_parser_accept_the_same() {
    let schema = &FormatVersion::V2.schema()["$defs"]["GoDuration"];
    let validator = jsonschema::validator_for(schema).unwrap();
    run(5000, &odd_durations(), |text| {
        let parsed = text.parse::<GoDuration>();
        prop_assert_eq!(parsed.is_ok(), validator.is_valid(&text.clone().into()), "{:?}", text);
        if let Ok(duration) = parsed {
            prop_assert_eq!(duration.to_string().parse(), Ok(duration), "{:?} prints as {}", text, duration);
        }
        Ok(())
    });
}
