//! The health of each service of a running agent: its renewals, when its credentials expire, why it fails, and whether
//! an attempt is stuck.
//!
//! The loops write it, the health server reads it. It knows nothing about a service except its name.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use crate::agent::bot::IDENTITY;
use crate::agent::platform::Clock;
use crate::agent::platform::lock::lock;

/// An attempt that takes longer than this is stuck, unless `onboarding.generic_oidc.timeout` is more than half of it: all other calls,
/// lists and waits, also for the file system of an output, have a timeout of at most half of it.
const STUCK_AFTER: Duration = Duration::from_secs(10 * 60);

/// How long a client that could not be served counts: longer than the time between two heartbeats, and not until the next client if
/// that comes days later.
const UNREACHABLE_FOR: Duration = Duration::from_secs(60 * 60);

/// The state of one service.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceState {
    pub(crate) renewals: u64,
    pub(crate) failures: u64,
    /// Why the last attempt failed; `None` if it succeeded.
    failure: Option<String>,
    /// Why the last client could not be served, although there are credentials, and when; `None` if it could.
    unreachable: Option<(String, Instant)>,
    /// When the last attempt ended, or the last client could not be served, or could again; `None` before the first attempt has ended.
    pub(crate) updated_at: Option<SystemTime>,
    /// When the newest credentials expire.
    pub(crate) expires: Option<SystemTime>,
    pub(crate) renewed_at: Option<SystemTime>,
    /// Whether new credentials are obtained when they are needed, so that the newest ones may expire in the meantime.
    pub(crate) is_on_demand: bool,
    /// The connections of a service that has clients.
    pub(crate) connections: Option<ConnectionCounts>,
    /// When the running attempt started.
    busy_since: Option<Instant>,
    /// When the last attempt that has ended was started.
    attempted_at: Option<Instant>,
}

/// The numbers of connections to a service.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectionCounts {
    pub(crate) accepted: u64,
    /// Those that were closed, or requests that were refused, because the resource could not be reached.
    pub(crate) failed: u64,
    pub(crate) open: u64,
}

/// Whether the credentials of a service can be used. A worse status is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthStatus {
    /// The credentials are valid, and the last renewal succeeded.
    Healthy,
    /// The credentials are valid, but the last renewal failed, or the last client of the past hour could not be served.
    Failing,
    /// There are no credentials yet.
    Initializing,
    /// The credentials have expired, or could not be obtained.
    Unhealthy,
}

impl HealthStatus {
    /// Returns the status in lower case, as the health server reports it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Healthy => "healthy",
            Self::Failing => "failing",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// Returns true if the credentials can be used.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Healthy | Self::Failing)
    }
}

impl ServiceState {
    /// Records the end of the running attempt.
    fn end_attempt(&mut self, now: SystemTime) {
        self.attempted_at = Some(self.busy_since.take().unwrap_or_else(Instant::now));
        self.updated_at = Some(now);
    }

    /// Returns why the service fails, or `None` if it works.
    pub(crate) fn reason(&self) -> Option<&str> {
        let unreachable = self.unreachable.as_ref().filter(|(_, at)| at.elapsed() < UNREACHABLE_FOR);
        self.failure.as_deref().or(unreachable.map(|(reason, _)| reason.as_str()))
    }

    pub(crate) fn status(&self, now: SystemTime) -> HealthStatus {
        match self.expires {
            None if self.failure.is_some() => HealthStatus::Unhealthy,
            None => HealthStatus::Initializing,
            Some(expires) if expires <= now && (!self.is_on_demand || self.failure.is_some()) => {
                HealthStatus::Unhealthy
            }
            Some(_) if self.reason().is_some() => HealthStatus::Failing,
            Some(_) => HealthStatus::Healthy,
        }
    }
}

/// The names and states of all services, with the bot's own identity first.
#[derive(Debug)]
pub(crate) struct Health {
    services: Vec<(String, Mutex<ServiceState>)>,
    clock: Clock,
    /// After which time an attempt is stuck.
    stuck_after: Duration,
    /// Notifies tasks that wait for the end of an attempt.
    updates: watch::Sender<()>,
}

impl Health {
    /// Creates the initial state of the services with these names. `longest_timeout` is the longest timeout in the configuration of what
    /// an attempt may wait for.
    pub(crate) fn new<'a>(
        services: impl Iterator<Item = &'a str>,
        longest_timeout: Duration,
        clock: Clock,
    ) -> Arc<Self> {
        let names = std::iter::once(IDENTITY).chain(services);
        let services = names.map(|name| (name.to_owned(), Mutex::default())).collect();
        let stuck_after = STUCK_AFTER.max(longest_timeout.saturating_mul(2));
        Arc::new(Self { services, clock, stuck_after, updates: watch::Sender::new(()) })
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = (&str, ServiceState)> {
        self.services.iter().map(|(name, state)| (name.as_str(), lock(state).clone()))
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Waits until the first attempt of every selected service has ended.
    pub(crate) async fn first_attempts(&self, selects: impl Fn(&str) -> bool) {
        let mut updates = self.updates.subscribe();
        while self.services().any(|(name, state)| selects(name) && state.updated_at.is_none()) {
            // The sender is a field of `self`, so it is never dropped while this waits.
            let _ = updates.changed().await;
        }
    }

    /// Forgets what was reported, for another run of the agent.
    pub(crate) fn reset(&self) {
        self.services.iter().for_each(|(_, state)| *lock(state) = ServiceState::default());
    }

    /// Returns a receiver that is notified when the state of a service changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.updates.subscribe()
    }

    /// Returns true if every service has ended an attempt that it started at `since` or later.
    pub(crate) fn has_attempted_since(&self, since: Instant) -> bool {
        self.services().all(|(_, state)| state.attempted_at.is_some_and(|started| started >= since))
    }

    /// Returns false if an attempt is stuck.
    pub(crate) fn is_alive(&self) -> bool {
        let is_stuck = |since: Instant| since.elapsed() > self.stuck_after;
        !self.services().any(|(_, state)| state.busy_since.is_some_and(is_stuck))
    }

    /// Returns the reporter of the identity, and those of the services in the order in which [`Health::new`] was given their names.
    pub(crate) fn reporters(self: &Arc<Self>) -> (Reporter, impl Iterator<Item = Reporter>) {
        let reporter = |index| Reporter { health: Arc::clone(self), index };
        (reporter(0), (1..self.services.len()).map(reporter))
    }
}

/// Updates the state of one service.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    health: Arc<Health>,
    index: usize,
}

impl Reporter {
    pub(crate) fn started(&self) {
        self.update(|state| state.busy_since = Some(Instant::now()));
    }

    pub(crate) fn renewed(&self, expires: SystemTime) {
        let now = self.health.now();
        self.update(|state| {
            state.renewals += 1;
            state.failure = None;
            state.unreachable = None;
            state.expires = Some(expires);
            state.renewed_at = Some(now);
            state.end_attempt(now);
        });
    }

    /// Reports credentials that were issued before, and that the service still uses.
    pub(crate) fn kept(&self, expires: SystemTime) {
        self.update(|state| state.expires = Some(expires));
    }

    /// Reports an attempt that failed. The reason is shown to everyone who can reach the health server.
    pub(crate) fn failed(&self, reason: &str) {
        let (now, reason) = (self.health.now(), reason.to_owned());
        self.update(|state| {
            state.failures += 1;
            state.failure = Some(reason);
            state.end_attempt(now);
        });
    }

    /// Reports whether the last client could be served, or why not.
    pub(crate) fn set_unreachable(&self, reason: Option<String>) {
        let now = self.health.now();
        let mut is_change = false;
        self.change(|state| {
            let before = state.reason().map(str::to_owned);
            if reason.is_some() || state.unreachable.is_some() {
                state.updated_at = Some(now);
            }
            state.unreachable = reason.map(|reason| (reason, Instant::now()));
            is_change = state.reason() != before.as_deref();
        });
        if is_change {
            self.health.updates.send_replace(());
        }
    }

    /// Says that the service obtains credentials on demand.
    pub(crate) fn set_on_demand(&self) {
        self.change(|state| state.is_on_demand = true);
    }

    /// Says that the service has clients, whose connections are counted.
    pub(crate) fn set_has_clients(&self) {
        self.count(|_| {});
    }

    /// Changes the numbers of connections.
    pub(crate) fn count(&self, change: impl FnOnce(&mut ConnectionCounts)) {
        self.change(|state| change(state.connections.get_or_insert_default()));
    }

    fn change(&self, change: impl FnOnce(&mut ServiceState)) {
        let (_, state) = &self.health.services[self.index];
        change(&mut lock(state));
    }

    fn update(&self, change: impl FnOnce(&mut ServiceState)) {
        self.change(change);
        self.health.updates.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;
    const HOUR: Duration = Duration::from_secs(3600);

    fn health(outputs: &[&str]) -> Arc<Health> {
        Health::new(outputs.iter().copied(), Duration::ZERO, Clock::from_fn(|| START))
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_is_ready_while_its_credentials_can_be_used() {
        let health = health(&["out"]);
        let out = health.reporters().1.next().unwrap();
        let state = || health.services().nth(1).unwrap().1;
        assert_eq!((state().status(START), state().updated_at), (HealthStatus::Initializing, None));
        out.failed("a reason");
        assert_eq!((state().status(START), state().updated_at), (HealthStatus::Unhealthy, Some(START)));
        assert_eq!(state().failure.as_deref(), Some("a reason"));
        out.renewed(START + HOUR);
        assert_eq!((state().status(START), state().failure), (HealthStatus::Healthy, None));
        out.failed("another reason");
        assert_eq!(state().status(START), HealthStatus::Failing);
        assert_eq!(state().status(START + HOUR), HealthStatus::Unhealthy);
        assert_eq!((state().renewals, state().failures), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_that_are_obtained_on_demand_may_expire() {
        let health = health(&["tunnel"]);
        let tunnel = health.reporters().1.next().unwrap();
        let status = |now| health.services().nth(1).unwrap().1.status(now);
        tunnel.set_on_demand();
        assert_eq!(status(START), HealthStatus::Initializing);
        tunnel.renewed(START + HOUR);
        assert_eq!(status(START + HOUR), HealthStatus::Healthy);
        tunnel.set_unreachable(Some("a reason".to_owned()));
        assert_eq!((status(START), status(START + HOUR)), (HealthStatus::Failing, HealthStatus::Failing));
        tunnel.set_unreachable(None);
        assert_eq!(status(START), HealthStatus::Healthy);
        tunnel.set_unreachable(Some("a reason".to_owned()));
        tunnel.renewed(START + HOUR);
        assert_eq!(status(START), HealthStatus::Healthy, "it has new credentials");
        tunnel.set_unreachable(Some("a reason".to_owned()));
        tokio::time::advance(UNREACHABLE_FOR).await;
        assert_eq!(status(START), HealthStatus::Healthy, "there was no other client");
        tunnel.failed("a reason");
        assert_eq!((status(START), status(START + HOUR)), (HealthStatus::Failing, HealthStatus::Unhealthy));
    }

    #[tokio::test(start_paused = true)]
    async fn first_attempts_end_whether_they_succeed_or_fail() {
        let health = health(&["a", "b"]);
        let (_, mut services) = health.reporters();
        let (a, b) = (services.next().unwrap(), services.next().unwrap());
        let waits_for = |names: &'static [&str]| {
            let health = Arc::clone(&health);
            tokio::spawn(async move { health.first_attempts(|name| names.contains(&name)).await })
        };
        let (only_a, all) = (waits_for(&["a"]), waits_for(&["a", "b"]));
        a.started();
        b.kept(START + HOUR);
        tokio::time::sleep(HOUR).await;
        assert!(!only_a.is_finished() && !all.is_finished());
        a.renewed(START + HOUR);
        only_a.await.unwrap();
        tokio::time::sleep(HOUR).await;
        assert!(!all.is_finished());
        b.failed("a reason");
        all.await.unwrap();
        waits_for(&["a", "b"]).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_with_a_stuck_attempt_is_not_alive() {
        let health = health(&[]);
        let (identity, _) = health.reporters();
        identity.started();
        assert!(health.is_alive());
        tokio::time::advance(STUCK_AFTER + Duration::from_secs(1)).await;
        assert!(!health.is_alive());
        identity.failed("a reason");
        assert!(health.is_alive());
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_waits_for_a_longer_timeout_is_not_stuck() {
        let health = Health::new(std::iter::empty(), STUCK_AFTER, Clock::from_fn(|| START));
        health.reporters().0.started();
        tokio::time::advance(2 * STUCK_AFTER).await;
        assert!(health.is_alive());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!health.is_alive());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_ends_when_every_service_has_ended_an_attempt_that_started_after_it() {
        let health = health(&["out"]);
        let (identity, mut services) = health.reporters();
        let out = services.next().unwrap();
        let second = || tokio::time::advance(Duration::from_secs(1));
        identity.started();
        second().await;
        let reload = Instant::now();
        second().await;
        out.started();
        out.renewed(START + HOUR);
        // The attempt that was running at the reload does not count, however it is reported.
        identity.kept(START + HOUR);
        identity.failed("a reason");
        assert!(!health.has_attempted_since(reload));
        identity.started();
        assert!(!health.has_attempted_since(reload));
        identity.failed("a reason");
        assert!(health.has_attempted_since(reload));
    }
}
