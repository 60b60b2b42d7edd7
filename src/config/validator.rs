//! Builds the validators that find every violation of the embedded JSON Schemas. Depends on `schema` and the jsonschema
//! crate.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use super::schema::FormatVersion;

/// Returns the validator of a format version, built on first use. `None` only if the embedded schema is not a valid
/// schema, which a test rules out.
pub(super) fn validator(version: FormatVersion) -> Option<&'static Validator> {
    static V1: LazyLock<Option<Validator>> = LazyLock::new(|| build(FormatVersion::V1.schema()));
    static V2: LazyLock<Option<Validator>> = LazyLock::new(|| build(FormatVersion::V2.schema()));
    match version {
        FormatVersion::V1 => V1.as_ref(),
        FormatVersion::V2 => V2.as_ref(),
    }
}

fn build(schema: &Value) -> Option<Validator> {
    jsonschema::options().build(schema).ok()
}
