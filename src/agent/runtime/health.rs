//! How each service of a running agent fares: its last attempts, when its credentials end, whether its loop still turns.
//!
//! Kept by the loops, read by `diag`. Pure: knows no clock, and nothing of a service but its name.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The name of the bot's own identity, which no configured service may have.
pub(crate) const IDENTITY: &str = "identity";
/// Every call and every wait in a loop is limited, and all of one attempt take far less than this.
const STUCK: Duration = Duration::from_secs(10 * 60);

/// What is known of one service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) renewals: u64,
    pub(crate) failures: u64,
    /// The last attempt failed.
    failing: bool,
    /// When the newest credentials end.
    pub(crate) expires: Option<SystemTime>,
    pub(crate) renewed_at: Option<SystemTime>,
    /// An attempt is under way since then.
    busy_since: Option<Instant>,
}

/// Whether a service's credentials can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// There are none yet.
    Initializing,
    /// There are, and the last attempt renewed them.
    Healthy,
    /// There are, and the last attempt to renew them failed.
    Failing,
    /// There are none any more.
    Unhealthy,
}

impl Status {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Healthy => "healthy",
            Self::Failing => "failing",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// Whether whoever uses the credentials can go on.
    pub(crate) const fn is_ready(self) -> bool {
        matches!(self, Self::Healthy | Self::Failing)
    }
}

impl Facts {
    pub(crate) fn status(&self, now: SystemTime) -> Status {
        match self.expires {
            None if self.failing => Status::Unhealthy,
            None => Status::Initializing,
            Some(expires) if expires <= now => Status::Unhealthy,
            Some(_) if self.failing => Status::Failing,
            Some(_) => Status::Healthy,
        }
    }
}

/// Every service, the bot's own identity first.
#[derive(Debug)]
pub(crate) struct Health(Vec<(String, Mutex<Facts>)>);

impl Health {
    pub(crate) fn new<'a>(outputs: impl Iterator<Item = &'a str>) -> Arc<Self> {
        let names = std::iter::once(IDENTITY).chain(outputs);
        Arc::new(Self(names.map(|name| (name.to_owned(), Mutex::default())).collect()))
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = (&str, Facts)> {
        self.0.iter().map(|(name, facts)| (name.as_str(), lock(facts).clone()))
    }

    /// False when an attempt has been under way for so long that it cannot be expected to end.
    pub(crate) fn is_alive(&self) -> bool {
        let stuck = |busy: Instant| busy.elapsed() > STUCK;
        !self.services().any(|(_, facts)| facts.busy_since.is_some_and(stuck))
    }

    /// What the service at `place` tells of itself: 0 is the identity, 1 the first output.
    pub(crate) fn reporter(self: &Arc<Self>, place: usize) -> Reporter {
        Reporter { health: Arc::clone(self), place }
    }
}

/// A service's way to tell how it fares.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    health: Arc<Health>,
    place: usize,
}

impl Reporter {
    pub(crate) fn begins(&self) {
        self.tell(|facts| facts.busy_since = Some(Instant::now()));
    }

    pub(crate) fn renewed(&self, now: SystemTime, expires: SystemTime) {
        self.tell(|facts| {
            facts.renewals += 1;
            facts.failing = false;
            facts.expires = Some(expires);
            facts.renewed_at = Some(now);
        });
    }

    /// There is something to go on with that was not made just now.
    pub(crate) fn goes_on(&self, expires: SystemTime) {
        self.tell(|facts| facts.expires = Some(expires));
    }

    pub(crate) fn failed(&self) {
        self.tell(|facts| {
            facts.failures += 1;
            facts.failing = true;
        });
    }

    fn tell(&self, what: impl FnOnce(&mut Facts)) {
        if let Some((_, facts)) = self.health.0.get(self.place) {
            let mut facts = lock(facts);
            facts.busy_since = None;
            what(&mut facts);
        }
    }
}

fn lock(facts: &Mutex<Facts>) -> MutexGuard<'_, Facts> {
    facts.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(status(now), Status::Initializing);
        out.failed();
        assert_eq!(status(now), Status::Unhealthy);
        out.renewed(now, now + hour);
        assert_eq!(status(now), Status::Healthy);
        out.failed();
        assert_eq!((status(now), status(now + hour)), (Status::Failing, Status::Unhealthy));
        let facts = health.services().nth(1).unwrap().1;
        assert_eq!((facts.renewals, facts.failures), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_without_an_end_is_no_life() {
        let health = Health::new([].into_iter());
        health.reporter(0).begins();
        assert!(health.is_alive());
        tokio::time::advance(STUCK + Duration::from_secs(1)).await;
        assert!(!health.is_alive());
        health.reporter(0).failed();
        assert!(health.is_alive());
    }
}
