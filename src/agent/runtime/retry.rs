//! What is said of attempts that fail: each way to fail once, then at debug, and that it works again. Does no I/O.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use tracing::Level;

use crate::agent::platform::options::Randomness;
use crate::agent::runtime::schedule::{Backoff, Rounded};

/// So many ways to fail are told apart; an error that never comes twice in the same words must not fill the log.
const WAYS: usize = 8;

/// The attempts of one service.
pub(crate) struct Retry {
    service: String,
    backoff: Backoff,
    /// What has been said since the last success.
    said: BTreeSet<String>,
    failing: bool,
}

impl Retry {
    pub(crate) fn new(service: &str) -> Self {
        Self { service: service.to_owned(), backoff: Backoff::new(), said: BTreeSet::new(), failing: false }
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failing
    }

    /// Says it, and tells how long to wait before the next attempt.
    pub(crate) fn failed(&mut self, error: &impl Display, level: Level, random: &Randomness) -> Duration {
        self.failing = true;
        let wait = self.backoff.next(random);
        let (service, retry, error) = (&self.service, Rounded(wait), error.to_string());
        if self.said.contains(&error) || self.said.len() == WAYS {
            tracing::debug!(%service, %retry, "failed again: {error}");
            return wait;
        }
        if level == Level::ERROR {
            tracing::error!(%service, %retry, "{error}");
        } else {
            tracing::warn!(%service, %retry, "{error}");
        }
        self.said.insert(error);
        wait
    }

    pub(crate) fn succeeded(&mut self) {
        if std::mem::take(&mut self.failing) {
            tracing::info!(service = %self.service, "works again");
            self.said.clear();
            self.backoff = Backoff::new();
        }
    }
}
