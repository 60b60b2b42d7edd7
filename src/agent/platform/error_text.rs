//! Formats errors for messages that must be complete on one line.

use std::error::Error;

use serde_json::error::Category;

/// Returns the messages of an error and of all its sources, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let source_message = source.to_string();
        // Some errors repeat their source in their own message.
        if !message.ends_with(&source_message) {
            message.push_str(": ");
            message.push_str(&source_message);
        }
        next = source.source();
    }
    message
}

/// Describes why a response is not the expected JSON. Omits its values, which may be long or echo a secret of the
/// request.
pub(crate) fn describe_json_error(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        // The message contains the name of a field that the agent expects, and no value.
        Category::Data if message.starts_with("missing field `") => message,
        Category::Data => format!("a value has an unexpected type at line {line} column {column}"),
        Category::Io | Category::Syntax | Category::Eof => {
            format!("invalid JSON at line {line} column {column}")
        }
    }
}
