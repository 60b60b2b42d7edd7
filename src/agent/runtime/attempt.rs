//! An attempt to issue something as the bot.

use std::sync::Arc;

use super::running_agent::RunningAgent;
use crate::agent::credential::identity::Identity;
use crate::agent::platform::error_text::error_line;
use crate::agent::service::error::OutputError;
use crate::agent::teleport::auth_client::AuthClient;

/// An attempt to issue something failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptError {
    #[error("the bot's identity has expired: waiting for a new one")]
    IdentityExpired,
    #[error(transparent)]
    Issue(#[from] OutputError),
}

impl AttemptError {
    /// Returns the error with its sources and its hint.
    pub(super) fn reason(&self) -> String {
        let hint = match self {
            Self::IdentityExpired => None,
            Self::Issue(error) => error.hint(),
        };
        error_line(self, hint.as_ref())
    }
}

/// Calls `issue` as `identity`.
pub(super) async fn attempt<T, F>(
    agent: &RunningAgent,
    identity: Option<Arc<Identity>>,
    issue: impl FnOnce(AuthClient, Arc<Identity>) -> F,
) -> Result<T, AttemptError>
where
    F: Future<Output = Result<T, OutputError>>,
{
    let identity = identity.filter(|identity| !identity.is_expired(agent.bot.clock.now()));
    let identity = identity.ok_or(AttemptError::IdentityExpired)?;
    let client = AuthClient::connect(&agent.bot.dialler, &identity).await.map_err(OutputError::from)?;
    Ok(issue(client, identity).await?)
}
