//! Writes diagnostics for a terminal of 80 columns, in the style of rustc. Depends on `excerpt` and `report`.

use std::borrow::Cow;
use std::fmt;

use super::Target;
use super::code::Severity;
use super::excerpt::excerpt;
use super::report::{LocatedDiagnostic, Report};
use super::source_file::SourceFile;
use super::terminal::sanitize;
use crate::untrusted::escape;
use crate::yaml::Span;

/// The width of the terminal, which limits the excerpts.
const COLUMNS: usize = 80;

/// Writes all diagnostics, separated by empty lines.
pub(super) fn write(out: &mut dyn fmt::Write, colour: bool, reports: &[Report<'_>]) -> fmt::Result {
    let mut first = true;
    for report in reports {
        for located in report.located() {
            if !std::mem::replace(&mut first, false) {
                out.write_char('\n')?;
            }
            write_diagnostic(out, &Painter { colour }, report.source(), located)?;
        }
    }
    Ok(())
}

fn write_diagnostic(
    out: &mut dyn fmt::Write,
    painter: &Painter,
    source: &SourceFile<'_>,
    located: &LocatedDiagnostic,
) -> fmt::Result {
    let diagnostic = &located.diagnostic;
    let colour = match diagnostic.severity {
        Severity::Error => RED,
        Severity::Warning => YELLOW,
        Severity::Note => BLUE,
    };
    let head = format!("{}[{}]", diagnostic.severity, diagnostic.code);
    let message = format!(": {}", sanitize(&diagnostic.message));
    writeln!(out, "{}{}", painter.paint(colour, &head), painter.paint(BOLD, &message))?;

    let related = diagnostic.related.as_ref().map(|(what, target)| (what, target, source.locate(target)));
    let lines = located
        .span
        .into_iter()
        .chain(related.as_ref().and_then(|(.., span)| *span))
        .map(|span| span.start.line);
    let gutter = lines.max().unwrap_or(1).to_string().len();

    write_target(out, painter, source, &diagnostic.target, located.span, gutter, ('^', colour))?;
    if let Some(help) = &diagnostic.help {
        let mark = painter.paint(BLUE, "=");
        // Align the second and later lines with the first.
        let help = sanitize(help).replace('\n', &format!("\n{:gutter$}         ", ""));
        writeln!(out, "{:gutter$} {mark} {}: {help}", "", painter.paint(BOLD, "help"))?;
    }
    if let Some((description, target, span)) = related {
        writeln!(out, "{}: {}", painter.paint(BOLD, "note"), sanitize(description))?;
        write_target(out, painter, source, target, span, gutter, ('-', BLUE))?;
    }
    Ok(())
}

/// Writes an arrow with the position of a target, and the excerpt if it has one.
fn write_target(
    out: &mut dyn fmt::Write,
    painter: &Painter,
    source: &SourceFile<'_>,
    target: &Target,
    span: Option<Span>,
    gutter: usize,
    (underline, colour): (char, &str),
) -> fmt::Result {
    let arrow = painter.paint(BLUE, "-->");
    let name = escape(source.name());
    let Some(span) = span else {
        let name = match target {
            Target::Override(name) => escape(name),
            _ => name,
        };
        return writeln!(out, "{:gutter$}{arrow} {name}", "");
    };
    writeln!(out, "{:gutter$}{arrow} {name}:{}:{}", "", span.start.line, span.start.column)?;
    let Some(excerpt) = excerpt(source, span, COLUMNS - gutter - 3) else { return Ok(()) };
    let bar = painter.paint(BLUE, "|");
    let number = format!("{:gutter$}", excerpt.line);
    let number = painter.paint(BLUE, &number);
    let underline = underline.to_string().repeat(excerpt.length);
    let underline = painter.paint(colour, &underline);
    writeln!(out, "{:gutter$} {bar}", "")?;
    writeln!(out, "{number} {bar} {}", excerpt.text)?;
    writeln!(out, "{:gutter$} {bar} {:indent$}{underline}", "", "", indent = excerpt.indent)
}

const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const BLUE: &str = "1;34";
const BOLD: &str = "1";

/// Applies ANSI colours if they are enabled.
struct Painter {
    colour: bool,
}

impl Painter {
    fn paint<'t>(&self, code: &str, text: &'t str) -> Cow<'t, str> {
        if self.colour { Cow::Owned(format!("\u{1b}[{code}m{text}\u{1b}[0m")) } else { Cow::Borrowed(text) }
    }
}
