//! The identity that the tasks of a running agent share.

use std::sync::Arc;

use tokio::sync::watch;

use super::schedule;
use crate::agent::credential::identity::Identity;
use crate::agent::platform::Clock;

/// The identity for all requests; `None` until there is one.
pub(super) type CurrentIdentity = Option<Arc<Identity>>;

/// Waits for an identity that has not expired. Returns `None` if the sender was dropped.
pub(super) async fn valid_identity(
    current: &mut watch::Receiver<CurrentIdentity>,
    clock: &Clock,
) -> Option<Arc<Identity>> {
    let is_valid = |current: &CurrentIdentity| {
        current.as_ref().is_some_and(|identity| !identity.is_expired(clock.now()))
    };
    current.wait_for(is_valid).await.ok()?.clone()
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
