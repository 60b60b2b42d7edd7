//! The log: one line an event on standard error, as text or JSON. Only what this program itself says; libraries are silent.

use std::io;

use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::LogFormat;
use crate::exit::Failure;

/// Begins the log; once a process.
pub(crate) fn begin(format: LogFormat, verbose: bool) -> Result<(), Failure> {
    let level = if verbose { Level::DEBUG } else { Level::INFO };
    // Dependencies log addresses, and at their lower levels whole requests.
    let own = Targets::new().with_target("tbot", level);
    let layer = fmt::layer().with_writer(io::stderr).with_target(false);
    let begun = match format {
        LogFormat::Text => tracing_subscriber::registry().with(layer.with_filter(own)).try_init(),
        LogFormat::Json => {
            tracing_subscriber::registry().with(layer.json().flatten_event(true).with_filter(own)).try_init()
        }
    };
    begun.map_err(|error| Failure::Build(error.to_string()))
}
