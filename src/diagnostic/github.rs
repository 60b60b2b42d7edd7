//! Diagnostics as GitHub's workflow commands, one a line:
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>. Depends on `report`.

use std::fmt;

use super::report::Report;
use super::{Place, human};

pub(super) fn write(out: &mut dyn fmt::Write, reports: &[Report<'_>]) -> fmt::Result {
    for report in reports {
        for located in report.located() {
            let diagnostic = &located.diagnostic;
            write!(out, "::{} ", diagnostic.severity)?;
            let mut message = String::new();
            match &diagnostic.place {
                Place::Input(input) => message = format!("{input}: "),
                _ => write!(out, "file={},", property(report.source().name()))?,
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
            writeln!(out, "title={}::{}", property(diagnostic.code.name()), data(&message))?;
        }
    }
    Ok(())
}

fn data(text: &str) -> String {
    human::clean(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
