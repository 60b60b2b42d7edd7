//! Writes diagnostics as GitHub workflow commands, one per line:
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>. Depends on `report`.

use std::fmt;

use super::Target;
use super::code::Severity;
use super::report::Report;
use super::terminal::sanitize;

pub(super) fn write(out: &mut dyn fmt::Write, reports: &[Report<'_>]) -> fmt::Result {
    for report in reports {
        for located in report.located() {
            let diagnostic = &located.diagnostic;
            write!(out, "::{} ", command(diagnostic.severity))?;
            let mut message = String::new();
            match &diagnostic.target {
                Target::Override(name) => message = format!("{name}: "),
                _ => write!(out, "file={},", escape_property(report.source().name()))?,
            }
            if let Some(span) = located.span {
                write!(out, "line={},col={},", span.start.line, span.start.column)?;
                write!(out, "endLine={},endColumn={},", span.end.line, span.end.column)?;
            }
            message.push_str(&diagnostic.message);
            if let Some(help) = &diagnostic.help {
                message.push_str("\nhelp: ");
                message.push_str(help);
            }
            if let Some((description, target)) = &diagnostic.related {
                message.push_str("\nnote: ");
                message.push_str(description);
                let line = report.source().locate(target).map(|span| span.start.line);
                match (target, line) {
                    (Target::Override(name), _) => message.push_str(&format!(" ({name})")),
                    (_, Some(line)) => message.push_str(&format!(" (line {line})")),
                    (_, None) => {}
                }
            }
            writeln!(out, "title={}::{}", escape_property(diagnostic.code.name()), escape_data(&message))?;
        }
    }
    Ok(())
}

const fn command(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    }
}

fn escape_data(text: &str) -> String {
    sanitize(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}
