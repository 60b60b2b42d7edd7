//! Watches the cluster's certificate authorities: `WatchEvents` streams changes, `GetCertAuthorities` gives the current
//! state.

use tonic::codec::Streaming;

use super::AuthClient;
use super::shared_responses::request_authorities;
use crate::agent::credential::authority::CertAuthority;
use crate::agent::teleport::api_error::{ApiError, from_status};
use crate::agent::teleport::convert::trusted_authority;
use crate::agent::teleport::grpc::{CALL_TIMEOUT, server_stream};
use crate::agent::teleport::messages::{CertAuthorityV2, Event, Operation, Watch, WatchKind};
use crate::untrusted::escape;

const WATCH_EVENTS: &str = "/proto.AuthService/WatchEvents";

/// A certificate authority's rotation phase and trusted keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CaState {
    /// `host`, `user`, `db` or `spiffe`.
    pub(crate) ca_type: String,
    /// `init`, `update_clients`, `update_servers`, `standby`, `rollback`; empty before the first rotation.
    pub(crate) phase: String,
    pub(crate) trusted: CertAuthority,
}

impl CaState {
    fn new(authority: CertAuthorityV2) -> Option<Self> {
        let CertAuthorityV2 { sub_kind: ca_type, spec } = authority;
        let mut spec = spec?;
        let phase = spec.rotation.take().map(|rotation| rotation.phase).unwrap_or_default();
        let (ca_type, phase) = (escape(&ca_type).into(), escape(&phase).into());
        Some(Self { ca_type, phase, trusted: trusted_authority(spec)? })
    }
}

/// A watch that has started: its stream contains every change from now on.
pub(crate) struct AuthorityWatch(Streaming<Event>);

impl AuthorityWatch {
    /// Returns the next change, or `None` if the server ended the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<CaState>, ApiError> {
        loop {
            let event = self.0.message().await.map_err(|status| from_status(WATCH_EVENTS, status))?;
            let Some(event) = event else { return Ok(None) };
            let is_put = event.r#type() == Operation::Put;
            let changed = event.cert_authority.filter(|_| is_put);
            if let Some(state) = changed.and_then(CaState::new) {
                return Ok(Some(state));
            }
        }
    }
}

impl AuthClient {
    /// Watches the CAs of these types of `cluster`. The watch has started when this returns.
    pub(crate) async fn watch_authorities(
        &self,
        types: &[&str],
        cluster: &str,
    ) -> Result<AuthorityWatch, ApiError> {
        let filter = types.iter().map(|ca_type| ((*ca_type).to_owned(), cluster.to_owned())).collect();
        let kinds = vec![WatchKind { kind: "cert_authority".to_owned(), filter }];
        // The first event only reports that the watch has started.
        let (_, stream) = server_stream(&self.channel, WATCH_EVENTS, Watch { kinds }, CALL_TIMEOUT).await?;
        Ok(AuthorityWatch(stream))
    }

    /// Returns the current state of the CA of one type of `cluster`.
    pub(crate) async fn authority_state(
        &self,
        ca_type: &str,
        cluster: &str,
    ) -> Result<Option<CaState>, ApiError> {
        let authorities = request_authorities(&self.channel, ca_type).await?;
        let states = authorities.into_iter().filter_map(CaState::new);
        Ok(states.into_iter().find(|state| *state.trusted.cluster == *cluster))
    }
}
