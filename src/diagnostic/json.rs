//! Diagnostics for programs: one JSON object. Depends on `report`, and on `yaml` for which keys may be shown. Its keys are a
//! contract: none goes away or changes its meaning; lines and columns are from 1, columns in characters, the end exclusive;
//! what is unknown or may not be shown is null.

use std::fmt;

use serde_json::{Value, json};

use super::report::{Located, Report};
use super::{Place, Severity, Source};
use crate::pointer::Pointer;
use crate::yaml::{Span, display_key};

pub(super) fn write(out: &mut dyn fmt::Write, reports: &[Report<'_>]) -> fmt::Result {
    let mut diagnostics = Vec::new();
    for report in reports {
        diagnostics.extend(report.located().iter().map(|located| one(report.source(), located)));
    }
    let count = |severity| reports.iter().map(|report| report.count(severity)).sum::<usize>();
    let run = json!({
        "diagnostics": diagnostics,
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warning),
    });
    writeln!(out, "{run:#}")
}

fn one(source: &Source<'_>, located: &Located) -> Value {
    let diagnostic = &located.diagnostic;
    let mut value = json!({
        "code": diagnostic.code.name(),
        "severity": diagnostic.severity.name(),
        "message": diagnostic.message,
        "help": diagnostic.help,
    });
    put_place(&mut value, source, &diagnostic.place, located.span);
    value["related"] = match &diagnostic.related {
        None => Value::Null,
        Some((message, place)) => {
            let mut related = json!({ "message": message });
            put_place(&mut related, source, place, source.locate(place));
            related
        }
    };
    value
}

fn put_place(value: &mut Value, source: &Source<'_>, place: &Place, span: Option<Span>) {
    let input = match place {
        Place::Input(input) => Some(input.as_str()),
        _ => None,
    };
    value["file"] = json!(input.is_none().then_some(source.name()));
    value["line"] = json!(span.map(|span| span.start.line));
    value["column"] = json!(span.map(|span| span.start.column));
    value["end_line"] = json!(span.map(|span| span.end.line));
    value["end_column"] = json!(span.map(|span| span.end.column));
    // A key that is not shown is not shown as a part of a pointer either.
    let may_show = |pointer: &&Pointer| pointer.tokens().all(|key| display_key(&key) == key);
    value["pointer"] = json!(place.pointer().filter(may_show).map(|pointer| pointer.as_str()));
    // A flag or an environment variable; then there is no file.
    value["input"] = json!(input);
}
