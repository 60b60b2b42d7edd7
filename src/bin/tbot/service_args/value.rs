//! Converts the value of a service flag into a value of the configuration. Pure.

use serde_json::{Map, Value, json};

use crate::destination_uri;

/// The type of a flag's value, which determines how it is converted.
#[derive(Clone, Copy)]
pub(super) enum FlagType {
    String,
    /// A boolean. The flag sets it to true; the flag with this name, which is hidden from the help, sets it to false.
    Switch(&'static str),
    /// A destination in its short form.
    Destination,
    /// `k=v,k2=v2`, as a map of strings.
    Labels,
    /// `k=v,k2=v2`, as a map of lists with one string each.
    LabelLists,
    /// A directory, as a list of services with one identity.
    OneIdentity,
}

impl FlagType {
    /// Parses the value of a flag.
    ///
    /// # Errors
    ///
    /// Returns a message that says what is wrong with the value and does not contain it.
    pub(super) fn parse(self, value: &str) -> Result<Value, String> {
        match self {
            Self::String | Self::Switch(_) => Ok(json!(value)),
            Self::Destination => destination_uri::parse(value).map_err(|error| error.to_string()),
            Self::Labels => parse_labels(value, |value| json!(value)),
            Self::LabelLists => parse_labels(value, |value| json!([value])),
            Self::OneIdentity => Ok(one_identity(value)),
        }
    }
}

/// Returns a list of services that consists of one identity, written to this directory.
pub(crate) fn one_identity(directory: &str) -> Value {
    json!([{ "type": "identity", "destination": { "type": "directory", "path": directory } }])
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
        assert_eq!(FlagType::Labels.parse("a=b, c = d=e,f="), Ok(json!({ "a": "b", "c": "d=e", "f": "" })));
        assert_eq!(FlagType::LabelLists.parse("*=*"), Ok(json!({ "*": ["*"] })));
        for invalid in ["", "a", "=b", "a=b,", "a=b,a=c"] {
            assert!(FlagType::Labels.parse(invalid).is_err(), "{invalid}");
        }
    }
}
