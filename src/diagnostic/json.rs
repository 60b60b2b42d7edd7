//! Writes diagnostics for programs, as one JSON object. Depends on `report`.
//!
//! The keys of the object are stable: no key is ever removed or changes its meaning. Lines and columns start at 1, columns
//! count characters, and ends are exclusive. Anything unknown or hidden is null.

use std::fmt;

use serde_json::{Value, json};

use super::Target;
use super::code::Severity;
use super::report::{LocatedDiagnostic, Report};
use super::source_file::SourceFile;
use crate::pointer::Pointer;
use crate::yaml::Span;

pub(super) fn write(out: &mut dyn fmt::Write, reports: &[Report<'_>]) -> fmt::Result {
    let mut diagnostics = Vec::new();
    for report in reports {
        diagnostics
            .extend(report.located().iter().map(|located| diagnostic_object(report.source(), located)));
    }
    let count = |severity| reports.iter().map(|report| report.count(severity)).sum::<usize>();
    let object = json!({
        "diagnostics": diagnostics,
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warning),
        "notes": count(Severity::Note),
        "omitted": reports.iter().map(Report::omitted).sum::<usize>(),
    });
    writeln!(out, "{object:#}")
}

fn diagnostic_object(source: &SourceFile<'_>, located: &LocatedDiagnostic) -> Value {
    let diagnostic = &located.diagnostic;
    let mut value = json!({
        "code": diagnostic.code.name(),
        "severity": diagnostic.severity.name(),
        "message": diagnostic.message,
        "help": diagnostic.help,
    });
    insert_target(&mut value, source, &diagnostic.target, located.span);
    value["related"] = match &diagnostic.related {
        None => Value::Null,
        Some((message, target)) => {
            let mut related = json!({ "message": message });
            insert_target(&mut related, source, target, source.locate(target));
            related
        }
    };
    value
}

fn insert_target(value: &mut Value, source: &SourceFile<'_>, target: &Target, span: Option<Span>) {
    let input = match target {
        Target::Override(name) => Some(name.as_str()),
        _ => None,
    };
    value["file"] = json!(input.is_none().then_some(source.name()));
    value["line"] = json!(span.map(|span| span.start.line));
    value["column"] = json!(span.map(|span| span.start.column));
    value["end_line"] = json!(span.map(|span| span.end.line));
    value["end_column"] = json!(span.map(|span| span.end.column));
    // A key that must not be shown must not appear in a pointer either.
    let may_show = |pointer: &&Pointer| source.may_show_pointer(pointer);
    value["pointer"] = json!(target.pointer().filter(may_show).map(|pointer| pointer.as_str()));
    // A flag, environment variable or command, in which case `file` is null.
    value["input"] = json!(input);
}
