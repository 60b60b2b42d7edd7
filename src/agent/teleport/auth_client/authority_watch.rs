//! Watching the cluster's certificate authorities: `WatchEvents`, a stream that says what changes, and what stands now.
//!
//! The messages are declared here as in `proto`: only the fields that the agent uses.

use std::collections::BTreeMap;

use http::uri::PathAndQuery;
use prost::Message;
use tonic::codec::Streaming;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use super::{AuthClient, CALL};
use crate::agent::credential::authority::Authority;
use crate::agent::platform::error_text::chain;
use crate::agent::teleport::api_error::{ApiError, from_status};
use crate::agent::teleport::grpc::unary;
use crate::agent::teleport::messages::{
    CertAuthority, GetCertAuthoritiesRequest, GetCertAuthoritiesResponse,
};

const WATCH_EVENTS: &str = "/proto.AuthService/WatchEvents";
const PUT: i32 = 1;

/// `proto.Watch`.
#[derive(Clone, PartialEq, Message)]
struct Watch {
    #[prost(message, repeated, tag = "1")]
    kinds: Vec<WatchKind>,
}

/// `types.WatchKind`. For authorities the filter maps a type to the cluster's name.
#[derive(Clone, PartialEq, Message)]
struct WatchKind {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(btree_map = "string, string", tag = "4")]
    filter: BTreeMap<String, String>,
}

/// `proto.Event`. The first one of a stream says only that the watch has begun.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Event {
    #[prost(int32, tag = "1")]
    r#type: i32,
    #[prost(message, optional, tag = "3")]
    cert_authority: Option<CertAuthority>,
}

/// Where an authority stands in a rotation, and what is trusted there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuthorityState {
    /// `host`, `user`, `db` or `spiffe`.
    pub(crate) ca_type: String,
    /// `init`, `update_clients`, `update_servers`, `standby`, `rollback`; empty before the first rotation.
    pub(crate) phase: String,
    pub(crate) trusted: Authority,
}

impl AuthorityState {
    fn new(authority: CertAuthority) -> Option<Self> {
        let CertAuthority { sub_kind: ca_type, spec } = authority;
        let mut spec = spec?;
        let phase = spec.rotation.take().map(|rotation| rotation.phase).unwrap_or_default();
        Some(Self { ca_type, phase, trusted: spec.into() })
    }
}

/// A watch that has begun: what changes from now on is in its stream.
pub(crate) struct AuthorityWatch(Streaming<Event>);

impl AuthorityWatch {
    /// The next change; `None` when the server has ended the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<AuthorityState>, ApiError> {
        loop {
            let event = self.0.message().await.map_err(|status| from_status(WATCH_EVENTS, &status))?;
            let Some(event) = event else { return Ok(None) };
            let changed = event.cert_authority.filter(|_| event.r#type == PUT);
            if let Some(state) = changed.and_then(AuthorityState::new) {
                return Ok(Some(state));
            }
        }
    }
}

impl AuthClient {
    /// Watches the authorities of these types of `cluster`. When this returns, the watch has begun.
    pub(crate) async fn watch_authorities(
        &self,
        types: &[&str],
        cluster: &str,
    ) -> Result<AuthorityWatch, ApiError> {
        let filter = types.iter().map(|ca_type| ((*ca_type).to_owned(), cluster.to_owned())).collect();
        let kinds = vec![WatchKind { kind: "cert_authority".to_owned(), filter }];
        let lost = |detail| ApiError::NoAnswer { method: WATCH_EVENTS, detail };
        let begin = async {
            let mut grpc = tonic::client::Grpc::new(self.channel.clone());
            grpc.ready().await.map_err(|error| lost(chain(&error)))?;
            let path = PathAndQuery::from_static(WATCH_EVENTS);
            let codec = ProstCodec::<Watch, Event>::default();
            let answered = grpc.server_streaming(Request::new(Watch { kinds }), path, codec).await;
            let mut stream = answered.map_err(|status| from_status(WATCH_EVENTS, &status))?.into_inner();
            let first = stream.message().await.map_err(|status| from_status(WATCH_EVENTS, &status))?;
            first.ok_or_else(|| lost("the stream ended before it began".to_owned()))?;
            Ok(AuthorityWatch(stream))
        };
        tokio::time::timeout(CALL, begin).await.map_err(|_| lost("no answer in time".to_owned()))?
    }

    /// Where the authority of a type of `cluster` stands now.
    pub(crate) async fn authority_state(
        &self,
        ca_type: &str,
        cluster: &str,
    ) -> Result<Option<AuthorityState>, ApiError> {
        let request = GetCertAuthoritiesRequest { r#type: ca_type.to_owned(), include_key: false };
        let reply: GetCertAuthoritiesResponse =
            unary(&self.channel, super::GET_CERT_AUTHORITIES, request).await?;
        let states = reply.cert_authorities.into_iter().filter_map(AuthorityState::new);
        Ok(states.into_iter().find(|state| state.trusted.cluster == cluster))
    }
}

impl ApiError {
    /// The server does not know the method.
    pub(crate) fn is_unimplemented(&self) -> bool {
        matches!(self, Self::Refused { code: Code::Unimplemented, .. })
    }
}
