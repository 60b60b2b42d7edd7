//! Notifies the service manager, such as systemd, of the state of a continuous run, as sd_notify(3) describes.
//!
//! A notification that cannot be sent never affects the run.

use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::pin::pin;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tbot::agent::{Environment, HealthMonitor, HealthReport, HealthStatus};
use tbot::untrusted::escape;
use tokio::net::UnixDatagram;
use tokio::time::MissedTickBehavior;

/// How long the service manager waits for the first credentials. After that, the start counts as complete while the agent
/// continues to retry, so that an outage of the cluster does not delay the boot of a machine any longer. The unit allows for
/// more time.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The number of services that a status names.
const MAX_NAMES: usize = 3;

/// Returns the time of the clock that `MONOTONIC_USEC` refers to.
pub(crate) fn monotonic_time() -> Duration {
    clock_gettime(ClockId::Monotonic).try_into().unwrap_or_default()
}

/// The service manager that has started this program and waits for its notifications.
pub(crate) struct ServiceManager {
    /// The path of its socket. `@` represents the first byte of an abstract address.
    socket: String,
    /// It ends the program if it receives no `WATCHDOG=1` for this long.
    watchdog: Option<Duration>,
    monotonic_time: fn() -> Duration,
    has_warned: bool,
}

impl ServiceManager {
    /// Returns `None` if no service manager waits for notifications. Logs a warning if a variable cannot be used.
    pub(crate) fn from_environment(
        environment: &Environment,
        process_id: u32,
        monotonic_time: fn() -> Duration,
    ) -> Option<Self> {
        let socket = environment.get_os("NOTIFY_SOCKET")?;
        let Some(socket) = socket.to_str().filter(|socket| socket.starts_with(['/', '@'])) else {
            tracing::warn!(
                "the service manager is not notified: NOTIFY_SOCKET is neither an absolute path nor an abstract \
                 address, which starts with @"
            );
            return None;
        };
        let watchdog = watchdog(environment, process_id);
        Some(Self { socket: socket.to_owned(), watchdog, monotonic_time, has_warned: false })
    }

    /// Sends a notification for each change of the agent's health, and keeps the watchdog from ending an agent that is
    /// alive.
    pub(crate) async fn report(mut self, mut health: HealthMonitor) -> Infallible {
        let mut notifications = Notifications::default();
        // Half of the limit, as sd_watchdog_enabled(3) recommends. Without a watchdog, the ticks only update the status.
        let period = self.watchdog.map_or(Duration::from_secs(60), |limit| limit / 2);
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut start_limit = pin!(tokio::time::sleep(START_LIMIT));
        loop {
            let is_watchdog_due = tokio::select! {
                biased;
                () = health.changed() => false,
                _ = ticks.tick() => self.watchdog.is_some(),
                () = &mut start_limit, if !notifications.is_start_overdue => {
                    notifications.is_start_overdue = true;
                    false
                }
            };
            let lines = notifications.next(&health.report(), is_watchdog_due, self.monotonic_time);
            if !lines.is_empty() {
                self.send(&lines.join("\n")).await;
            }
        }
    }

    async fn send(&mut self, message: &str) {
        // A new socket each time, because the service manager may replace its own.
        let sent = async { connect(&self.socket)?.send(message.as_bytes()).await };
        if let Err(error) = sent.await
            && !self.has_warned
        {
            self.has_warned = true;
            tracing::warn!(
                "cannot notify the service manager at NOTIFY_SOCKET {}: {error}",
                escape(&self.socket)
            );
        }
    }
}

/// Returns the limit of the watchdog, if this process is to be watched.
fn watchdog(environment: &Environment, process_id: u32) -> Option<Duration> {
    let limit = environment.get_os("WATCHDOG_USEC")?;
    let process = environment.get_os("WATCHDOG_PID");
    if process.is_some_and(|process| *process != *process_id.to_string()) {
        return None;
    }
    let limit = limit.to_str().and_then(|limit| limit.parse().ok()).filter(|limit| *limit >= 2);
    if limit.is_none() {
        tracing::warn!("the watchdog is not notified: WATCHDOG_USEC is not a number of microseconds");
    }
    limit.map(Duration::from_micros)
}

/// Connects to a socket, without blocking.
fn connect(address: &str) -> io::Result<UnixDatagram> {
    let socket = StdUnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match address.strip_prefix('@') {
        Some(name) => connect_abstract(&socket, name)?,
        None => socket.connect(address)?,
    }
    UnixDatagram::from_std(socket)
}

#[cfg(target_os = "linux")]
fn connect_abstract(socket: &StdUnixDatagram, name: &str) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::SocketAddr;

    socket.connect_addr(&SocketAddr::from_abstract_name(name)?)
}

#[cfg(not(target_os = "linux"))]
fn connect_abstract(_: &StdUnixDatagram, _: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// What the service manager knows.
#[derive(Default)]
struct Notifications {
    is_start_overdue: bool,
    is_ready: bool,
    is_reloading: bool,
    is_stopping: bool,
    status: String,
}

impl Notifications {
    /// Returns the assignments that tell the service manager what has changed, and, if the watchdog is due, that the agent is
    /// alive.
    fn next(
        &mut self,
        health: &HealthReport,
        is_watchdog_due: bool,
        monotonic_time: fn() -> Duration,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        if is_watchdog_due && health.is_alive {
            lines.push("WATCHDOG=1".to_owned());
        }
        if health.is_stopping {
            if !self.is_stopping {
                self.is_stopping = true;
                lines.push("STOPPING=1".to_owned());
            }
        } else if !self.is_ready {
            if health.is_ready() || self.is_start_overdue {
                self.is_ready = true;
                lines.push("READY=1".to_owned());
            }
        } else if health.is_reloading != self.is_reloading {
            self.is_reloading = health.is_reloading;
            if health.is_reloading {
                lines.push("RELOADING=1".to_owned());
                lines.push(format!("MONOTONIC_USEC={}", monotonic_time().as_micros()));
            } else {
                lines.push("READY=1".to_owned());
            }
        }
        let status = status(health);
        if status != self.status {
            lines.push(format!("STATUS={status}"));
            self.status = status;
        }
        lines
    }
}

/// Returns the health in one line. It contains names of services, and no other names.
fn status(health: &HealthReport) -> String {
    if health.is_stopping {
        return "stopping".to_owned();
    }
    let total = health.services.len();
    let worst = health.services.iter().map(|(_, status)| *status).max().unwrap_or(HealthStatus::Healthy);
    if worst == HealthStatus::Healthy {
        return format!("{total} of {total} healthy");
    }
    let names: Vec<_> =
        health.services.iter().filter(|(_, status)| *status == worst).map(|(name, _)| escape(name)).collect();
    let listed = names.iter().take(MAX_NAMES).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let rest = if names.len() > MAX_NAMES { ", ..." } else { "" };
    format!("{} of {total} {}: {listed}{rest}", names.len(), worst.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTHY: HealthStatus = HealthStatus::Healthy;

    fn health(services: &[(&str, HealthStatus)]) -> HealthReport {
        HealthReport {
            services: services.iter().map(|(name, status)| ((*name).to_owned(), *status)).collect(),
            is_alive: true,
            is_reloading: false,
            is_stopping: false,
        }
    }

    #[test]
    fn each_change_is_notified_once() {
        let mut notifications = Notifications::default();
        let mut next = |health: &HealthReport| {
            notifications.next(health, false, || Duration::from_millis(1500)).join(" ")
        };
        let initializing = health(&[("identity", HEALTHY), ("out", HealthStatus::Initializing)]);
        let ready = health(&[("identity", HEALTHY), ("out", HEALTHY)]);
        let failing = health(&[("identity", HEALTHY), ("out", HealthStatus::Failing)]);
        let reloading = HealthReport { is_reloading: true, ..ready.clone() };
        let stopping = HealthReport { is_stopping: true, ..reloading.clone() };
        let steps = [
            &initializing,
            // A reload before the start is complete is part of the start.
            &HealthReport { is_reloading: true, ..initializing.clone() },
            &ready,
            &ready,
            &failing,
            &reloading,
            &reloading,
            &failing,
            &stopping,
            &stopping,
        ];
        let notified = steps.map(&mut next);
        insta::assert_snapshot!(notified.join("\n"), @r"
        STATUS=1 of 2 initializing: out

        READY=1 STATUS=2 of 2 healthy

        STATUS=1 of 2 failing: out
        RELOADING=1 MONOTONIC_USEC=1500000 STATUS=2 of 2 healthy

        READY=1 STATUS=1 of 2 failing: out
        STOPPING=1 STATUS=stopping
        ");
    }

    #[test]
    fn a_start_that_takes_too_long_counts_as_complete() {
        let mut notifications = Notifications::default();
        let unhealthy = health(&[("identity", HealthStatus::Unhealthy)]);
        let mut next = |is_start_overdue, health: &HealthReport| {
            notifications.is_start_overdue = is_start_overdue;
            notifications.next(health, false, Duration::default).contains(&"READY=1".to_owned())
        };
        assert!(!next(false, &unhealthy));
        assert!(next(true, &unhealthy));
        assert!(!next(true, &unhealthy) && !next(true, &health(&[("identity", HEALTHY)])));
    }

    #[test]
    fn the_watchdog_is_notified_only_while_the_agent_is_alive() {
        let is_notified = |is_alive, is_due| {
            let report = HealthReport { is_alive, ..health(&[("identity", HEALTHY)]) };
            let lines = Notifications::default().next(&report, is_due, Duration::default);
            lines.contains(&"WATCHDOG=1".to_owned())
        };
        assert!(is_notified(true, true));
        assert!(!is_notified(false, true) && !is_notified(true, false));
    }

    #[test]
    fn a_status_is_one_line_and_names_the_worst_services() {
        let unhealthy = HealthStatus::Unhealthy;
        let names = [
            ("a\nREADY=1", unhealthy),
            ("b", unhealthy),
            ("c", HealthStatus::Failing),
            ("d", unhealthy),
            ("e", unhealthy),
        ];
        insta::assert_snapshot!(status(&health(&names)), @r"4 of 5 unhealthy: a\nREADY=1, b, d, ...");
    }

    #[test]
    fn only_the_process_of_the_watchdog_is_watched() {
        let watchdog = |variables: &[(&str, &str)]| watchdog(&variables.iter().copied().collect(), 7);
        let limit = ("WATCHDOG_USEC", "30000000");
        assert_eq!(watchdog(&[limit]), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(&[limit, ("WATCHDOG_PID", "7")]), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(&[limit, ("WATCHDOG_PID", "8")]), None);
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "soon")]), None);
        assert_eq!(watchdog(&[]), None);
    }
}
