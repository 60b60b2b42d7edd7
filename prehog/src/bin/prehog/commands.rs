//! The commands that work on an existing store: `prehog report`, `prehog export` and `prehog retain`.

use std::io::Write;

use anyhow::{anyhow, bail};
use prehog::clock::Clock;
use prehog::day::Day;
use prehog::report::{DEFAULT_MIN_GROUP, Format, Report, WeekRange};
use prehog::schema::EventSchema;
use prehog::start::Start;
use prehog::store::{Store, StoreError, StoreUrl, first_open_day, first_retained_day};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::{ExportArgs, ReportArgs, ReportFormat, RetainArgs};

/// Opens a store, but does not create it.
fn open_existing(store: &StoreUrl) -> anyhow::Result<Box<dyn Store>> {
    store.open_existing().map_err(|error| match error {
        StoreError::Missing(_) => {
            anyhow!("{store} does not exist; pass the same --store as to `prehog serve`")
        }
        error => anyhow::Error::new(error).context(format!("cannot open {store}")),
    })
}

/// `prehog report`: writes a report.
pub(crate) fn report(args: &ReportArgs, clock: &Clock, output: &mut dyn Write) -> anyhow::Result<()> {
    let default = WeekRange::last_complete(first_open_day(clock()));
    let since = args.since.unwrap_or(default.first_day());
    let until = args.until.unwrap_or(default.last_day());
    let Some(weeks) = WeekRange::containing(since, until) else {
        bail!("--since {since} is after --until {until}")
    };
    let format = match args.format {
        ReportFormat::Html => Format::Html,
        ReportFormat::Json => Format::Json,
        ReportFormat::Csv => Format::Csv,
    };
    if args.min_group < DEFAULT_MIN_GROUP {
        tracing::warn!(min_group = args.min_group, "this report shows small groups; do not publish it");
    }
    if weeks.last > default.last {
        // With fake events between two such reports, a reader can find out exact numbers.
        tracing::warn!(until = %weeks.last_day(), "this report shows a week that is not over; do not publish it");
    }
    let mut store = open_existing(&args.store.store)?;
    let report = Report::from_store(&mut *store, weeks, args.min_group)?;
    Ok(output.write_all(report.render(format).as_bytes())?)
}

/// One line of an export.
#[derive(Serialize)]
struct ExportLine {
    day: Day,
    starts: u64,
    event: Map<String, Value>,
}

/// `prehog export`: writes every start as a line of JSON.
pub(crate) fn export(args: &ExportArgs, output: &mut dyn Write) -> anyhow::Result<()> {
    let mut store = open_existing(&args.store.store)?;
    // By default, every day that a store can contain.
    let since = args.since.unwrap_or(Day(0));
    let until = args.until.unwrap_or(Day(i32::from(u16::MAX)));
    let schema = EventSchema::embedded()?;
    let mut write = |day, start: &Start, starts| {
        let event = schema.named_values(start);
        serde_json::to_writer(&mut *output, &ExportLine { day, starts, event })?;
        output.write_all(b"\n")
    };
    Ok(store.export(since, until, &mut write)?)
}

/// `prehog retain`: removes old starts.
pub(crate) fn retain(args: &RetainArgs, clock: &Clock, output: &mut dyn Write) -> anyhow::Result<()> {
    let mut store = open_existing(&args.store.store)?;
    let first = first_retained_day(Day::of(clock()), args.days);
    let removed = store.remove_before(first)?;
    Ok(writeln!(output, "removed {removed} starts from before {first}")?)
}
