//! Errors as text, for messages that must be complete on one line.

use std::error::Error;

use serde_json::error::Category;

/// An error and everything below it on one line, for messages that must say all they know.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some layers repeat the one below.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// Why an answer is not the JSON that was expected, without its values: it may repeat what it was sent, or be long.
pub(crate) fn describe_json_error(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        // Names a field of ours and nothing else.
        Category::Data if words.starts_with("missing field `") => words,
        Category::Data => format!("a value of another type than expected at line {line} column {column}"),
        Category::Io | Category::Syntax | Category::Eof => format!("no JSON at line {line} column {column}"),
    }
}
