//! The time of a report, and how it grows with the number of events.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use prehog::day::Day;
use prehog::load::Agents;
use prehog::report::{Format, Report, WeekRange};
use prehog::store::{Store, StoreUrl};

use crate::print_row;

/// The number of weeks over which the events of the report are spread.
const WEEKS: i32 = 52;

/// Measures reports, and fails if a bound is exceeded.
pub(crate) fn measure(directory: &Path) -> Result<()> {
    let url = StoreUrl::Sqlite(directory.join("report.db"));
    let mut store = url.open()?;
    let last = Day(20_600).week();
    let weeks = WeekRange { first: last.plus(1 - WEEKS), last };
    let mut seeded = 0;
    let mut times = Vec::new();
    for events in [0, 1, 100_000, 1_000_000, 10_000_000] {
        seed(&mut *store, weeks, seeded, events)?;
        seeded = events;
        let time = report(&url, weeks, events)?;
        print_row(&format!("report over {events} events"), &format!("{time:.1?}"))?;
        times.push(time);
    }
    let [.., one_million, ten_million] = times.as_slice() else { bail!("nothing was measured") };
    // The absolute term allows for noise, which is larger than growth below about a millisecond.
    if *ten_million > Duration::from_secs(2) || *ten_million > *one_million * 10 + Duration::from_millis(5) {
        bail!("reports exceed a bound");
    }
    Ok(())
}

/// Adds the events with numbers from `from` to `to`, spread over all days.
fn seed(store: &mut dyn Store, weeks: WeekRange, from: u64, to: u64) -> Result<()> {
    const BATCH: u64 = 20_000;
    let days: Vec<Day> = weeks.days().collect();
    let each = (to - from).div_ceil(days.len() as u64);
    let agents = Agents::new(5)?;
    let mut number = from;
    for day in days {
        let end = (number + each).min(to);
        while number < end {
            let next = (number + BATCH).min(end);
            let batch: Vec<_> = (number..next).map(|number| agents.submission(number, day)).collect();
            store.append(&batch)?;
            store.fold()?;
            number = next;
        }
    }
    Ok(())
}

/// Returns the fastest of three runs. Each opens the store anew, as `prehog report` does.
fn report(url: &StoreUrl, weeks: WeekRange, events: u64) -> Result<Duration> {
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let started = Instant::now();
        let report = Report::from_store(&mut *url.open()?, weeks, 10, weeks.last.plus(1).first_day())?;
        let page = report.render(Format::Html);
        fastest = fastest.min(started.elapsed());
        ensure!(!page.is_empty() && report.starts.unwrap_or(0) <= events, "the report is wrong");
        ensure!(events < 1_000_000 || report.starts == Some(events), "events are missing from the report");
    }
    Ok(fastest)
}
