//! `prehog report`: the report of a store, on standard output.

use std::io::Write;

use anyhow::bail;
use prehog::clock::Clock;
use prehog::report::{Format, Span, make};
use prehog::store::settled_day;

use crate::cli::{Report, ReportFormat};

pub(crate) fn report(arguments: &Report, clock: &Clock, output: &mut dyn Write) -> anyhow::Result<()> {
    let finished = Span::finished(settled_day(clock()));
    let since = arguments.since.unwrap_or(finished.first.first());
    let until = arguments.until.unwrap_or(finished.last.last());
    let Some(span) = Span::of(since, until) else {
        bail!("{since} is after {until}: give --since and --until in order")
    };
    let format = match arguments.format {
        ReportFormat::Html => Format::Html,
        ReportFormat::Json => Format::Json,
        ReportFormat::Csv => Format::Csv,
    };
    let mut store = crate::open(&arguments.store.store)?;
    let report = make(&mut *store, span, arguments.min_group)?;
    Ok(output.write_all(report.render(format).as_bytes())?)
}
