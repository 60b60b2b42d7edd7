//! The state of a running agent, which its loops share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::agent::bot::renewal::Bot;
use crate::agent::platform::Randomness;
use crate::agent::service::context::IssueContext;
use crate::agent::service::output::Output;

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
