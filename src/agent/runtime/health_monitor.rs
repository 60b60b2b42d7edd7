//! Lets the caller of an agent follow its health, without a request to the health server.

use std::sync::Arc;

use tokio::sync::watch;

use super::control::Signals;
use super::health::{Health, HealthStatus};

/// Follows the health of an agent.
#[derive(Debug)]
pub struct HealthMonitor {
    health: Arc<Health>,
    updates: watch::Receiver<()>,
    signals: Signals,
}

/// The health of an agent at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthReport {
    /// The bot's identity and every service, each with its name and status.
    pub services: Vec<(String, HealthStatus)>,
    /// Whether no attempt is stuck, as at `/livez`.
    pub is_alive: bool,
    /// Whether a service has still to renew after a [reload](super::control::Control::reload).
    pub is_reloading: bool,
    /// Whether a [shutdown](super::control::Control::shutdown) was requested.
    pub is_stopping: bool,
}

impl HealthReport {
    /// Returns true if the credentials of every service can be used, as at `/readyz`.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.services.iter().all(|(_, status)| status.is_ready())
    }
}

impl HealthMonitor {
    pub(crate) fn new(health: Arc<Health>, signals: Signals) -> Self {
        Self { updates: health.subscribe(), health, signals }
    }

    /// Returns the current health.
    #[must_use]
    pub fn report(&self) -> HealthReport {
        let now = self.health.now();
        let services = self.health.services().map(|(name, state)| (name.to_owned(), state.status(now)));
        let last_reload = self.signals.last_reload();
        HealthReport {
            services: services.collect(),
            is_alive: self.health.is_alive(),
            is_reloading: last_reload.is_some_and(|since| !self.health.has_attempted_since(since)),
            is_stopping: self.signals.is_shutdown(),
        }
    }

    /// Waits for a change since the last call, or since the monitor was created: an attempt of a service that has started or
    /// ended, a tunnel whose clients cannot be served any more, or can again, a reload or a shutdown.
    pub async fn changed(&mut self) {
        tokio::select! {
            // The sender is a field of `health`, so it is never dropped.
            Ok(()) = self.updates.changed() => {}
            () = self.signals.request() => {}
        }
    }
}
