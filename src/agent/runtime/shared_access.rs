//! The access to resources that all clients of a service share, such as the certificate of a tunnel. It is issued at the start and
//! on a reload, and otherwise when a client needs it and the last one has expired.
//!
//! There is never more than one attempt at a time, however many clients wait for it, and all of them get its result. After a
//! failure, further attempts follow at growing intervals, and whenever a client needs one. A task of the service makes the
//! attempts, so an attempt does not end with the client that needed it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tracing::Level;

use super::attempt::attempt;
use super::control::Signals;
use super::current_identity::CurrentIdentity;
use super::health::Reporter;
use super::retry::Retry;
use super::running_agent::RunningAgent;
use crate::agent::credential::identity::Identity;
use crate::agent::platform::Clock;
use crate::agent::service::error::OutputError;
use crate::agent::service::listening::IssuedAccess;
use crate::agent::teleport::auth_client::AuthClient;

/// The newest access of one service.
pub(super) struct SharedAccess<T> {
    /// Changes after every attempt.
    newest: watch::Sender<NewestAccess<T>>,
    /// Clients ask for an attempt.
    requests: watch::Sender<()>,
    clock: Clock,
}

struct NewestAccess<T> {
    access: Option<Arc<IssuedAccess<T>>>,
    /// Why the last attempt failed. Empty if it succeeded.
    failure: Arc<str>,
    /// Whether no further attempt will be made.
    has_ended: bool,
}

/// Ends the wait of all clients when the task that makes the attempts is dropped.
struct EndWhenDropped<'a, T>(&'a watch::Sender<NewestAccess<T>>);

impl<T> Drop for EndWhenDropped<'_, T> {
    fn drop(&mut self) {
        self.0.send_modify(|newest| {
            newest.failure = "the agent is stopping".into();
            newest.has_ended = true;
        });
    }
}

impl<T> SharedAccess<T> {
    pub(super) fn new(clock: Clock) -> Self {
        let newest = NewestAccess { access: None, failure: Arc::default(), has_ended: false };
        Self { newest: watch::Sender::new(newest), requests: watch::Sender::new(()), clock }
    }

    /// Returns the newest access if new connections and requests can use it. Otherwise waits for the next attempt, and returns
    /// the reason if that fails.
    pub(super) async fn get(&self) -> Result<Arc<IssuedAccess<T>>, Arc<str>> {
        let mut newest = self.newest.subscribe();
        {
            let newest = newest.borrow_and_update();
            if let Some(access) = self.usable(&newest) {
                return Ok(access);
            }
            if newest.has_ended {
                return Err(Arc::clone(&newest.failure));
            }
        }
        self.requests.send_replace(());
        // The sender is a field of `self`, so it is never dropped while this waits.
        let _ = newest.changed().await;
        let newest = newest.borrow();
        self.usable(&newest).ok_or_else(|| Arc::clone(&newest.failure))
    }

    /// Forgets an access that was refused, so that the next client gets a new one, unless it was issued a moment ago.
    pub(super) fn discard(&self, refused: &Weak<IssuedAccess<T>>) {
        let now = self.clock.now();
        self.newest.send_if_modified(|newest| {
            newest.access.take_if(|access| {
                std::ptr::eq(Arc::as_ptr(access), refused.as_ptr()) && access.is_replaceable(now)
            });
            // Does not wake the waiting clients: only a new attempt can help them.
            false
        });
    }

    fn usable(&self, newest: &NewestAccess<T>) -> Option<Arc<IssuedAccess<T>>> {
        newest.access.clone().filter(|access| access.is_usable(self.clock.now()))
    }

    fn has_usable(&self) -> bool {
        self.usable(&self.newest.borrow()).is_some()
    }

    /// Calls `issue` whenever an attempt is due, until dropped. With an `interval`, one is also due after that time, whether a
    /// client needs it or not.
    pub(super) async fn keep_issued<F>(
        &self,
        (agent, service): (&RunningAgent, &str),
        issue: impl Fn(AuthClient, Arc<Identity>) -> F,
        interval: Option<Duration>,
        mut current: watch::Receiver<CurrentIdentity>,
        mut signals: Signals,
        reporter: &Reporter,
    ) where
        F: Future<Output = Result<IssuedAccess<T>, OutputError>>,
    {
        let _end = EndWhenDropped(&self.newest);
        let mut requests = self.requests.subscribe();
        let mut retry = Retry::new(service, &self.clock);
        loop {
            reporter.started();
            let identity = current.borrow_and_update().get().cloned();
            let issued = attempt(agent, identity, &issue).await;
            // Clients that have asked until now get the result of this attempt.
            requests.mark_unchanged();
            let wait = match issued {
                Ok(access) => {
                    retry.succeeded();
                    reporter.renewed(access.not_after);
                    tracing::debug!(%service, "issued a certificate for the clients of the service");
                    let wait = interval.map(|interval| agent.until_renewal(interval, access.not_after));
                    self.newest.send_replace(NewestAccess {
                        access: Some(Arc::new(access)),
                        failure: Arc::default(),
                        has_ended: false,
                    });
                    wait
                }
                Err(error) => {
                    let reason = error.reason();
                    reporter.failed(&reason);
                    let wait = agent.begin_wait(retry.failed(&reason, Level::WARN, &agent.randomness));
                    self.newest.send_modify(|newest| newest.failure = reason.into());
                    Some(wait)
                }
            };
            let is_due = async {
                match wait {
                    Some(wait) => wait.finished(&self.clock).await,
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
                () = is_due => {}
            }
        }
    }
}
