//! Decides when a stream from the auth server is opened again after it has ended, and logs why it ended.

use std::time::Duration;

use tokio::time::Instant;

use super::running_agent::RunningAgent;
use super::schedule::{self, Backoff, MAX_BACKOFF};
use crate::agent::platform::Rounded;
use crate::agent::platform::error_text::error_line;
use crate::agent::teleport::api_error::ApiError;

/// A rotation or a revocation changes several things one after the other; one renewal follows all changes within this
/// time.
pub(super) const DEBOUNCE: Duration = Duration::from_secs(10);

/// The attempts to keep one stream open.
pub(super) struct StreamRetry {
    /// What the agent cannot do without the stream, such as "watch for CA rotations".
    purpose: &'static str,
    /// What follows from that.
    consequence: &'static str,
    backoff: Backoff,
    is_logged: bool,
}

impl StreamRetry {
    pub(super) fn new(purpose: &'static str, consequence: &'static str) -> Self {
        Self { purpose, consequence, backoff: Backoff::new(), is_logged: false }
    }

    /// Logs why the stream that was requested at `started` has ended, and waits before the next attempt.
    pub(super) async fn wait(&mut self, ended: Result<(), ApiError>, started: Instant, agent: &RunningAgent) {
        if started.elapsed() > MAX_BACKOFF {
            self.backoff = Backoff::new();
        }
        let wait = self.backoff.next(&agent.randomness);
        let (purpose, retry) = (self.purpose, Rounded(wait));
        match ended {
            Ok(()) => tracing::debug!(%retry, "the stream to {purpose} ended"),
            // The other loops log that the server cannot be reached.
            Err(error)
                if self.is_logged
                    || matches!(error, ApiError::Connect { .. } | ApiError::NoResponse { .. }) =>
            {
                tracing::debug!(%retry, "cannot {purpose}: {}", error_line(&error, error.hint().as_ref()));
            }
            Err(error) => {
                self.is_logged = true;
                let error = error_line(&error, error.hint().as_ref());
                tracing::info!(%retry, "cannot {purpose}, so {}: {error}", self.consequence);
            }
        }
        schedule::wait(wait, &agent.bot.clock).await;
    }
}
