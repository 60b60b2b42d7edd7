//! Schedules retries and logs failed attempts: each distinct error once, reminders at growing intervals while the failure
//! lasts, everything else at debug, and the recovery.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::Level;

use super::schedule::Backoff;
use crate::agent::platform::reminders::OngoingProblem;
use crate::agent::platform::{Clock, Randomness, Rounded};

/// The number of distinct errors that are logged, so that an error whose message always differs does not fill the log.
const MAX_LOGGED: usize = 8;

/// The state of one service's attempts.
pub(crate) struct Retry {
    service: String,
    clock: Clock,
    backoff: Backoff,
    /// The failure that has lasted since the last success.
    outage: Option<OngoingProblem>,
    /// The errors logged since the last success.
    logged: BTreeSet<String>,
}

impl Retry {
    pub(crate) fn new(service: &str, clock: &Clock) -> Self {
        Self {
            service: service.to_owned(),
            clock: clock.clone(),
            backoff: Backoff::new(),
            outage: None,
            logged: BTreeSet::new(),
        }
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.outage.is_some()
    }

    /// Logs the error, and returns how long to wait before the next attempt.
    pub(crate) fn failed(&mut self, error: &str, level: Level, random: &Randomness) -> Duration {
        let wait = self.backoff.next(random);
        self.log_failure(error, level, wait);
        wait
    }

    /// Logs the error of an attempt. The next one follows after `wait`.
    pub(crate) fn log_failure(&mut self, error: &str, level: Level, wait: Duration) {
        let now = self.clock.now();
        let reminder = match &mut self.outage {
            Some(outage) => outage.reminder(now),
            None => {
                self.outage = Some(OngoingProblem::begin(now));
                None
            }
        };
        let is_new = self.logged.len() < MAX_LOGGED && self.logged.insert(error.to_owned());
        let (service, retry) = (&self.service, Rounded(wait));
        let message = match reminder {
            _ if is_new => error.to_owned(),
            Some(lasted) => format!("still failing for {}: {error}", Rounded(lasted)),
            None => {
                tracing::debug!(%service, %retry, "failed again: {error}");
                return;
            }
        };
        if level == Level::ERROR {
            tracing::error!(%service, %retry, "{message}");
        } else {
            tracing::warn!(%service, %retry, "{message}");
        }
    }

    pub(crate) fn succeeded(&mut self) {
        if let Some(outage) = self.outage.take() {
            let lasted = Rounded(outage.duration(self.clock.now()));
            tracing::info!(service = %self.service, "works again after {lasted}");
            self.logged.clear();
            self.backoff = Backoff::new();
        }
    }
}
