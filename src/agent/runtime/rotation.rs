//! Follows rotations of the cluster's certificate authorities: watches them, and has everything renewed when one changes
//! in a way that clients have to follow.
//!
//! Whatever fails here is calm: the next renewal by schedule brings the same. After a gap in the stream, what stands now
//! is compared with what was known, so that nothing that happened in the gap is missed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::running_agent::RunningAgent;
use crate::agent::credential::identity::Identity;
use crate::agent::credential::x509;
use crate::agent::platform::options::Clock;
use crate::agent::runtime::daemon::Current;
use crate::agent::runtime::schedule::{self, Backoff, LAST_RETRY, Rounded};
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::auth_client::{AuthClient, AuthorityState};

/// The authorities that the bot itself and most outputs depend on.
const TYPES: [&str; 3] = ["host", "user", "db"];
/// That of outputs for workloads, which older clusters do not have.
const WORKLOADS: &str = "spiffe";
/// The first version that is asked about [`WORKLOADS`].
const FIRST_WITH_WORKLOADS: u32 = 16;
/// A rotation changes several authorities one after the other; they are followed as one.
const DEBOUNCE: Duration = Duration::from_secs(10);

impl RunningAgent {
    /// Watches for as long as it is polled, and tells `renew` when everything has to be renewed.
    pub(super) async fn follow_rotations(
        self: Arc<Self>,
        current: watch::Receiver<Current>,
        renew: watch::Sender<()>,
    ) {
        let (changed, mut changes) = watch::channel(());
        tokio::join!(self.watch_authorities(current, changed), async {
            // Ends with the watcher, which holds the sender.
            while changes.changed().await.is_ok() {
                schedule::wait(DEBOUNCE, &self.bot.clock).await;
                // Counts as seen: what came meanwhile is followed by this renewal, too.
                changes.borrow_and_update();
                renew.send_replace(());
            }
        });
    }

    async fn watch_authorities(&self, mut current: watch::Receiver<Current>, changed: watch::Sender<()>) {
        let mut known = Known::default();
        let mut backoff = Backoff::new();
        let mut said = false;
        loop {
            let Some(identity) = valid(&mut current, &self.bot.clock).await else { return };
            let began = Instant::now();
            let ended = self.watch_as(&identity, &mut known, &changed).await;
            if began.elapsed() > LAST_RETRY {
                backoff = Backoff::new();
            }
            let wait = backoff.next(&self.randomness);
            let retry = Rounded(wait);
            match ended {
                Ok(()) => tracing::debug!(%retry, "the watch for rotations of authorities ended"),
                Err(error) if said => {
                    tracing::debug!(%retry, "cannot watch for rotations of authorities: {error}");
                }
                // Where nobody answers, the other loops say so.
                Err(error @ (ApiError::Connect { .. } | ApiError::NoResponse { .. })) => {
                    tracing::debug!(%retry, "cannot watch for rotations of authorities: {error}");
                }
                Err(error) => {
                    said = true;
                    tracing::info!(
                        %retry,
                        "cannot watch for rotations of authorities, which are followed at the next renewal then: {error}"
                    );
                }
            }
            schedule::wait(wait, &self.bot.clock).await;
        }
    }

    /// One stream, to its end or to that of the certificate that it was opened with.
    async fn watch_as(
        &self,
        identity: &Identity,
        known: &mut Known,
        changed: &watch::Sender<()>,
    ) -> Result<(), ApiError> {
        let client = AuthClient::connect(&self.bot.route, identity).await?;
        let cluster = identity.cluster();
        let mut types = TYPES.to_vec();
        let for_workloads = self.outputs.iter().any(|output| output.kind.is_for_workloads());
        if for_workloads && client.info().server_major >= FIRST_WITH_WORKLOADS {
            types.push(WORKLOADS);
        }
        let mut watch = client.watch_authorities(&types, cluster).await?;
        for ca_type in types {
            if let Some(state) = client.authority_state(ca_type, cluster).await? {
                known.take(state, Some(identity), changed);
            }
        }
        let left = identity.user.not_after.duration_since(self.bot.clock.now()).unwrap_or_default();
        let expired = schedule::wait(left, &self.bot.clock);
        tokio::pin!(expired);
        loop {
            tokio::select! {
                () = &mut expired => return Ok(()),
                event = watch.next() => match event? {
                    Some(state) if state.trusted.cluster == cluster => known.take(state, None, changed),
                    Some(_) => {}
                    None => return Ok(()),
                },
            }
        }
    }
}

/// The identity, as soon as there is one that has not expired; none when there will not be any more.
async fn valid(current: &mut watch::Receiver<Current>, clock: &Clock) -> Option<Arc<Identity>> {
    let is_valid =
        |current: &Current| current.as_ref().is_some_and(|identity| !identity.is_expired(clock.now()));
    current.wait_for(is_valid).await.ok()?.clone()
}

/// What was last seen of each authority.
#[derive(Default)]
struct Known(BTreeMap<String, AuthorityState>);

impl Known {
    /// Compares with what was known, and tells when clients have to follow. At first sight `identity` tells what the
    /// agent follows already.
    fn take(&mut self, state: AuthorityState, identity: Option<&Identity>, changed: &watch::Sender<()>) {
        let behind = match self.0.get(&state.ca_type) {
            // Whoever verifies a workload must know a key before it signs, so that every change of what is trusted counts.
            Some(known) if state.ca_type == WORKLOADS => known.trusted != state.trusted,
            Some(known) => *known != state && concerns_clients(&state.phase),
            None => {
                identity.is_none_or(|identity| !trusts(identity, &state)) && concerns_clients(&state.phase)
            }
        };
        if behind {
            tracing::info!(
                authority = %state.ca_type,
                phase = %state.phase,
                wait = %Rounded(DEBOUNCE),
                "an authority of the cluster is being rotated: renewing everything soon"
            );
            changed.send_replace(());
        } else {
            tracing::debug!(
                authority = %state.ca_type,
                phase = %state.phase,
                "an authority of the cluster was looked at: nothing to follow"
            );
        }
        self.0.insert(state.ca_type.clone(), state);
    }
}

/// `init` only announces new keys, and `update_servers` changes what servers show, which clients trust by then.
fn concerns_clients(phase: &str) -> bool {
    !matches!(phase, "" | "init" | "update_servers")
}

/// Whether the identity came with every certificate of an authority. It brings none of those for databases and workloads.
fn trusts(identity: &Identity, state: &AuthorityState) -> bool {
    let parsed = |pem: &String| x509::certificates(pem).unwrap_or_default();
    let trusted: Vec<_> = identity.certs.tls_cas.iter().flat_map(parsed).collect();
    matches!(state.ca_type.as_str(), "db" | WORKLOADS)
        || state.trusted.tls.iter().flat_map(parsed).all(|der| trusted.contains(&der))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::credential::authority::Authority;

    fn state(ca_type: &str, phase: &str, tls: &[&str]) -> AuthorityState {
        let tls = tls.iter().map(|pem| (*pem).to_owned()).collect();
        let trusted = Authority { cluster: "dev.test".to_owned(), ssh: Vec::new(), tls };
        AuthorityState { ca_type: ca_type.to_owned(), phase: phase.to_owned(), trusted }
    }

    /// Whether something has changed since this was last asked.
    fn seen(changes: &mut watch::Receiver<()>) -> bool {
        let changed = changes.has_changed().unwrap();
        changes.borrow_and_update();
        changed
    }

    #[test]
    fn clients_follow_the_phases_that_concern_them_and_each_once() {
        let (changed, mut changes) = watch::channel(());
        let mut known = Known::default();
        let mut follows = |phase, tls: &[&str]| {
            known.take(state("db", phase, tls), None, &changed);
            seen(&mut changes)
        };
        assert!(!follows("", &["old"]));
        assert!(!follows("init", &["old", "new"]));
        assert!(follows("update_clients", &["new", "old"]));
        assert!(!follows("update_clients", &["new", "old"]), "the same again");
        assert!(!follows("update_servers", &["new", "old"]));
        assert!(follows("rollback", &["old", "new"]));
        assert!(follows("standby", &["old"]));
        assert!(!follows("standby", &["old"]), "an authority may be put again for other reasons");
    }

    #[test]
    fn every_change_of_what_workloads_trust_is_followed() {
        let (changed, mut changes) = watch::channel(());
        let mut known = Known::default();
        known.0.insert(WORKLOADS.to_owned(), state(WORKLOADS, "", &["old"]));
        let mut follows = |phase, tls: &[&str]| {
            known.take(state(WORKLOADS, phase, tls), None, &changed);
            seen(&mut changes)
        };
        assert!(follows("init", &["old", "new"]), "it will sign soon");
        assert!(follows("update_clients", &["new", "old"]));
        assert!(!follows("update_servers", &["new", "old"]));
        assert!(follows("standby", &["new"]));
        assert!(!follows("standby", &["new"]));
    }
}
