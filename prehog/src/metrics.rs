//! Counters and gauges, and their Prometheus text format. Depends on std only. The values of labels come from closed lists,
//! never from a sender.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the histogram of the time that the store takes for one batch, in seconds.
const BUCKETS: [f64; 8] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0, 5.0];

/// One counter or gauge.
#[derive(Debug, Default)]
pub struct Metric(AtomicU64);

impl Metric {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds a number.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Subtracts one.
    pub fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the current value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// A limit that rejects a connection or a request before its event is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// The number of open connections.
    Connections,
    /// The number of concurrent requests.
    Requests,
    /// The number of requests per minute of one client.
    Rate,
    /// The time that a request may take to arrive and to be stored.
    Timeout,
}

impl Limit {
    /// All limits.
    pub const ALL: [Self; 4] = [Self::Connections, Self::Requests, Self::Rate, Self::Timeout];

    /// Returns the value of the label `reason`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Requests => "work",
            Self::Rate => "rate",
            Self::Timeout => "time",
        }
    }
}

/// All metrics of a receiver.
#[derive(Debug)]
pub struct Metrics {
    /// Stored events, including repeated ones.
    pub stored: Metric,
    /// Stored events that the store has found to be repeated submissions.
    pub repeated: Metric,
    /// Events that could not be stored.
    pub unavailable: Metric,
    /// Values that were stored as `other`, because their property has too many different ones in this week.
    pub excess_values: Metric,
    /// Open connections.
    pub connections: Metric,
    /// Requests in progress.
    pub requests: Metric,
    invalid: BTreeMap<String, Metric>,
    rejected: BTreeMap<Limit, Metric>,
    store_up: Metric,
    store_bytes: Metric,
    maintenance_up: Metric,
    batches: Metric,
    batch_micros: Metric,
    buckets: [Metric; BUCKETS.len()],
}

impl Metrics {
    /// Creates the metrics, with one counter of invalid events per reason.
    pub fn new(reasons: Vec<String>) -> Self {
        Self {
            stored: Metric::default(),
            repeated: Metric::default(),
            unavailable: Metric::default(),
            excess_values: Metric::default(),
            connections: Metric::default(),
            requests: Metric::default(),
            invalid: reasons.into_iter().map(|reason| (reason, Metric::default())).collect(),
            rejected: Limit::ALL.into_iter().map(|limit| (limit, Metric::default())).collect(),
            store_up: Metric::default(),
            store_bytes: Metric::default(),
            maintenance_up: Metric(AtomicU64::new(1)),
            batches: Metric::default(),
            batch_micros: Metric::default(),
            buckets: Default::default(),
        }
    }

    /// Counts an invalid event. Does nothing if the reason was not passed to [`Metrics::new`].
    pub fn count_invalid(&self, reason: &str) {
        if let Some(counter) = self.invalid.get(reason) {
            counter.increment();
        }
    }

    /// Counts a connection or a request that a limit rejected.
    pub fn count_rejected(&self, limit: Limit) {
        if let Some(counter) = self.rejected.get(&limit) {
            counter.increment();
        }
    }

    /// Records that the store took a batch or failed to, and how long that took.
    pub fn record_batch(&self, elapsed: Duration, is_up: bool) {
        self.store_up.set(u64::from(is_up));
        self.batches.increment();
        self.batch_micros.add(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
        let seconds = elapsed.as_secs_f64();
        if let Some(bucket) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            self.buckets[bucket].increment();
        }
    }

    /// Sets whether the store is available.
    pub fn set_store_up(&self, is_up: bool) {
        self.store_up.set(u64::from(is_up));
    }

    /// Sets how much disk space the store uses.
    pub fn set_store_bytes(&self, bytes: u64) {
        self.store_bytes.set(bytes);
    }

    /// Sets whether maintenance of the store succeeds.
    pub fn set_maintenance_up(&self, is_up: bool) {
        self.maintenance_up.set(u64::from(is_up));
    }

    /// Renders the metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(4096);
        let mut family = |name: &str, r#type: &str, help: &str, samples: &[(String, String)]| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {type}");
            for (labels, value) in samples {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        let unlabelled = |metric: &Metric| vec![(String::new(), metric.get().to_string())];
        let labelled = |label: &str, value: &str, metric: &Metric| {
            (format!("{{{label}=\"{value}\"}}"), metric.get().to_string())
        };
        let events = [
            labelled("result", "stored", &self.stored),
            labelled("result", "unavailable", &self.unavailable),
        ];
        family("prehog_events_total", "counter", "Valid events, by result.", &events);
        let help = "Stored events that were repetitions. Counted with a delay; always 0 with ClickHouse.";
        family("prehog_repeated_total", "counter", help, &unlabelled(&self.repeated));
        let help = "Values stored as other, because their property has too many different ones in this week.";
        family("prehog_excess_values_total", "counter", help, &unlabelled(&self.excess_values));
        let invalid: Vec<_> =
            self.invalid.iter().map(|(reason, counter)| labelled("reason", reason, counter)).collect();
        family("prehog_refused_total", "counter", "Invalid events, by the field that is invalid.", &invalid);
        let rejected: Vec<_> =
            self.rejected.iter().map(|(limit, counter)| labelled("reason", limit.label(), counter)).collect();
        let help = "Connections and requests that were rejected unread, by the limit.";
        family("prehog_turned_away_total", "counter", help, &rejected);
        family("prehog_connections", "gauge", "Open connections.", &unlabelled(&self.connections));
        family("prehog_requests", "gauge", "Requests in progress.", &unlabelled(&self.requests));
        let help = "Whether the store took the last batch.";
        family("prehog_store_up", "gauge", help, &unlabelled(&self.store_up));
        let help = "The disk space that the store uses, in bytes.";
        family("prehog_store_bytes", "gauge", help, &unlabelled(&self.store_bytes));
        let help = "Whether the stored events could be counted the last time.";
        family("prehog_keeper_up", "gauge", help, &unlabelled(&self.maintenance_up));
        let mut sum = 0;
        let name = "prehog_store_batch_seconds";
        let help = "The time that the store took for a batch.";
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
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
