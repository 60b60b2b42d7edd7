//! The log: one line an event on standard error. Only what this program itself says: libraries log addresses, so they
//! are silent, whatever the level.

use std::io;

use anyhow::Context as _;
use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::LogFormat;

pub(crate) fn begin(format: LogFormat) -> anyhow::Result<()> {
    let own = Targets::new().with_target("prehog", Level::INFO);
    let layer = fmt::layer().with_writer(io::stderr).with_target(false).with_ansi(false);
    let begun = match format {
        LogFormat::Text => tracing_subscriber::registry().with(layer.with_filter(own)).try_init(),
        LogFormat::Json => {
            tracing_subscriber::registry().with(layer.json().flatten_event(true).with_filter(own)).try_init()
        }
    };
    begun.context("cannot begin the log")
}
