//! Converts the value of a service flag into a value of the configuration. Pure.

use serde_json::{Map, Value, json};
use tbot::config::internal::FlagType;

use crate::destination_uri;
use crate::exit::Failure;

/// Parses the value of a flag.
///
/// # Errors
///
/// Returns a message that says what is wrong with the value and does not contain it.
pub(super) fn parse(flag_type: FlagType, value: &str) -> Result<Value, String> {
    match flag_type {
        FlagType::String | FlagType::Switch(_) => Ok(json!(value)),
        FlagType::Destination => destination_uri::parse(value).map_err(|error| error.to_string()),
        FlagType::Labels => parse_labels(value, |value| json!(value)),
        FlagType::LabelLists => parse_labels(value, |value| json!([value])),
    }
}

/// Returns a list of services that consists of one identity, written to the directory of `--destination-dir`.
///
/// # Errors
///
/// Returns an error if it is not a path.
pub(crate) fn one_identity(directory: &str) -> Result<Value, Failure> {
    if destination_uri::is_uri(directory) {
        let message = "--destination-dir takes a path: for another destination, use the command identity with --destination";
        return Err(Failure::Usage(message.to_owned()));
    }
    Ok(json!([{ "type": "identity", "destination": { "type": "directory", "path": directory } }]))
}

fn parse_labels(labels: &str, to_json: impl Fn(&str) -> Value) -> Result<Value, String> {
    let mut map = Map::new();
    for label in labels.split(',') {
        let (name, value) = label.split_once('=').unwrap_or_default();
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() {
            return Err("invalid labels: use NAME=VALUE,NAME=VALUE".to_owned());
        }
        if map.insert(name.to_owned(), to_json(value)).is_some() {
            return Err("duplicate label: use each name only once".to_owned());
        }
    }
    Ok(Value::Object(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_a_map() {
        assert_eq!(parse(FlagType::Labels, "a=b, c = d=e,f="), Ok(json!({ "a": "b", "c": "d=e", "f": "" })));
        assert_eq!(parse(FlagType::LabelLists, "*=*"), Ok(json!({ "*": ["*"] })));
        for invalid in ["", "a", "=b", "a=b,", "a=b,a=c"] {
            assert!(parse(FlagType::Labels, invalid).is_err(), "{invalid}");
        }
    }
}
