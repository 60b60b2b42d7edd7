//! The commands that work on an existing store: `prehog report`, `prehog export`, `prehog backup` and `prehog retain`.

use std::io::Write;

use anyhow::{Context as _, anyhow};
use prehog::clock::Clock;
use prehog::day::Day;
use prehog::report::{DEFAULT_MIN_GROUP, Format, Report, WeekRange, WeekRangeError};
use prehog::schema::EventSchema;
use prehog::start::Start;
use prehog::store::{Store, StoreError, StoreUrl, WeekTally, first_open_day, first_retained_day};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::{BackupArgs, ExportArgs, ReportArgs, ReportFormat, RetainArgs};

/// The days that a store can contain.
const FIRST_DAY: Day = Day(0);
const LAST_DAY: Day = Day(u16::MAX as i32);

/// Opens a store, but does not create it.
fn open_existing(store: &StoreUrl) -> anyhow::Result<Box<dyn Store>> {
    store.open_existing().map_err(|error| match error {
        StoreError::Missing(_) => {
            anyhow!("{store} does not exist; pass the same --store as to `prehog serve`")
        }
        error => cannot_open(store, error),
    })
}

/// Adds to an error which store cannot be opened.
pub(crate) fn cannot_open(store: &StoreUrl, error: StoreError) -> anyhow::Error {
    anyhow::Error::new(error).context(format!("cannot open {store}"))
}

/// `prehog report`: writes a report.
pub(crate) fn report(args: &ReportArgs, clock: &Clock, output: &mut dyn Write) -> anyhow::Result<()> {
    let today = first_open_day(clock());
    let weeks = WeekRange::select(args.since, args.until, today).context("--since or --until")?;
    let format = match args.format {
        ReportFormat::Html => Format::Html,
        ReportFormat::Json => Format::Json,
        ReportFormat::Csv => Format::Csv,
    };
    if args.min_group < DEFAULT_MIN_GROUP {
        tracing::warn!(min_group = args.min_group, "this report shows small groups; do not publish it");
    }
    if weeks.last >= today.week() {
        // With fake events between two such reports, a reader can find out exact numbers.
        tracing::warn!(until = %weeks.last_day(), "this report shows a week that is not over; do not publish it");
    }
    let mut store = open_existing(&args.store.store)?;
    let report = Report::from_store(&mut *store, weeks, args.min_group, today)?;
    if report.is_empty() {
        // Only the person who can read the store sees these numbers. They are not in the report, which may be published.
        let tally = store.tally(FIRST_DAY.week(), LAST_DAY.week(), u64::MAX)?;
        let received: u64 = tally.weeks.range(weeks.first..=weeks.last).map(|(_, week)| week.total()).sum();
        let in_store: u64 = tally.weeks.values().map(WeekTally::total).sum();
        tracing::info!(
            received,
            in_store,
            shown_from = report.min_group,
            "too few starts in each of these weeks to show"
        );
    }
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
    let since = args.since.unwrap_or(FIRST_DAY);
    let until = args.until.unwrap_or(LAST_DAY);
    if since > until {
        return Err(WeekRangeError::Reversed { since, until }).context("--since or --until");
    }
    let mut store = open_existing(&args.store.store)?;
    let schema = EventSchema::embedded()?;
    let mut write = |day, start: &Start, starts| {
        let event = schema.named_values(start);
        serde_json::to_writer(&mut *output, &ExportLine { day, starts, event })?;
        output.write_all(b"\n")
    };
    Ok(store.export(since, until, &mut write)?)
}

/// `prehog backup`: copies the store to a file.
pub(crate) fn backup(args: &BackupArgs, output: &mut dyn Write) -> anyhow::Result<()> {
    let mut store = open_existing(&args.store.store)?;
    store.back_up(&args.file)?;
    Ok(writeln!(output, "wrote {}", args.file.display())?)
}

/// `prehog retain`: removes old starts, and the ids that have expired.
pub(crate) fn retain(args: &RetainArgs, clock: &Clock, output: &mut dyn Write) -> anyhow::Result<()> {
    let mut store = open_existing(&args.store.store)?;
    let now = clock();
    let first = first_retained_day(Day::of(now), args.days);
    let removed = store.remove_before(first)?;
    store.forget_ids(first_open_day(now))?;
    Ok(writeln!(output, "removed {removed} starts from before {first}")?)
}
