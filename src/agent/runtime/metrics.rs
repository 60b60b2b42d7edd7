//! The agent's health as Prometheus text, format version 0.0.4. Pure. Labels hold the names of services and nothing else
//! that tells one agent from another.

use std::fmt::Write as _;
use std::time::SystemTime;

use crate::agent::runtime::health::{Facts, Health};

/// One metric of every service: name, type, help, and its value where it has one.
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&Facts, SystemTime) -> Option<u64>,
}

const METRICS: [Metric; 5] = [
    Metric {
        name: "tbot_renewals_total",
        kind: "counter",
        help: "Credentials that were issued and saved.",
        value: |facts, _| Some(facts.renewals),
    },
    Metric {
        name: "tbot_renewal_failures_total",
        kind: "counter",
        help: "Attempts that ended without new credentials.",
        value: |facts, _| Some(facts.failures),
    },
    Metric {
        name: "tbot_renewed_timestamp_seconds",
        kind: "gauge",
        help: "When the newest credentials were issued, in seconds since the epoch.",
        value: |facts, _| facts.renewed_at.map(seconds),
    },
    Metric {
        name: "tbot_expires_timestamp_seconds",
        kind: "gauge",
        help: "When the newest credentials end, in seconds since the epoch.",
        value: |facts, _| facts.expires.map(seconds),
    },
    Metric {
        name: "tbot_ready",
        kind: "gauge",
        help: "Whether the newest credentials can be used: 1 or 0.",
        value: |facts, now| Some(u64::from(facts.status(now).is_ready())),
    },
];

/// The page.
pub(crate) fn render(health: &Health, now: SystemTime) -> String {
    let mut page = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "{text}");
    };
    line(format_args!("# HELP tbot_build_info The version of tbot.\n# TYPE tbot_build_info gauge"));
    line(format_args!("tbot_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")));
    for Metric { name, kind, help, value } in METRICS {
        line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
        for (service, facts) in health.services() {
            if let Some(value) = value(&facts, now) {
                line(format_args!("{name}{{service=\"{}\"}} {value}", escaped(service)));
            }
        }
    }
    page
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A label's value. Names of services need none of this, but who embeds the library may not check them.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_metric_has_a_help_a_type_and_a_line_for_each_service_that_has_it() {
        let health = Health::new(["a\"b"].into_iter());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        health.reporter(0).renewed(now, now + Duration::from_secs(60));
        health.reporter(1).failed();
        let page = render(&health, now);
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
            ]
        );
    }
}
