//! The state of a running agent, which its loops share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::field::display;

use super::schedule::Wait;
use super::services::ListeningService;
use crate::agent::bot::renewal::Bot;
use crate::agent::credential::revocation_list::RevocationList;
use crate::agent::platform::{Randomness, Rounded};
use crate::agent::service::context::{IssueContext, ProxyAddresses};
use crate::agent::service::output::Output;
use crate::config::{Address, JoinMethod};

/// How long a shutdown waits for files that are being written and for an identity that was requested. Kubernetes ends a
/// container 30 s after it asked it to stop.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(25);
/// Credentials that expire this much earlier than requested are not reported as shortened: issuing takes time.
const TOLERANCE: Duration = Duration::from_secs(60);

/// A running agent. The modules `continuous` and `oneshot` implement its two modes.
pub(super) struct RunningAgent {
    pub(super) bot: Arc<Bot>,
    pub(super) outputs: Vec<Output>,
    pub(super) listening: Vec<ListeningService>,
    pub(super) join_method: JoinMethod,
    pub(super) interval: Duration,
    pub(super) randomness: Randomness,
    pub(super) command: PathBuf,
    /// The proxy address to write into files, if it is not the one that the proxy advertises.
    pub(super) proxy_address: Option<Address>,
    pub(super) proxy_addresses: ProxyAddresses,
}

impl RunningAgent {
    pub(super) fn issue_context(&self, revocations: RevocationList) -> IssueContext<'_> {
        IssueContext {
            dialler: &self.bot.dialler,
            clock: &self.bot.clock,
            warnings: &self.bot.warnings,
            file_work: &self.bot.file_work,
            command: &self.command,
            proxy_address: self.proxy_address.as_ref(),
            own_proxy_address: self.bot.proxy_address(),
            proxy_addresses: &self.proxy_addresses,
            revocations,
        }
    }

    /// Begins the wait until the renewal of credentials that expire at `not_after`.
    pub(super) fn until_renewal(&self, interval: Duration, not_after: SystemTime) -> Wait {
        Wait::until_renewal(interval, not_after, self.bot.clock.now(), &self.randomness)
    }

    /// Begins a wait of this duration.
    pub(super) fn begin_wait(&self, duration: Duration) -> Wait {
        Wait::begin(duration, self.bot.clock.now())
    }

    /// Logs that an output was written, and in continuous mode, when it will be written again.
    pub(super) fn log_written(&self, output: &Output, not_after: SystemTime, next_renewal: Option<Duration>) {
        self.warn_if_shortened(output, not_after);
        // A field that is `None` is not logged.
        let next_renewal = next_renewal.map(Rounded).map(display);
        tracing::info!(output = %output.settings.name, next_renewal, "wrote credentials");
    }

    /// Warns if the cluster has issued credentials with a shorter lifetime than requested: a schedule outside the agent
    /// may rely on it.
    fn warn_if_shortened(&self, output: &Output, not_after: SystemTime) {
        let requested = output.settings.ttl;
        let lifetime = not_after.duration_since(self.bot.clock.now()).unwrap_or_default();
        if lifetime + TOLERANCE < requested {
            // Rounded to minutes, so that the same limit always gives the same warning.
            let minutes = Duration::from_secs(lifetime.as_secs().div_ceil(60) * 60);
            self.bot.warnings.warn(
                &output.settings.name,
                format_args!(
                    "the cluster issued these credentials for {} instead of the requested {}: a role of the bot limits their lifetime (max_session_ttl), or the cluster does",
                    Rounded(minutes),
                    Rounded(requested)
                ),
            );
        }
    }

    /// Waits, before the agent ends for any reason, until the files that are being written are complete and an identity
    /// that was requested is saved. After [`SHUTDOWN_LIMIT`], the agent ends anyway.
    pub(super) async fn drain(&self) {
        // First the identity: while `finished` waits for a file, such as one on a slow disk, nothing else can be saved.
        let finish = async {
            self.bot.flush().await;
            self.bot.file_work.finished().await;
        };
        finish_within_limit(finish).await;
    }
}

/// Waits until `work` is done, but not longer than [`SHUTDOWN_LIMIT`]. Returns whether it is done.
async fn finish_within_limit(work: impl Future<Output = ()>) -> bool {
    let is_done = tokio::time::timeout(SHUTDOWN_LIMIT, work).await.is_ok();
    if !is_done {
        tracing::error!(
            "stopping, although files or the bot's identity are still being saved after {}: a file system, a process that holds a lock, or the cluster does not respond",
            Rounded(SHUTDOWN_LIMIT)
        );
    }
    is_done
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_work_but_not_forever() {
        let started = Instant::now();
        assert!(finish_within_limit(tokio::time::sleep(SHUTDOWN_LIMIT / 2)).await);
        assert_eq!(started.elapsed(), SHUTDOWN_LIMIT / 2);
        assert!(!finish_within_limit(std::future::pending()).await);
        assert_eq!(started.elapsed(), SHUTDOWN_LIMIT * 3 / 2);
    }
}
