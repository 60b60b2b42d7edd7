//! Counters, and their text form for Prometheus. Depends on std only. A label's values come from closed lists: never
//! from a sender.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the time that a store takes for one batch, in seconds.
const BUCKETS: [f64; 8] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0, 5.0];

/// A number that only grows, or a gauge.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

impl Number {
    /// One more.
    pub fn up(&self) {
        self.add(1);
    }

    /// That many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// One less.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// What it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// Why something was turned away before its event was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turned {
    /// Too many connections.
    Connections,
    /// Too much work under way.
    Work,
    /// Too much from one source.
    Rate,
    /// The body did not arrive in time, or the store did not answer in time.
    Time,
}

impl Turned {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Connections, Self::Work, Self::Rate, Self::Time];

    /// Its label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Work => "work",
            Self::Rate => "rate",
            Self::Time => "time",
        }
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    /// Events stored, repeated ones among them.
    pub stored: Number,
    /// Those that were repeated submissions, as far as the store has found out.
    pub repeated: Number,
    /// Events that could not be stored.
    pub unavailable: Number,
    /// Open connections.
    pub connections: Number,
    /// Requests under way.
    pub requests: Number,
    refused: BTreeMap<String, Number>,
    turned: BTreeMap<Turned, Number>,
    store_up: Number,
    keeper_up: Number,
    batches: Number,
    batch_micros: Number,
    buckets: [Number; BUCKETS.len()],
}

impl Metrics {
    /// Counters for these reasons of refusal.
    pub fn new(reasons: Vec<String>) -> Self {
        Self {
            stored: Number::default(),
            repeated: Number::default(),
            unavailable: Number::default(),
            connections: Number::default(),
            requests: Number::default(),
            refused: reasons.into_iter().map(|reason| (reason, Number::default())).collect(),
            turned: Turned::ALL.into_iter().map(|turned| (turned, Number::default())).collect(),
            store_up: Number::default(),
            keeper_up: Number(AtomicU64::new(1)),
            batches: Number::default(),
            batch_micros: Number::default(),
            buckets: Default::default(),
        }
    }

    /// Counts a refusal; a reason that was not given to [`Metrics::new`] is not counted.
    pub fn refuse(&self, reason: &str) {
        if let Some(count) = self.refused.get(reason) {
            count.up();
        }
    }

    /// How often something was refused for a reason.
    pub fn refused(&self, reason: &str) -> u64 {
        self.refused.get(reason).map_or(0, Number::get)
    }

    /// Counts what was turned away.
    pub fn turn(&self, turned: Turned) {
        if let Some(count) = self.turned.get(&turned) {
            count.up();
        }
    }

    /// How often something was turned away.
    pub fn turned(&self, turned: Turned) -> u64 {
        self.turned.get(&turned).map_or(0, Number::get)
    }

    /// Notes that the store took a batch, or failed to.
    pub fn batch(&self, took: Duration, up: bool) {
        self.store_up.set(u64::from(up));
        self.batches.up();
        self.batch_micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let seconds = took.as_secs_f64();
        if let Some(bucket) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            self.buckets[bucket].up();
        }
    }

    /// Notes whether the store answers.
    pub fn store_is_up(&self, up: bool) {
        self.store_up.set(u64::from(up));
    }

    /// Notes whether the store could be kept in order.
    pub fn keeper_is_up(&self, up: bool) {
        self.keeper_up.set(u64::from(up));
    }

    /// The text form.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(4096);
        let mut family = |name: &str, kind: &str, help: &str, rows: &[(String, String)]| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (label, value) in rows {
                let _ = writeln!(text, "{name}{label} {value}");
            }
        };
        let one = |number: &Number| vec![(String::new(), number.get().to_string())];
        let labelled = |label: &str, value: &str, number: &Number| {
            (format!("{{{label}=\"{value}\"}}"), number.get().to_string())
        };
        let events = [
            labelled("result", "stored", &self.stored),
            labelled("result", "unavailable", &self.unavailable),
        ];
        family("prehog_events_total", "counter", "Events that fit, by what became of them.", &events);
        let help = "Stored events that were there before; found out a little later, and not by ClickHouse.";
        family("prehog_repeated_total", "counter", help, &one(&self.repeated));
        let refused: Vec<_> =
            self.refused.iter().map(|(name, count)| labelled("reason", name, count)).collect();
        family("prehog_refused_total", "counter", "Events that did not fit, by the field why.", &refused);
        let turned: Vec<_> =
            self.turned.iter().map(|(turned, count)| labelled("reason", turned.name(), count)).collect();
        family("prehog_turned_away_total", "counter", "What was turned away unread, by the limit.", &turned);
        family("prehog_connections", "gauge", "Open connections.", &one(&self.connections));
        family("prehog_requests", "gauge", "Requests under way.", &one(&self.requests));
        family("prehog_store_up", "gauge", "Whether the store took the last batch.", &one(&self.store_up));
        let help = "Whether what arrived could be counted the last time.";
        family("prehog_keeper_up", "gauge", help, &one(&self.keeper_up));
        let mut sum = 0;
        let name = "prehog_store_batch_seconds";
        let _ = writeln!(text, "# HELP {name} How long the store took for a batch.\n# TYPE {name} histogram");
        for (bound, count) in BUCKETS.iter().zip(&self.buckets) {
            sum += count.get();
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {sum}");
        }
        let batches = self.batches.get();
        let seconds = Duration::from_micros(self.batch_micros.get()).as_secs_f64();
        let _ = writeln!(
            text,
            "{name}_bucket{{le=\"+Inf\"}} {batches}\n{name}_sum {seconds}\n{name}_count {batches}"
        );
        text
    }
}
