//! Captures what the test's thread logs: everything as text, and the agent's own events with their fields and outermost span.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};

use tracing::dispatcher::{self, DefaultGuard};
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// One event that the agent logged.
#[derive(Clone, Debug)]
pub(super) struct LogEvent {
    pub(super) level: Level,
    pub(super) message: String,
    fields: BTreeMap<&'static str, String>,
    /// The name of the outermost span around the event.
    pub(super) span: Option<&'static str>,
}

impl LogEvent {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// Whether the event says that an output was written.
    pub(super) fn is_write(&self) -> bool {
        self.level == Level::INFO && self.field("output").is_some()
    }

    /// Whether the event says that an attempt of `service` failed and will be retried.
    pub(super) fn is_failure_of(&self, service: &str) -> bool {
        self.field("service") == Some(service) && self.field("retry").is_some()
    }

    /// Whether the event says that a service succeeded after it had failed.
    pub(super) fn is_recovery(&self) -> bool {
        self.level == Level::INFO && self.field("service").is_some() && self.field("retry").is_none()
    }

    /// Whether the event says that the bot's identity was issued, by a join or a renewal.
    pub(super) fn is_new_identity(&self) -> bool {
        self.level == Level::INFO && self.field("user").is_some()
    }

    /// Whether the event says that a renewal begins before it is due. No other event at info is without fields.
    pub(super) fn is_early_renewal(&self) -> bool {
        self.level == Level::INFO && self.fields.is_empty()
    }

    /// Whether the event says that the agent received the state of a certificate authority.
    pub(super) fn is_authority_state(&self) -> bool {
        self.field("authority").is_some()
    }
}

impl Visit for LogEvent {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        match field.name() {
            "message" => self.message = value,
            name => _ = self.fields.insert(name, value),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// Captures everything that this thread logs, at every level and by every crate, until dropped. The test must run on a
/// single-threaded runtime.
pub(super) struct LogCapture {
    text: Text,
    events: Events,
    dispatch: Dispatch,
    _guard: DefaultGuard,
}

impl LogCapture {
    pub(super) fn start() -> Self {
        // With a single subscriber, tracing lets the thread that reaches a log statement first decide whether it is
        // enabled. A thread without a subscriber would disable it for this one. A second subscriber prevents that.
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| tracing_subscriber::fmt().with_writer(io::sink).finish().into());
        let (text, events) = (Text::default(), Events::default());
        let writer = text.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish()
            .with(events.clone());
        let dispatch = Dispatch::new(subscriber);
        Self { text, events, _guard: dispatcher::set_default(&dispatch), dispatch }
    }

    /// Returns a function that captures what the calling thread logs, too, until the thread ends.
    pub(super) fn for_threads(&self) -> impl Fn() + Send + Sync + use<> {
        let dispatch = self.dispatch.clone();
        move || std::mem::forget(dispatcher::set_default(&dispatch))
    }

    /// Everything that was logged.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.0.lock().unwrap()).into_owned()
    }

    /// The agent's events so far that `matches` accepts.
    pub(super) fn events(&self, matches: impl Fn(&LogEvent) -> bool) -> Vec<LogEvent> {
        self.events.0.lock().unwrap().iter().filter(|event| matches(event)).cloned().collect()
    }

    pub(super) fn count(&self, matches: impl Fn(&LogEvent) -> bool) -> usize {
        self.events(matches).len()
    }

    pub(super) fn count_level(&self, level: Level) -> usize {
        self.count(|event| event.level == level)
    }

    /// The agent's events at info and above, one per line, for snapshots.
    pub(super) fn transcript(&self) -> String {
        let mut transcript = String::new();
        for LogEvent { level, message, fields, .. } in self.events(|event| event.level <= Level::INFO) {
            write!(transcript, "{level} {message}").unwrap();
            for (name, value) in fields {
                write!(transcript, " {name}={value}").unwrap();
            }
            transcript.push('\n');
        }
        transcript
    }
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Write for Text {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<LogEvent>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target().starts_with("tbot::") {
            let level = *event.metadata().level();
            let span = context.event_scope(event).and_then(|scope| Some(scope.from_root().next()?.name()));
            let mut captured = LogEvent { level, message: String::new(), fields: BTreeMap::new(), span };
            event.record(&mut captured);
            self.0.lock().unwrap().push(captured);
        }
    }
}
