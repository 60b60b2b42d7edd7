//! Counters and gauges, and their Prometheus text format. Depends on prometheus-client. The values of labels come from closed
//! lists, never from a sender.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The media type of the text format.
pub const MEDIA_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// The upper bounds of the histogram of the time that the store takes for one batch, in seconds.
const BUCKETS: [f64; 8] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0, 5.0];

type Gauge = gauge::Gauge<u64, AtomicU64>;

/// One counter for each value of a label.
type LabelledCounter = Family<[(&'static str, String); 1], Counter>;

/// A limit that rejects a connection or a request before its event is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The number of open connections.
    Connections,
    /// The number of concurrent requests.
    Requests,
    /// The number of requests per minute of one client.
    Rate,
    /// The size of the body, before and after decompression.
    Size,
    /// The time that a request may take to arrive and to be stored.
    Timeout,
}

impl Limit {
    /// All limits.
    pub const ALL: [Self; 5] = [Self::Connections, Self::Requests, Self::Rate, Self::Size, Self::Timeout];

    /// Returns the label of its counter.
    fn label(self) -> [(&'static str, String); 1] {
        let reason = match self {
            Self::Connections => "connections",
            Self::Requests => "requests",
            Self::Rate => "rate",
            Self::Size => "size",
            Self::Timeout => "timeout",
        };
        [("reason", reason.to_owned())]
    }
}

/// All metrics of a receiver.
#[derive(Debug)]
pub struct Metrics {
    /// Stored events, including repeated ones.
    pub(crate) stored: Counter,
    /// Stored events that the maintenance of the store has found to be repeated submissions.
    pub(crate) repeated: Counter,
    /// Events that could not be stored.
    pub(crate) unavailable: Counter,
    /// Values that were treated as not listed, because their property has too many different ones in this week.
    pub(crate) excess_values: Counter,
    /// Open connections.
    pub(crate) connections: Gauge,
    /// Requests in progress.
    pub(crate) requests: Gauge,
    invalid: LabelledCounter,
    rejected: LabelledCounter,
    store_up: Gauge,
    store_bytes: Gauge,
    maintenance_up: Gauge,
    batch_seconds: Histogram,
    registry: Registry,
}

impl Metrics {
    /// Creates the metrics, with one counter of invalid events per reason. If the maximum size of the store is 0, which means that there is
    /// no limit, it is not among them.
    pub fn new(reasons: Vec<String>, max_store_bytes: u64) -> Self {
        let events = LabelledCounter::default();
        let result = |name: &str| events.get_or_create_owned(&[("result", name.to_owned())]);
        let mut metrics = Self {
            stored: result("stored"),
            repeated: Counter::default(),
            unavailable: result("unavailable"),
            excess_values: Counter::default(),
            connections: Gauge::default(),
            requests: Gauge::default(),
            invalid: LabelledCounter::default(),
            rejected: LabelledCounter::default(),
            store_up: Gauge::default(),
            store_bytes: Gauge::default(),
            maintenance_up: Gauge::default(),
            batch_seconds: Histogram::new(BUCKETS),
            registry: Registry::with_prefix("prehog"),
        };
        metrics.maintenance_up.set(1);
        // Every counter exists from the beginning, so that an increase from 0 to 1 is visible.
        for reason in reasons {
            drop(metrics.invalid.get_or_create(&[("reason", reason)]));
        }
        for limit in Limit::ALL {
            drop(metrics.rejected.get_or_create(&limit.label()));
        }
        metrics.register(events, max_store_bytes);
        metrics
    }

    /// Names and describes the metrics. The crate appends `_total` to the name of a counter, and a full stop to each help.
    fn register(&mut self, events: LabelledCounter, max_store_bytes: u64) {
        let registry = &mut self.registry;
        registry.register("events", "Valid events, by result", events);
        let help = "Stored events that maintenance found to be repetitions. Counted with a delay; always 0 with ClickHouse";
        registry.register("repeated", help, self.repeated.clone());
        let help =
            "Values treated as not listed, because their property has too many different ones in this week";
        registry.register("excess_values", help, self.excess_values.clone());
        registry.register("invalid", "Invalid events, by the field that is invalid", self.invalid.clone());
        let help = "Connections and requests that were rejected, by the limit";
        registry.register("rejected", help, self.rejected.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        registry.register("requests", "Requests in progress", self.requests.clone());
        registry.register(
            "store_up",
            "Whether the store accepted the last batch or probe",
            self.store_up.clone(),
        );
        let help = "The disk space that the store uses, in bytes";
        registry.register("store_bytes", help, self.store_bytes.clone());
        if max_store_bytes > 0 {
            let max = Gauge::default();
            max.set(max_store_bytes);
            registry.register("store_max_bytes", "The size at which the store rejects events, in bytes", max);
        }
        let help = "Whether the last attempts to count stored events and to remove expired data succeeded";
        registry.register("maintenance_up", help, self.maintenance_up.clone());
        let help = "The time that the store took for a batch";
        registry.register("store_batch_seconds", help, self.batch_seconds.clone());
    }

    /// Counts an invalid event. Does nothing if the reason was not passed to [`Metrics::new`].
    pub fn count_invalid(&self, reason: &str) {
        if let Some(counter) = self.invalid.get(&[("reason", reason.to_owned())]) {
            counter.inc();
        }
    }

    /// Counts a connection or a request that a limit rejected.
    pub fn count_rejected(&self, limit: Limit) {
        self.rejected.get_or_create(&limit.label()).inc();
    }

    /// Records that the store took a batch or failed to, and how long that took.
    pub fn record_batch(&self, elapsed: Duration, is_up: bool) {
        self.set_store_up(is_up);
        self.batch_seconds.observe(elapsed.as_secs_f64());
    }

    /// Sets whether the store is available.
    pub fn set_store_up(&self, is_up: bool) {
        self.store_up.set(u64::from(is_up));
    }

    /// Sets how much disk space the store uses.
    pub fn set_store_bytes(&self, bytes: u64) {
        self.store_bytes.set(bytes);
    }

    /// Sets whether each operation of maintenance succeeded when it was last attempted.
    pub fn set_maintenance_up(&self, is_up: bool) {
        self.maintenance_up.set(u64::from(is_up));
    }

    /// Renders the metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = prometheus_text::encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dashboards and alerts refer to these names. Each sample is present before it counts anything.
    #[test]
    fn names_types_and_labels_do_not_change() {
        let metrics = Metrics::new(vec!["version".to_owned()], 5 << 20);
        metrics.record_batch(Duration::from_millis(2), true);
        // No label is created for a reason that is not in the list.
        metrics.count_invalid("nonsense");
        let text = metrics.render();
        let types: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE prehog_")).collect();
        let expected = [
            "events_total counter",
            "repeated_total counter",
            "excess_values_total counter",
            "invalid_total counter",
            "rejected_total counter",
            "connections gauge",
            "requests gauge",
            "store_up gauge",
            "store_bytes gauge",
            "store_max_bytes gauge",
            "maintenance_up gauge",
            "store_batch_seconds histogram",
        ];
        assert_eq!(types, expected);
        for sample in [
            "events_total{result=\"stored\"} 0",
            "events_total{result=\"unavailable\"} 0",
            "invalid_total{reason=\"version\"} 0",
            "rejected_total{reason=\"connections\"} 0",
            "rejected_total{reason=\"requests\"} 0",
            "rejected_total{reason=\"rate\"} 0",
            "rejected_total{reason=\"size\"} 0",
            "rejected_total{reason=\"timeout\"} 0",
            "store_up 1",
            "store_max_bytes 5242880",
            "maintenance_up 1",
            "store_batch_seconds_bucket{le=\"0.001\"} 0",
            "store_batch_seconds_bucket{le=\"0.0025\"} 1",
            "store_batch_seconds_bucket{le=\"+Inf\"} 1",
            "store_batch_seconds_sum 0.002",
            "store_batch_seconds_count 1",
        ] {
            assert!(
                text.lines().any(|line| line.strip_prefix("prehog_") == Some(sample)),
                "{sample}\n{text}"
            );
        }
        assert!(!text.contains("nonsense"), "{text}");
        assert!(!Metrics::new(Vec::new(), 0).render().contains("store_max_bytes"));
        assert_eq!(MEDIA_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    }
}
