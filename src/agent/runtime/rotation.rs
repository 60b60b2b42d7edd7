//! Follows rotations of the cluster's CAs: watches the CAs, and renews everything when one changes in a way that
//! clients must follow.
//!
//! A failure here is not serious, because the next scheduled renewal has the same effect. After a gap in the stream, the
//! current state is compared with the last known one, so that no change is missed.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::current_identity::{CurrentIdentity, until_expiry, valid_identity};
use super::running_agent::RunningAgent;
use super::schedule;
use super::stream_retry::{DEBOUNCE, StreamRetry};
use crate::agent::credential::identity::Identity;
use crate::agent::credential::x509;
use crate::agent::platform::Rounded;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::auth_client::{AuthClient, CaState};

/// The types of the CAs that the bot itself and most outputs depend on.
const CA_TYPES: [&str; 3] = ["host", "user", "db"];
/// The type of the CA that issues credentials to workloads. Older clusters do not have it.
const WORKLOAD_CA: &str = "spiffe";
/// The first server version from which the agent requests [`WORKLOAD_CA`].
const FIRST_VERSION_WITH_WORKLOAD_CA: u32 = 16;

impl RunningAgent {
    /// Watches the CAs until dropped, and signals `renew` when everything must be renewed.
    pub(super) async fn follow_rotations(
        self: Arc<Self>,
        current: watch::Receiver<CurrentIdentity>,
        renew: watch::Sender<()>,
    ) {
        let (changed, mut changes) = watch::channel(());
        tokio::join!(self.watch_authorities(current, changed), async {
            // Ends together with the watch, which owns the sender.
            while changes.changed().await.is_ok() {
                schedule::wait(DEBOUNCE, &self.bot.clock).await;
                // The renewal also covers the changes that arrived in the meantime.
                changes.borrow_and_update();
                renew.send_replace(());
            }
        });
    }

    async fn watch_authorities(
        &self,
        mut current: watch::Receiver<CurrentIdentity>,
        changed: watch::Sender<()>,
    ) {
        let mut known = KnownStates::default();
        let mut retry = StreamRetry::new(
            "watch for CA rotations",
            "the agent follows a rotation only at its next scheduled renewals",
        );
        loop {
            let Some(identity) = valid_identity(&mut current, &self.bot.clock).await else { return };
            let started = Instant::now();
            let ended = self.watch_as(&identity, &mut known, &changed).await;
            retry.wait(ended, started, self).await;
        }
    }

    /// Watches one stream until it ends or until the certificate that opened it expires.
    async fn watch_as(
        &self,
        identity: &Identity,
        known: &mut KnownStates,
        changed: &watch::Sender<()>,
    ) -> Result<(), ApiError> {
        let client = AuthClient::connect(&self.bot.dialler, identity).await?;
        let cluster = identity.cluster();
        let mut types = CA_TYPES.to_vec();
        let for_workloads = self.outputs.iter().any(|output| output.kind.is_for_workloads());
        if for_workloads && client.info().server_major >= FIRST_VERSION_WITH_WORKLOAD_CA {
            types.push(WORKLOAD_CA);
        }
        let mut watch = client.watch_authorities(&types, cluster).await?;
        for ca_type in types {
            if let Some(state) = client.authority_state(ca_type, cluster).await? {
                known.update(state, Some(identity), changed);
            }
        }
        until_expiry(identity, &self.bot.clock, async {
            while let Some(state) = watch.next().await? {
                if state.trusted.cluster == *cluster {
                    known.update(state, None, changed);
                }
            }
            Ok(())
        })
        .await
    }
}

/// The last known state of each CA.
#[derive(Default)]
struct KnownStates(BTreeMap<String, CaState>);

impl KnownStates {
    /// Compares a state with the last known one, and signals `changed` if clients must follow the change. The first
    /// state of a CA is compared with what `identity` already trusts.
    fn update(&mut self, state: CaState, identity: Option<&Identity>, changed: &watch::Sender<()>) {
        let must_follow = match self.0.get(&state.ca_type) {
            // Programs that verify workloads must trust a key before it signs, so every change of the trusted keys
            // counts.
            Some(known) if state.ca_type == WORKLOAD_CA => known.trusted != state.trusted,
            Some(known) => *known != state && affects_clients(&state.phase),
            None => {
                identity.is_none_or(|identity| !trusts(identity, &state)) && affects_clients(&state.phase)
            }
        };
        if must_follow {
            tracing::info!(
                authority = %state.ca_type,
                phase = %state.phase,
                wait = %Rounded(DEBOUNCE),
                "a CA of the cluster is being rotated: renewing everything soon"
            );
            changed.send_replace(());
        } else {
            tracing::debug!(
                authority = %state.ca_type,
                phase = %state.phase,
                "the state of this CA requires no renewal"
            );
        }
        self.0.insert(state.ca_type.clone(), state);
    }
}

/// Returns true if clients must follow a change to this phase. `init` only announces new keys, and `update_servers`
/// changes the servers' certificates, which clients already trust.
fn affects_clients(phase: &str) -> bool {
    !matches!(phase, "" | "init" | "update_servers")
}

/// Returns true if the identity contains every certificate of a CA, or if it never contains this type of CA.
fn trusts(identity: &Identity, state: &CaState) -> bool {
    let parsed = |pem: &String| x509::certificates(pem).unwrap_or_default();
    let trusted: Vec<_> = identity.certs.tls_cas.iter().flat_map(parsed).collect();
    matches!(state.ca_type.as_str(), "db" | WORKLOAD_CA)
        || state.trusted.tls.iter().flat_map(parsed).all(|der| trusted.contains(&der))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::credential::authority::CertAuthority;

    fn state(ca_type: &str, phase: &str, tls: &[&str]) -> CaState {
        let tls = tls.iter().map(|pem| (*pem).to_owned()).collect();
        let trusted = CertAuthority { cluster: "dev.test".parse().unwrap(), ssh: Vec::new(), tls };
        CaState { ca_type: ca_type.to_owned(), phase: phase.to_owned(), trusted }
    }

    /// Returns true if there was a change since the last call.
    fn has_changed(changes: &mut watch::Receiver<()>) -> bool {
        let changed = changes.has_changed().unwrap();
        changes.borrow_and_update();
        changed
    }

    #[test]
    fn each_phase_that_affects_clients_is_followed_once() {
        let (changed, mut changes) = watch::channel(());
        let mut known = KnownStates::default();
        let mut follows = |phase, tls: &[&str]| {
            known.update(state("db", phase, tls), None, &changed);
            has_changed(&mut changes)
        };
        assert!(!follows("", &["old"]));
        assert!(!follows("init", &["old", "new"]));
        assert!(follows("update_clients", &["new", "old"]));
        assert!(!follows("update_clients", &["new", "old"]), "the same again");
        assert!(!follows("update_servers", &["new", "old"]));
        assert!(follows("rollback", &["old", "new"]));
        assert!(follows("standby", &["old"]));
        assert!(!follows("standby", &["old"]), "the CA may be written again for other reasons");
    }

    #[test]
    fn every_change_of_the_workload_ca_is_followed() {
        let (changed, mut changes) = watch::channel(());
        let mut known = KnownStates::default();
        known.0.insert(WORKLOAD_CA.to_owned(), state(WORKLOAD_CA, "", &["old"]));
        let mut follows = |phase, tls: &[&str]| {
            known.update(state(WORKLOAD_CA, phase, tls), None, &changed);
            has_changed(&mut changes)
        };
        assert!(follows("init", &["old", "new"]), "it will sign soon");
        assert!(follows("update_clients", &["new", "old"]));
        assert!(!follows("update_servers", &["new", "old"]));
        assert!(follows("standby", &["new"]));
        assert!(!follows("standby", &["new"]));
    }
}
