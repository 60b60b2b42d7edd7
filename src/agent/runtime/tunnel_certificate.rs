//! The certificate of a tunnel, which all of its connections share: issued at the start and on a reload, and otherwise only if
//! a connection begins when the last one has expired.
//!
//! There is never more than one attempt at a time, however many connections wait for it, and all of them get its result. After a
//! failure, further attempts follow at growing intervals, and whenever a connection begins. Certificates are issued by a task of
//! the tunnel, so an attempt does not end with the client that needed it.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::Level;

use super::control::Signals;
use super::current_identity::CurrentIdentity;
use super::health::Reporter;
use super::retry::Retry;
use super::running_agent::RunningAgent;
use super::schedule;
use crate::agent::credential::revocation_list::RevocationList;
use crate::agent::platform::Clock;
use crate::agent::platform::error_text::error_line;
use crate::agent::service::tunnel::{ResourceAccess, Tunnel};
use crate::agent::teleport::auth_client::AuthClient;

/// The certificate of one tunnel.
pub(super) struct TunnelCertificate {
    /// The newest certificate, if there is one. Changes after every attempt.
    newest: watch::Sender<Option<Arc<ResourceAccess>>>,
    /// Connections ask for an attempt.
    requests: watch::Sender<()>,
    clock: Clock,
}

impl TunnelCertificate {
    pub(super) fn new(clock: Clock) -> Self {
        Self { newest: watch::Sender::new(None), requests: watch::Sender::new(()), clock }
    }

    /// Returns a certificate with which a connection can begin. If there is none, waits for the next attempt. Returns `None`
    /// if that fails.
    pub(super) async fn get(&self) -> Option<Arc<ResourceAccess>> {
        let mut newest = self.newest.subscribe();
        if let Some(access) = self.usable(&newest.borrow_and_update()) {
            return Some(access);
        }
        self.requests.send_replace(());
        newest.changed().await.ok()?;
        self.usable(&newest.borrow())
    }

    fn usable(&self, newest: &Option<Arc<ResourceAccess>>) -> Option<Arc<ResourceAccess>> {
        newest.clone().filter(|access| access.is_usable(self.clock.now()))
    }

    fn has_usable(&self) -> bool {
        self.usable(&self.newest.borrow()).is_some()
    }

    /// Issues certificates until dropped.
    pub(super) async fn keep_issued(
        &self,
        (agent, tunnel): (&RunningAgent, &Tunnel),
        mut current: watch::Receiver<CurrentIdentity>,
        mut signals: Signals,
        reporter: &Reporter,
    ) {
        let mut requests = self.requests.subscribe();
        let mut retry = Retry::new(&tunnel.settings.name, &self.clock);
        loop {
            reporter.started();
            let identity = current.borrow_and_update().clone();
            let issued = issue(agent, tunnel, identity).await;
            // Connections that have asked until now get the result of this attempt.
            requests.mark_unchanged();
            let wait = match issued {
                Ok(access) => {
                    retry.succeeded();
                    reporter.renewed(access.not_after);
                    tracing::debug!(service = %tunnel.settings.name, "issued the certificate of the tunnel");
                    self.newest.send_replace(Some(Arc::new(access)));
                    None
                }
                Err(reason) => {
                    reporter.failed(&reason);
                    let wait = retry.failed(&reason, Level::WARN, &agent.randomness);
                    // Without a change, but so that connections stop waiting.
                    self.newest.send_modify(|_| {});
                    Some(wait)
                }
            };
            let retry_is_due = async {
                match wait {
                    Some(wait) => schedule::wait(wait, &self.clock).await,
                    None => std::future::pending().await,
                }
            };
            let is_requested = async {
                // The sender is a field of `self`, so it is never dropped while this waits.
                while requests.changed().await.is_ok() && self.has_usable() {}
            };
            tokio::select! {
                biased;
                _ = signals.renewal() => {}
                () = is_requested => {}
                // After a failure, a new identity is a reason to retry immediately.
                Ok(()) = current.changed(), if retry.is_failing() => {}
                () = retry_is_due => {}
            }
        }
    }
}

/// Issues a certificate. Returns the reason if that fails.
async fn issue(
    agent: &RunningAgent,
    tunnel: &Tunnel,
    identity: CurrentIdentity,
) -> Result<ResourceAccess, String> {
    let identity = identity.filter(|identity| !identity.is_expired(agent.bot.clock.now()));
    let Some(identity) = identity else {
        return Err("the bot's identity has expired: waiting for a new one".to_owned());
    };
    let issue = async {
        let client = AuthClient::connect(&agent.bot.dialler, &identity).await?;
        tunnel.issue(&client, &identity, &agent.issue_context(RevocationList::Absent)).await
    };
    issue.await.map_err(|error| error_line(&error, error.hint().as_ref()))
}
