//! The arguments of the benchmark.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures the receiver, by default everything.
#[derive(Parser)]
pub(crate) struct Options {
    /// The only measurement to make.
    pub(crate) measurement: Option<Measurement>,
    /// An earlier build of this benchmark, whose server is measured as well. A chart does not show it.
    #[arg(long, conflicts_with = "charts")]
    pub(crate) baseline: Option<PathBuf>,
    /// The directory to write a chart of the ingest to.
    #[arg(long)]
    pub(crate) charts: Option<PathBuf>,
    /// Cargo adds it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measurement {
    /// The ingest of events.
    Ingest,
    /// The time of a report.
    Report,
}
