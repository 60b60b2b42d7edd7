//! The state of a running agent, which its loops share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::agent::bot::renewal::Bot;
use crate::agent::platform::Randomness;
use crate::agent::service::context::IssueContext;
use crate::agent::service::output::Output;

/// How long a shutdown waits for file sets that are being written.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);

/// A running agent. The modules `daemon` and `oneshot` implement its two modes.
pub(super) struct RunningAgent {
    pub(super) bot: Arc<Bot>,
    pub(super) outputs: Vec<Output>,
    pub(super) interval: Duration,
    pub(super) randomness: Randomness,
    pub(super) command: PathBuf,
    /// The proxy address to write into files, if it is not the one that the cluster advertises.
    pub(super) proxy_address: Option<String>,
}

impl RunningAgent {
    /// Waits until the file sets that are being written are complete. A set that takes longer than
    /// [`FINISH_TIMEOUT`] waits for another process, and has not changed anything yet.
    pub(super) async fn finish_writes(&self) {
        let finish = async {
            for output in &self.outputs {
                output.settings.destination.finish_write().await;
            }
        };
        if tokio::time::timeout(FINISH_TIMEOUT, finish).await.is_err() {
            tracing::warn!("stopping, although an output is still waiting to be written");
        }
    }

    pub(super) fn issue_context(&self) -> IssueContext<'_> {
        IssueContext {
            route: &self.bot.route,
            web: self.bot.web(),
            clock: &self.bot.clock,
            command: &self.command,
            proxy_address: self.proxy_address.as_deref(),
            fallback_proxy_address: self.bot.proxy_address(),
        }
    }
}
