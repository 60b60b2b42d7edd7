//! Writes diagnostics for a terminal, in the style of rustc. Depends on `excerpt`, `report` and `terminal`.

use std::fmt;

use anstyle::Style;

use super::Target;
use super::excerpt::excerpt;
use super::report::{LocatedDiagnostic, Report};
use super::source_file::SourceFile;
use super::terminal::{BOLD, FRAME, Terminal, sanitize, severity_style, width};
use crate::untrusted::escape;
use crate::yaml::Span;

/// Writes all diagnostics, separated by empty lines.
pub(super) fn write(out: &mut dyn fmt::Write, terminal: Terminal, reports: &[Report<'_>]) -> fmt::Result {
    let mut first = true;
    for report in reports {
        for located in report.located() {
            if !std::mem::replace(&mut first, false) {
                out.write_char('\n')?;
            }
            write_diagnostic(out, terminal, report.source(), located)?;
        }
    }
    Ok(())
}

fn write_diagnostic(
    out: &mut dyn fmt::Write,
    terminal: Terminal,
    source: &SourceFile<'_>,
    located: &LocatedDiagnostic,
) -> fmt::Result {
    let diagnostic = &located.diagnostic;
    let style = severity_style(diagnostic.severity);
    let head = format!("{}[{}]", diagnostic.severity, diagnostic.code);
    let message = terminal.wrap(&sanitize(&diagnostic.message), width(&head) + 2, 2);
    let message = format!(": {message}");
    writeln!(out, "{}{}", terminal.paint(style, &head), terminal.paint(BOLD, &message))?;

    let related = diagnostic.related.as_ref().map(|(what, target)| (what, target, source.locate(target)));
    let lines = located
        .span
        .into_iter()
        .chain(related.as_ref().and_then(|(.., span)| *span))
        .map(|span| span.start.line);
    let gutter = lines.max().unwrap_or(1).to_string().len();

    write_target(out, terminal, source, &diagnostic.target, located.span, gutter, ('^', style))?;
    if let Some(help) = &diagnostic.help {
        let mark = terminal.paint(FRAME, "=");
        let indent = gutter + " = help: ".len();
        let help = terminal.wrap(&sanitize(help), indent, indent);
        writeln!(out, "{:gutter$} {mark} {}: {help}", "", terminal.paint(BOLD, "help"))?;
    }
    if let Some((description, target, span)) = related {
        writeln!(out, "{}", labelled(terminal, "note", description))?;
        write_target(out, terminal, source, target, span, gutter, ('-', FRAME))?;
    }
    Ok(())
}

/// Formats a line that starts with a label, such as `note: ...`.
pub(super) fn labelled(terminal: Terminal, label: &str, text: &str) -> String {
    let indent = width(label) + 2;
    format!("{}: {}", terminal.paint(BOLD, label), terminal.wrap(&sanitize(text), indent, indent))
}

/// Writes an arrow with the position of a target, and the excerpt if it has one.
fn write_target(
    out: &mut dyn fmt::Write,
    terminal: Terminal,
    source: &SourceFile<'_>,
    target: &Target,
    span: Option<Span>,
    gutter: usize,
    (underline, style): (char, Style),
) -> fmt::Result {
    let arrow = terminal.paint(FRAME, "-->");
    let name = escape(source.name());
    let Some(span) = span else {
        let name = match target {
            Target::Override(name) => escape(name),
            _ => name,
        };
        return writeln!(out, "{:gutter$}{arrow} {name}", "");
    };
    writeln!(out, "{:gutter$}{arrow} {name}:{}:{}", "", span.start.line, span.start.column)?;
    let columns = terminal.columns.saturating_sub(gutter + " | ".len());
    let Some(excerpt) = excerpt(source, span, columns) else { return Ok(()) };
    let bar = terminal.paint(FRAME, "|");
    let number = format!("{:gutter$}", excerpt.line);
    let number = terminal.paint(FRAME, &number);
    let underline = underline.to_string().repeat(excerpt.length);
    let underline = terminal.paint(style, &underline);
    writeln!(out, "{:gutter$} {bar}", "")?;
    writeln!(out, "{number} {bar} {}", excerpt.text)?;
    writeln!(out, "{:gutter$} {bar} {:indent$}{underline}", "", "", indent = excerpt.indent)
}
