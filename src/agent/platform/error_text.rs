//! Formats errors for messages that must be complete on one line.

use std::error::Error;

use serde_json::error::Category;

use super::Hint;
use crate::untrusted::escape_uncut;

/// Returns the messages of an error and of all its sources, on one line. A source whose message is already there, because
/// some errors repeat their source in their own message, is left out. Escapes characters that would affect a terminal or
/// begin another line.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut messages = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let message = source.to_string();
        if !messages.contains(&message) {
            messages.push_str(": ");
            messages.push_str(&message);
        }
        next = source.source();
    }
    escape_uncut(&messages).into_owned()
}

/// Returns an error, its sources and its hint on one line, for the log.
#[must_use]
pub fn error_line(error: &dyn Error, hint: Option<&Hint>) -> String {
    let messages = error_chain(error);
    match hint {
        Some(hint) => format!("{messages}; {hint}"),
        None => messages,
    }
}

/// Returns several errors, each with its sources and its hint, on one line. Numbers them, because a hint follows its error as one
/// error follows another. `hint` returns the hint of an error.
pub(crate) fn error_list<E: Error>(errors: &[E], hint: impl Fn(&E) -> Option<Hint>) -> String {
    let line = |error: &E| error_line(error, hint(error).as_ref());
    if let [error] = errors {
        return line(error);
    }
    let lines = (1..).zip(errors).map(|(number, error)| format!("{number}) {}", line(error)));
    lines.collect::<Vec<_>>().join("; ")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{message}")]
    struct Link {
        message: &'static str,
        source: Option<Box<Self>>,
    }

    fn link(message: &'static str, source: Option<Link>) -> Link {
        Link { message, source: source.map(Box::new) }
    }

    #[test]
    fn a_chain_repeats_no_message() {
        let refused = || link("connection refused", None);
        let error = link("cannot connect", Some(link("tcp error: connection refused", Some(refused()))));
        assert_eq!(error_chain(&error), "cannot connect: tcp error: connection refused");
        let hint = Hint::new("check the address");
        assert_eq!(error_line(&refused(), Some(&hint)), "connection refused; check the address");
        assert_eq!(error_line(&refused(), None), "connection refused");
    }

    #[test]
    fn only_several_errors_are_numbered() {
        let hint = |_: &Link| Some(Hint::new("check it"));
        assert_eq!(error_list(&[link("a", None)], hint), "a; check it");
        assert_eq!(error_list(&[link("a", None), link("b", None)], hint), "1) a; check it; 2) b; check it");
    }
}
