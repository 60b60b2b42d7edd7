//! The performance bounds of the receiver: the rate and latency of durable ingest compared with the same server without a
//! store and with a connect-node server, the time of a report over ten million events, and memory at rest.
//!
//! `cargo bench -p prehog` prints a table and fails if a bound is exceeded; with `-- --help` it lists its options.
//!
//! The connect-node server is measured if `npm ci` was run in `prehog/benches/connect-node`.

#[path = "../../../benches/process/chart.rs"]
mod chart;
mod ingest;
mod options;
mod reports;
mod server;

use std::ffi::OsString;
use std::io::{Write as _, stdout};

use anyhow::Result;
use clap::Parser as _;

use options::{Measurement, Options};

fn main() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let [first, store] = arguments.as_slice()
        && first == "--serve"
    {
        return server::serve(&store.to_string_lossy());
    }
    // `cargo test --benches` runs this program without `--bench`, only to check that it builds.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let options = Options::parse();
    let directory = tempfile::tempdir()?;
    let is_measured = |measurement| options.measurement.is_none_or(|only| only == measurement);
    let ingest =
        if is_measured(Measurement::Ingest) { ingest::measure(&options, directory.path()) } else { Ok(()) };
    let reports = if is_measured(Measurement::Report) { reports::measure(directory.path()) } else { Ok(()) };
    ingest.and(reports)
}

fn print_row(name: &str, value: &str) -> Result<()> {
    Ok(writeln!(stdout(), "{name:52} {value:>42}")?)
}
