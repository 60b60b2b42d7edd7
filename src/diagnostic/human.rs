//! Diagnostics for people at a terminal of 80 columns, in the way of rustc. Depends on `excerpt`.

use std::borrow::Cow;
use std::fmt;

use super::excerpt::{excerpt, printable};
use super::report::{Located, Report};
use super::{Place, Severity, Source};
use crate::yaml::Span;

/// How wide the output may be.
const COLUMNS: usize = 80;

/// Writes all diagnostics, an empty line between two of them.
pub(super) fn write(out: &mut dyn fmt::Write, colour: bool, reports: &[Report<'_>]) -> fmt::Result {
    let mut first = true;
    for report in reports {
        for located in report.located() {
            if !std::mem::replace(&mut first, false) {
                out.write_char('\n')?;
            }
            one(out, &Paint { on: colour }, report.source(), located)?;
        }
    }
    Ok(())
}

fn one(out: &mut dyn fmt::Write, paint: &Paint, source: &Source<'_>, located: &Located) -> fmt::Result {
    let diagnostic = &located.diagnostic;
    let tone = match diagnostic.severity {
        Severity::Error => RED,
        Severity::Warning => YELLOW,
    };
    let head = format!("{}[{}]", diagnostic.severity, diagnostic.code);
    writeln!(
        out,
        "{}{}",
        paint.with(tone, &head),
        paint.with(BOLD, &format!(": {}", clean(&diagnostic.message)))
    )?;

    let related = diagnostic.related.as_ref().map(|(what, place)| (what, place, source.locate(place)));
    let last_line = located
        .span
        .into_iter()
        .chain(related.as_ref().and_then(|(.., span)| *span))
        .map(|span| span.start.line);
    let gutter = last_line.max().unwrap_or(1).to_string().len();

    place(out, paint, source, &diagnostic.place, located.span, gutter, ('^', tone))?;
    if let Some(help) = &diagnostic.help {
        let mark = paint.with(BLUE, "=");
        // What is in several lines stays in its column.
        let help = clean(help).replace('\n', &format!("\n{:gutter$}         ", ""));
        writeln!(out, "{:gutter$} {mark} {}: {help}", "", paint.with(BOLD, "help"))?;
    }
    if let Some((what, where_, span)) = related {
        writeln!(out, "{}: {}", paint.with(BOLD, "note"), clean(what))?;
        place(out, paint, source, where_, span, gutter, ('-', BLUE))?;
    }
    Ok(())
}

/// The arrow to a place, and the excerpt where there is one.
fn place(
    out: &mut dyn fmt::Write,
    paint: &Paint,
    source: &Source<'_>,
    place: &Place,
    span: Option<Span>,
    gutter: usize,
    (stroke, tone): (char, &str),
) -> fmt::Result {
    let arrow = paint.with(BLUE, "-->");
    let name = clean(source.name());
    let Some(span) = span else {
        let name = match place {
            Place::Input(input) => clean(input),
            _ => name,
        };
        return writeln!(out, "{:gutter$}{arrow} {name}", "");
    };
    writeln!(out, "{:gutter$}{arrow} {name}:{}:{}", "", span.start.line, span.start.column)?;
    let Some(excerpt) = excerpt(source, span, COLUMNS - gutter - 3) else { return Ok(()) };
    let bar = paint.with(BLUE, "|");
    let number = format!("{:gutter$}", excerpt.line);
    let number = paint.with(BLUE, &number);
    let strokes = stroke.to_string().repeat(excerpt.length);
    let strokes = paint.with(tone, &strokes);
    writeln!(out, "{:gutter$} {bar}", "")?;
    writeln!(out, "{number} {bar} {}", excerpt.text)?;
    writeln!(out, "{:gutter$} {bar} {:indent$}{strokes}", "", "", indent = excerpt.indent)
}

/// A text without what could move a terminal's cursor; line breaks stay.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let keep = |found: char| if found == '\n' { found } else { printable(found) };
    if text.chars().all(|found| keep(found) == found) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().map(keep).collect())
    }
}

const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const BLUE: &str = "1;34";
const BOLD: &str = "1";

/// Puts ANSI colours on, or not.
struct Paint {
    on: bool,
}

impl Paint {
    fn with<'t>(&self, tone: &str, text: &'t str) -> Cow<'t, str> {
        if self.on { Cow::Owned(format!("\u{1b}[{tone}m{text}\u{1b}[0m")) } else { Cow::Borrowed(text) }
    }
}
