//! The health of each service of a running agent: its renewals, when its credentials expire, and whether an attempt is
//! stuck.
//!
//! The loops write it, the health server reads it. It knows nothing about a service except its name.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The name under which the bot's own identity is reported. No configured service may use it.
pub(crate) const IDENTITY: &str = "identity";
/// An attempt that takes longer than this is stuck: all of its calls and waits have much shorter timeouts.
const STUCK_AFTER: Duration = Duration::from_secs(10 * 60);

/// The state of one service.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceState {
    pub(crate) renewals: u64,
    pub(crate) failures: u64,
    /// Whether the last attempt failed.
    failing: bool,
    /// When the newest credentials expire.
    pub(crate) expires: Option<SystemTime>,
    pub(crate) renewed_at: Option<SystemTime>,
    /// When the running attempt started.
    busy_since: Option<Instant>,
}

/// Whether the credentials of a service can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HealthStatus {
    /// There are no credentials yet.
    Initializing,
    /// The credentials are valid, and the last renewal succeeded.
    Healthy,
    /// The credentials are valid, but the last renewal failed.
    Failing,
    /// The credentials have expired, or could not be obtained.
    Unhealthy,
}

impl HealthStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Healthy => "healthy",
            Self::Failing => "failing",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// Returns true if the credentials can be used.
    pub(crate) const fn is_ready(self) -> bool {
        matches!(self, Self::Healthy | Self::Failing)
    }
}

impl ServiceState {
    pub(crate) fn status(&self, now: SystemTime) -> HealthStatus {
        match self.expires {
            None if self.failing => HealthStatus::Unhealthy,
            None => HealthStatus::Initializing,
            Some(expires) if expires <= now => HealthStatus::Unhealthy,
            Some(_) if self.failing => HealthStatus::Failing,
            Some(_) => HealthStatus::Healthy,
        }
    }
}

/// The names and states of all services, with the bot's own identity first.
#[derive(Debug)]
pub(crate) struct Health(Vec<(String, Mutex<ServiceState>)>);

impl Health {
    pub(crate) fn new<'a>(outputs: impl Iterator<Item = &'a str>) -> Arc<Self> {
        let names = std::iter::once(IDENTITY).chain(outputs);
        Arc::new(Self(names.map(|name| (name.to_owned(), Mutex::default())).collect()))
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = (&str, ServiceState)> {
        self.0.iter().map(|(name, state)| (name.as_str(), lock(state).clone()))
    }

    /// Returns false if an attempt is stuck.
    pub(crate) fn is_alive(&self) -> bool {
        let is_stuck = |since: Instant| since.elapsed() > STUCK_AFTER;
        !self.services().any(|(_, state)| state.busy_since.is_some_and(is_stuck))
    }

    /// Returns the reporter of a service: 0 is the identity, 1 the first output.
    pub(crate) fn reporter(self: &Arc<Self>, index: usize) -> Reporter {
        Reporter { health: Arc::clone(self), index }
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

    pub(crate) fn renewed(&self, now: SystemTime, expires: SystemTime) {
        self.update(|state| {
            state.renewals += 1;
            state.failing = false;
            state.expires = Some(expires);
            state.renewed_at = Some(now);
        });
    }

    /// Reports valid credentials that were not issued just now.
    pub(crate) fn has_credentials(&self, expires: SystemTime) {
        self.update(|state| state.expires = Some(expires));
    }

    pub(crate) fn failed(&self) {
        self.update(|state| {
            state.failures += 1;
            state.failing = true;
        });
    }

    fn update(&self, change: impl FnOnce(&mut ServiceState)) {
        if let Some((_, state)) = self.health.0.get(self.index) {
            let mut state = lock(state);
            state.busy_since = None;
            change(&mut state);
        }
    }
}

fn lock(state: &Mutex<ServiceState>) -> MutexGuard<'_, ServiceState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_service_is_ready_while_its_credentials_can_be_used() {
        let health = Health::new(["out"].into_iter());
        let out = health.reporter(1);
        let now = SystemTime::UNIX_EPOCH;
        let hour = Duration::from_secs(3600);
        let status = |now| health.services().nth(1).unwrap().1.status(now);
        assert_eq!(status(now), HealthStatus::Initializing);
        out.failed();
        assert_eq!(status(now), HealthStatus::Unhealthy);
        out.renewed(now, now + hour);
        assert_eq!(status(now), HealthStatus::Healthy);
        out.failed();
        assert_eq!((status(now), status(now + hour)), (HealthStatus::Failing, HealthStatus::Unhealthy));
        let state = health.services().nth(1).unwrap().1;
        assert_eq!((state.renewals, state.failures), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_with_a_stuck_attempt_is_not_alive() {
        let health = Health::new([].into_iter());
        health.reporter(0).started();
        assert!(health.is_alive());
        tokio::time::advance(STUCK_AFTER + Duration::from_secs(1)).await;
        assert!(!health.is_alive());
        health.reporter(0).failed();
        assert!(health.is_alive());
    }
}
