//! Errors as text, for messages that must be complete on one line.

use std::error::Error;

use serde_json::error::Category;

/// Returns an error and all of its sources on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some errors repeat their source in their own message.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// Describes why a response is not the expected JSON, without its values: it may echo a secret of the request, or be long.
pub(crate) fn describe_json_error(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        // Names a field of the expected type and no value.
        Category::Data if message.starts_with("missing field `") => message,
        Category::Data => format!("unexpected type of a value at line {line} column {column}"),
        Category::Io | Category::Syntax | Category::Eof => format!("not JSON at line {line} column {column}"),
    }
}
