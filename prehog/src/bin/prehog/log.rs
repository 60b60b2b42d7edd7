//! The log: one line per event on standard error. Only this program's own events are logged, at any level, because those of
//! libraries contain addresses.

use std::io;

use anyhow::Context as _;
use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::LogFormat;

/// Installs the log of the process.
pub(crate) fn init(format: LogFormat) -> anyhow::Result<()> {
    let own_events = Targets::new().with_target("prehog", Level::INFO);
    let layer = fmt::layer().with_writer(io::stderr).with_target(false).with_ansi(false);
    let installed = match format {
        LogFormat::Text => tracing_subscriber::registry().with(layer.with_filter(own_events)).try_init(),
        LogFormat::Json => tracing_subscriber::registry()
            .with(layer.json().flatten_event(true).with_filter(own_events))
            .try_init(),
    };
    installed.context("cannot start logging")
}
