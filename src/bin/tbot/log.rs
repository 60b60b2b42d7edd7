//! The log: one line per event on standard error, as text or JSON. Only the events of this program are logged, not
//! those of its dependencies.

mod json;
mod writer;

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
use writer::LogWriter;

/// Keeps the log complete: when dropped, waits a limited time until all lines have been written.
#[must_use = "dropping it flushes the log"]
pub(crate) struct LogGuard(LogWriter);

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Installs the global log subscriber. Must be called at most once per process.
pub(crate) fn init(format: LogFormat, debug: bool) -> Result<LogGuard, Failure> {
    let writer = LogWriter::start(io::stderr(), |dropped| {
        tracing::warn!(dropped, "log lines were lost, because standard error was not read");
    })
    .map_err(Failure::Process)?;
    let level = if debug { Level::DEBUG } else { Level::INFO };
    // Dependencies log addresses and, at debug and trace, whole requests.
    let own_events = Targets::new().with_target("tbot", level);
    let queue = writer.clone();
    let layer = fmt::layer().with_writer(move || queue.clone()).with_target(false);
    let result = match format {
        LogFormat::Text => tracing_subscriber::registry().with(layer.with_filter(own_events)).try_init(),
        LogFormat::Json => tracing_subscriber::registry()
            .with(layer.event_format(JsonFormat).with_filter(own_events))
            .try_init(),
    };
    result.map_err(|error| Failure::Build(error.into()))?;
    log_panics(writer.clone());
    Ok(LogGuard(writer))
}

/// Logs panics, instead of writing them to standard error directly, which may block. The process may end right after
/// this, so the log is flushed.
fn log_panics(writer: LogWriter) {
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!("this is a bug of tbot: {}", panic.to_string().replace('\n', " "));
        writer.flush();
    }));
}
