//! Follows the list of revoked X.509 SVIDs, which some outputs write next to their certificate.
//!
//! One task per agent receives the list; the outputs take the newest version at each write, and are written again when
//! it changes. A list that cannot be obtained never prevents a write, because an expired certificate is worse.

use tokio::sync::watch;
use tokio::time::Instant;

use super::current_identity::{CurrentIdentity, until_expiry, valid_identity};
use super::running_agent::RunningAgent;
use super::schedule;
use super::stream_retry::{DEBOUNCE, StreamRetry};
use crate::agent::credential::identity::Identity;
use crate::agent::credential::revocation_list::RevocationList;
use crate::agent::platform::{Clock, Rounded};
use crate::agent::service::output::Output;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::auth_client::AuthClient;

impl RunningAgent {
    /// Keeps `list` up to date until dropped. Once it has a value other than [`RevocationList::Pending`], a failure does
    /// not change it.
    pub(super) async fn follow_revocations(
        &self,
        mut current: watch::Receiver<CurrentIdentity>,
        list: watch::Sender<RevocationList>,
    ) {
        if !self.outputs.iter().any(|output| output.kind.includes_revocations()) {
            std::future::pending::<()>().await;
        }
        let mut retry = StreamRetry::new(
            "follow the revocation of X.509 SVIDs",
            "the file svid_crl.pem is missing or outdated",
        );
        let mut is_logged = false;
        loop {
            let Some(identity) = valid_identity(&mut current, &self.bot.clock).await else { return };
            let started = Instant::now();
            match self.receive_revocations(&identity, &list).await {
                Err(error) if error.is_unimplemented() => {
                    if !is_logged {
                        tracing::info!(
                            "this cluster has no list of revoked X.509 SVIDs: there is no file svid_crl.pem"
                        );
                        is_logged = true;
                    }
                    set_if_pending(&list, RevocationList::Absent);
                    // The server may have been upgraded by the time of the next identity.
                    if current.changed().await.is_err() {
                        return;
                    }
                }
                ended => {
                    set_if_pending(&list, RevocationList::Unavailable);
                    retry.wait(ended, started, self).await;
                }
            }
        }
    }

    /// Receives the list until the stream ends or the certificate that opened it expires.
    async fn receive_revocations(
        &self,
        identity: &Identity,
        list: &watch::Sender<RevocationList>,
    ) -> Result<(), ApiError> {
        let client = AuthClient::connect(&self.bot.dialler, identity).await?;
        let (first, mut watch) = client.watch_revocations().await?;
        publish(list, first);
        until_expiry(identity, &self.bot.clock, async {
            while let Some(next) = watch.next().await? {
                publish(list, next);
            }
            Ok(())
        })
        .await
    }
}

/// Returns the list that `output` has to write. Waits until the agent has tried to obtain it.
pub(super) async fn list_for(output: &Output, list: &mut watch::Receiver<RevocationList>) -> RevocationList {
    if !output.kind.includes_revocations() {
        return RevocationList::Absent;
    }
    let known = list.wait_for(|list| *list != RevocationList::Pending).await;
    known.map_or(RevocationList::Unavailable, |list| list.clone())
}

/// Waits until the list differs from the one that [`list_for`] has returned, and further changes have had time to
/// arrive.
pub(super) async fn changed(list: &mut watch::Receiver<RevocationList>, clock: &Clock) {
    if list.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    schedule::wait(DEBOUNCE, clock).await;
}

fn publish(list: &watch::Sender<RevocationList>, new: RevocationList) {
    list.send_if_modified(|list| {
        let is_update = *list != RevocationList::Pending;
        let is_changed = *list != new;
        *list = new;
        if is_changed && is_update {
            tracing::info!(wait = %Rounded(DEBOUNCE), "the list of revoked X.509 SVIDs has changed: writing it soon");
        }
        is_changed
    });
}

fn set_if_pending(list: &watch::Sender<RevocationList>, new: RevocationList) {
    list.send_if_modified(|list| {
        let is_pending = *list == RevocationList::Pending;
        if is_pending {
            *list = new;
        }
        is_pending
    });
}
