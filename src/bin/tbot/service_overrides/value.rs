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

/// Parses `a=b,"c d"="e,f"`, as Teleport's own tools do: `;` also separates labels, and double quotes can enclose a name or a value.
fn parse_labels(labels: &str, to_json: impl Fn(&str) -> Value) -> Result<Value, String> {
    let invalid = "invalid labels: use NAME=VALUE,NAME=VALUE, with double quotes around an empty value, and around a name or value that \
                   contains `=`, `,` or `;`";
    if !labels.matches('"').count().is_multiple_of(2) {
        return Err(invalid.to_owned());
    }
    let mut map = Map::new();
    for label in split_unquoted(labels, &[',', ';']) {
        let parts: Vec<&str> = split_unquoted(label, &['=']).map(str::trim).collect();
        let [name, value] = *parts else { return Err(invalid.to_owned()) };
        let (unquoted_name, unquoted_value) = (unquote(name), unquote(value));
        if unquoted_name.is_empty() || value.is_empty() {
            return Err(invalid.to_owned());
        }
        if map.insert(unquoted_name.to_owned(), to_json(unquoted_value)).is_some() {
            return Err("duplicate label: use each name only once".to_owned());
        }
    }
    Ok(Value::Object(map))
}

/// Splits a string at separators that are not in double quotes.
fn split_unquoted<'a>(string: &'a str, separators: &'a [char]) -> impl Iterator<Item = &'a str> {
    let mut is_quoted = false;
    string.split(move |character| {
        is_quoted ^= character == '"';
        !is_quoted && separators.contains(&character)
    })
}

fn unquote(string: &str) -> &str {
    string.trim_matches('"').trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_a_map() {
        for (labels, expected) in [
            ("a=b, c = d", json!({ "a": "b", "c": "d" })),
            ("a=1;b=2", json!({ "a": "1", "b": "2" })),
            (r#"env="prod""#, json!({ "env": "prod" })),
            (r#""a b"=c, "d" = " e ""#, json!({ "a b": "c", "d": "e" })),
            (
                r#"type="database";" role"=master,ver="mongoDB v1,2""#,
                json!({ "type": "database", "role": "master", "ver": "mongoDB v1,2" }),
            ),
            (r#"a="b=c;d",e="""#, json!({ "a": "b=c;d", "e": "" })),
            ("环境=测试,机房=华北", json!({ "环境": "测试", "机房": "华北" })),
        ] {
            assert_eq!(parse(FlagType::Labels, labels), Ok(expected), "{labels}");
        }
        assert_eq!(parse(FlagType::LabelLists, "*=*"), Ok(json!({ "*": ["*"] })));
        for invalid in [
            "",
            "a",
            "=b",
            "a=",
            "a=b,",
            ",a=b",
            "a=b,,c=d",
            "a=b,a=c",
            "a=b=c",
            r#""=b"#,
            r#"""=b"#,
            r#"a="b"#,
            "a,b=c=d",
            r#"type="database,"role"=master,ver="mongoDB v1,2""#,
        ] {
            assert!(parse(FlagType::Labels, invalid).is_err(), "{invalid}");
        }
    }
}
