//! The log: one line per event on standard error, as text or JSON. Only the events of this program are logged, not
//! those of its dependencies.

mod json;

use std::io;

use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::LogFormat;
use crate::exit::Failure;
use json::JsonFormat;

/// Installs the global log subscriber. Must be called at most once per process.
pub(crate) fn init(format: LogFormat, debug: bool) -> Result<(), Failure> {
    let level = if debug { Level::DEBUG } else { Level::INFO };
    // Dependencies log addresses and, at debug and trace, whole requests.
    let own_events = Targets::new().with_target("tbot", level);
    let layer = fmt::layer().with_writer(io::stderr).with_target(false);
    let result = match format {
        LogFormat::Text => tracing_subscriber::registry().with(layer.with_filter(own_events)).try_init(),
        LogFormat::Json => tracing_subscriber::registry()
            .with(layer.event_format(JsonFormat).with_filter(own_events))
            .try_init(),
    };
    result.map_err(|error| Failure::Build(error.to_string()))
}
