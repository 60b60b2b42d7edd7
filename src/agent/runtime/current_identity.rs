//! The identity that the tasks of a running agent share.

use std::sync::Arc;

use tokio::sync::watch;

use super::health::Reporter;
use super::schedule;
use crate::agent::credential::identity::Identity;
use crate::agent::platform::Clock;

/// The identity for all requests.
#[derive(Clone)]
pub(super) enum CurrentIdentity {
    /// The first attempt to obtain one has not ended.
    Pending,
    /// The reason why there is none yet.
    Missing(Arc<str>),
    Available(Arc<Identity>),
}

impl CurrentIdentity {
    pub(super) fn get(&self) -> Option<&Arc<Identity>> {
        match self {
            Self::Available(identity) => Some(identity),
            Self::Pending | Self::Missing(_) => None,
        }
    }
}

/// Waits until there is an identity. A service cannot begin without one, so each failure to obtain one is also a failure of the
/// service; the task that obtains it logs why. Returns `None` if the sender was dropped.
pub(super) async fn first_identity(
    current: &mut watch::Receiver<CurrentIdentity>,
    reporter: &Reporter,
) -> Option<Arc<Identity>> {
    loop {
        match &*current.borrow_and_update() {
            CurrentIdentity::Available(identity) => return Some(Arc::clone(identity)),
            CurrentIdentity::Missing(reason) => {
                reporter.failed(&format!("waiting for the bot's identity: {reason}"));
            }
            CurrentIdentity::Pending => {}
        }
        current.changed().await.ok()?;
    }
}

/// Waits for an identity that has not expired. Returns `None` if the sender was dropped.
pub(super) async fn valid_identity(
    current: &mut watch::Receiver<CurrentIdentity>,
    clock: &Clock,
) -> Option<Arc<Identity>> {
    let is_valid =
        |current: &CurrentIdentity| current.get().is_some_and(|identity| !identity.is_expired(clock.now()));
    current.wait_for(is_valid).await.ok()?.get().cloned()
}

/// Runs `stream` until it ends, or until the certificate that opened it expires.
pub(super) async fn until_expiry<E>(
    identity: &Identity,
    clock: &Clock,
    stream: impl Future<Output = Result<(), E>>,
) -> Result<(), E> {
    tokio::select! {
        () = schedule::wait_until(identity.user.not_after, clock) => Ok(()),
        ended = stream => ended,
    }
}
