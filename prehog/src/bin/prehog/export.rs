//! `prehog export` and `prehog retain`: what is stored, line by line, and its end.

use std::io::Write;

use prehog::clock::Clock;
use prehog::day::Day;
use prehog::server::upkeep::first_kept;
use prehog::start::Start;
use serde::Serialize;

use crate::cli::{Export, Retain};

/// A line: the day, how often, and the event.
#[derive(Serialize)]
struct Line<'a> {
    day: Day,
    starts: u64,
    event: &'a Start,
}

pub(crate) fn export(arguments: &Export, output: &mut dyn Write) -> anyhow::Result<()> {
    let mut store = crate::open(&arguments.store.store)?;
    // Far enough on both sides for every day that there is.
    let since = arguments.since.unwrap_or(Day(0));
    let until = arguments.until.unwrap_or(Day(i32::from(u16::MAX)));
    let mut write = |day, event: &Start, starts| {
        serde_json::to_writer(&mut *output, &Line { day, starts, event })?;
        output.write_all(b"\n")
    };
    Ok(store.export(since, until, &mut write)?)
}

pub(crate) fn retain(arguments: &Retain, clock: &Clock, output: &mut dyn Write) -> anyhow::Result<()> {
    let mut store = crate::open(&arguments.store.store)?;
    let first = first_kept(Day::of(clock()), arguments.days);
    let gone = store.retain(first)?;
    Ok(writeln!(output, "removed {gone} starts of before {first}")?)
}
