//! Schedules retries and logs failed attempts: each distinct error once, repetitions at debug, and the recovery.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::Level;

use super::schedule::{Backoff, Rounded};
use crate::agent::platform::Randomness;

/// The number of distinct errors that are logged, so that an error whose message always differs does not fill the log.
const MAX_LOGGED: usize = 8;

/// The state of one service's attempts.
pub(crate) struct Retry {
    service: String,
    backoff: Backoff,
    /// The errors logged since the last success.
    logged: BTreeSet<String>,
    failing: bool,
}

impl Retry {
    pub(crate) fn new(service: &str) -> Self {
        Self { service: service.to_owned(), backoff: Backoff::new(), logged: BTreeSet::new(), failing: false }
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failing
    }

    /// Logs the error, and returns how long to wait before the next attempt.
    pub(crate) fn failed(&mut self, error: &str, level: Level, random: &Randomness) -> Duration {
        self.failing = true;
        let wait = self.backoff.next(random);
        let (service, retry) = (&self.service, Rounded(wait));
        if self.logged.contains(error) || self.logged.len() == MAX_LOGGED {
            tracing::debug!(%service, %retry, "failed again: {error}");
            return wait;
        }
        if level == Level::ERROR {
            tracing::error!(%service, %retry, "{error}");
        } else {
            tracing::warn!(%service, %retry, "{error}");
        }
        self.logged.insert(error.to_owned());
        wait
    }

    pub(crate) fn succeeded(&mut self) {
        if std::mem::take(&mut self.failing) {
            tracing::info!(service = %self.service, "works again");
            self.logged.clear();
            self.backoff = Backoff::new();
        }
    }
}
