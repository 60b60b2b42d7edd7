//! Renders the agent's health in the Prometheus text format, version 0.0.4.
//!
//! Labels contain the names of services, but nothing else that identifies an agent.

use std::fmt::Write as _;
use std::time::SystemTime;

use super::health::{Health, ServiceState};

/// A metric that has one value per service.
struct Metric {
    name: &'static str,
    metric_type: &'static str,
    help: &'static str,
    value: fn(&ServiceState, SystemTime) -> Option<u64>,
}

const METRICS: [Metric; 8] = [
    Metric {
        name: "tbot_renewals_total",
        metric_type: "counter",
        help: "Renewals that succeeded.",
        value: |state, _| Some(state.renewals),
    },
    Metric {
        name: "tbot_renewal_failures_total",
        metric_type: "counter",
        help: "Renewals that failed.",
        value: |state, _| Some(state.failures),
    },
    Metric {
        name: "tbot_renewed_timestamp_seconds",
        metric_type: "gauge",
        help: "When the current credentials were issued, in seconds since the epoch.",
        value: |state, _| state.renewed_at.map(seconds),
    },
    Metric {
        name: "tbot_expires_timestamp_seconds",
        metric_type: "gauge",
        help: "When the current credentials expire, in seconds since the epoch.",
        value: |state, _| state.expires.map(seconds),
    },
    Metric {
        name: "tbot_ready",
        metric_type: "gauge",
        help: "Whether the current credentials can be used: 1 or 0.",
        value: |state, now| Some(u64::from(state.status(now).is_ready())),
    },
    Metric {
        name: "tbot_connections_total",
        metric_type: "counter",
        help: "Connections of clients of a tunnel or an application proxy.",
        value: |state, _| state.connections.map(|connections| connections.accepted),
    },
    Metric {
        name: "tbot_connection_failures_total",
        metric_type: "counter",
        help: "Connections that were closed, or requests that were refused, because the resource could not be reached.",
        value: |state, _| state.connections.map(|connections| connections.failed),
    },
    Metric {
        name: "tbot_open_connections",
        metric_type: "gauge",
        help: "Connections that are open now.",
        value: |state, _| state.connections.map(|connections| connections.open),
    },
];

/// Returns the response to `/metrics`.
pub(crate) fn render(health: &Health) -> String {
    let (now, mut page) = (health.now(), String::new());
    let mut line = |content: std::fmt::Arguments<'_>| {
        // Writing to a `String` cannot fail.
        let _ = writeln!(page, "{content}");
    };
    line(format_args!("# HELP tbot_build_info The version of tbot.\n# TYPE tbot_build_info gauge"));
    line(format_args!("tbot_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")));
    for Metric { name, metric_type, help, value } in METRICS {
        line(format_args!("# HELP {name} {help}\n# TYPE {name} {metric_type}"));
        for (service, state) in health.services() {
            if let Some(value) = value(&state, now) {
                line(format_args!("{name}{{service=\"{}\"}} {value}", escape(service)));
            }
        }
    }
    page
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Escapes the value of a label. The checks refuse service names that need this, but an embedder may skip the checks.
fn escape(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::agent::platform::Clock;

    #[test]
    fn every_metric_has_a_type_and_one_line_per_service_with_a_value() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let health = Health::new(["a\"b"].into_iter(), Duration::ZERO, Clock::from_fn(move || now));
        let (identity, mut services) = health.reporters();
        let service = services.next().unwrap();
        identity.renewed(now + Duration::from_secs(60));
        service.failed("a reason");
        service.set_on_demand();
        service.count(|connections| connections.accepted += 2);
        let page = render(&health);
        let page: Vec<&str> = page.lines().filter(|line| !line.starts_with("# HELP")).collect();
        assert_eq!(
            page,
            [
                "# TYPE tbot_build_info gauge",
                concat!("tbot_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
                "# TYPE tbot_renewals_total counter",
                "tbot_renewals_total{service=\"identity\"} 1",
                "tbot_renewals_total{service=\"a\\\"b\"} 0",
                "# TYPE tbot_renewal_failures_total counter",
                "tbot_renewal_failures_total{service=\"identity\"} 0",
                "tbot_renewal_failures_total{service=\"a\\\"b\"} 1",
                "# TYPE tbot_renewed_timestamp_seconds gauge",
                "tbot_renewed_timestamp_seconds{service=\"identity\"} 100",
                "# TYPE tbot_expires_timestamp_seconds gauge",
                "tbot_expires_timestamp_seconds{service=\"identity\"} 160",
                "# TYPE tbot_ready gauge",
                "tbot_ready{service=\"identity\"} 1",
                "tbot_ready{service=\"a\\\"b\"} 0",
                "# TYPE tbot_connections_total counter",
                "tbot_connections_total{service=\"a\\\"b\"} 2",
                "# TYPE tbot_connection_failures_total counter",
                "tbot_connection_failures_total{service=\"a\\\"b\"} 0",
                "# TYPE tbot_open_connections gauge",
                "tbot_open_connections{service=\"a\\\"b\"} 0",
            ]
        );
    }
}
