//! The arguments of the benchmark.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures whole processes, by default all but those that need another program.
#[derive(Parser)]
pub(crate) struct Options {
    /// The only measurement to make.
    pub(crate) measurement: Option<Measurement>,
    /// A Go agent. Only the comparison with it is measured.
    #[arg(long, conflicts_with = "measurement")]
    pub(crate) go_tbot: Option<PathBuf>,
    /// A configuration of tbot for oneshot runs at a real cluster.
    #[arg(long, requires_all = ["go_config", "go_tbot"])]
    pub(crate) config: Option<PathBuf>,
    /// A configuration of the Go agent for the same cluster.
    #[arg(long, requires = "config")]
    pub(crate) go_config: Option<PathBuf>,
    /// The directory to write a chart of each comparison to.
    #[arg(long)]
    pub(crate) charts: Option<PathBuf>,
    /// Cargo adds it.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A measurement that can be made alone.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Measurement {
    /// A tunnel, next to socat.
    Tunnel,
    /// Connections of SSH clients.
    Ssh,
    /// `tbot validate`, next to other validators.
    Validators,
}
