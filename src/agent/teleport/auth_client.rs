//! The auth API as one identity: gRPC over one connection through the proxy's web port. One I/O edge.
//!
//! No `version` metadata is sent: every server from 15 to 19 accepts that. No call is repeated here; who may
//! repeat one is decided where its consequences are known.

mod authority_watch;
mod host_cert;
mod leaf_clusters;
mod resources;
mod workload_identity;

use std::time::{Duration, SystemTime};

use prost_types::Timestamp;
use tonic::transport::{Channel, Endpoint};

use super::api_error::ApiError;
use super::grpc::{Connector, unary};
use super::messages::{
    Certs, ClusterCaCert, Empty, GetCertAuthoritiesRequest, GetCertAuthoritiesResponse, GetRoleRequest,
    PingResponse, Role, RouteToApp, RouteToDatabase, UserCertsRequest,
};
use super::server_version::major;
use crate::agent::credential::authority::Authority;
use crate::agent::credential::identity::{Identity, SignedCerts};
use crate::agent::credential::keys::KeyPair;
use crate::agent::net::route::{Route, TlsRoute};
use crate::agent::net::tls::InnerAlpn;
use crate::agent::platform::error_text::chain;
pub(crate) use authority_watch::AuthorityState;
pub(crate) use resources::Found;
pub(crate) use workload_identity::{Federation, SvidRequest, WorkloadSelector};

const CONNECT: Duration = Duration::from_secs(10);
/// Short enough that a stop, which waits for a renewal under way, ends within the usual 30 s of grace.
const CALL: Duration = Duration::from_secs(15);
/// How often a connection with a call under way is looked at, which matters to streams. Auth ends connections that ask
/// more often than once a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

const PING: &str = "/proto.AuthService/Ping";
const GENERATE_USER_CERTS: &str = "/proto.AuthService/GenerateUserCerts";
const GET_CLUSTER_CA_CERT: &str = "/proto.AuthService/GetClusterCACert";
const GET_ROLE: &str = "/proto.AuthService/GetRole";
const GET_CERT_AUTHORITIES: &str = "/teleport.trust.v1.TrustService/GetCertAuthorities";

/// What `Ping` tells of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct ClusterFacts {
    /// `host:port` of the proxy's web address, as the cluster advertises it; may be empty.
    pub(crate) proxy_public_addr: String,
    /// 15 for `15.0.0-dev`.
    pub(crate) server_major: u32,
}

/// The bot acting with roles: what an output's certificates say.
#[derive(Clone, Debug)]
pub(crate) struct Impersonation {
    pub(crate) roles: Vec<String>,
    pub(crate) expires: SystemTime,
    /// Whether the certificates may be used to get others.
    pub(crate) reissuable: bool,
    pub(crate) route: RouteTo,
}

/// What a certificate leads to.
#[derive(Clone, Debug)]
pub(crate) enum RouteTo {
    /// The cluster itself.
    Cluster,
    /// A leaf cluster, by its name.
    Leaf(String),
    App(RouteToApp),
    Database(RouteToDatabase),
    /// A Kubernetes cluster, by its name.
    Kubernetes(String),
}

/// A connection to auth that answered a `Ping`.
pub(crate) struct AuthClient {
    channel: Channel,
    rest: TlsRoute,
    facts: ClusterFacts,
}

impl AuthClient {
    /// Connects and pings: whoever holds a client knows that its identity is accepted.
    pub(crate) async fn connect(route: &Route, identity: &Identity) -> Result<Self, ApiError> {
        let unreachable = |detail| ApiError::Connect {
            cluster: identity.cluster().to_owned(),
            proxy: route.address().to_string(),
            detail,
        };
        // With a connector of our own the address only fills `:authority`, which auth ignores.
        let channel = Endpoint::from_static("http://teleport.cluster.local")
            .connect_timeout(CONNECT)
            .timeout(CALL)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(CALL)
            .connect_with_connector(Connector(route.to_auth(identity, InnerAlpn::Http2)?))
            .await
            .map_err(|error| unreachable(chain(&error)))?;
        let pong: PingResponse = unary(&channel, PING, Empty {}).await?;
        let facts = ClusterFacts {
            server_major: major(&pong.server_version),
            proxy_public_addr: pong.proxy_public_addr,
        };
        Ok(Self { channel, rest: route.to_auth(identity, InnerAlpn::Http1)?, facts })
    }

    pub(crate) fn facts(&self) -> &ClusterFacts {
        &self.facts
    }

    /// The bot's own certificates for a new key: generation N is presented, N + 1 comes back.
    pub(crate) async fn renew(
        &self,
        key: &KeyPair,
        username: &str,
        expires: SystemTime,
    ) -> Result<SignedCerts, ApiError> {
        let request = UserCertsRequest { username: username.to_owned(), ..UserCertsRequest::default() };
        self.generate(key, request, expires).await
    }

    /// Certificates of the bot, named `username` in `cluster`, acting with roles.
    pub(crate) async fn impersonate(
        &self,
        key: &KeyPair,
        username: &str,
        cluster: &str,
        as_whom: Impersonation,
    ) -> Result<SignedCerts, ApiError> {
        let mut request = UserCertsRequest {
            username: username.to_owned(),
            route_to_cluster: cluster.to_owned(),
            role_requests: as_whom.roles,
            use_role_requests: true,
            reissuable_role_impersonation: as_whom.reissuable,
            ..UserCertsRequest::default()
        };
        match as_whom.route {
            RouteTo::Cluster => {}
            RouteTo::Leaf(leaf) => request.route_to_cluster = leaf,
            RouteTo::App(app) => request.route_to_app = Some(app),
            RouteTo::Database(database) => request.route_to_database = Some(database),
            RouteTo::Kubernetes(cluster) => request.kubernetes_cluster = cluster,
        }
        self.generate(key, request, as_whom.expires).await
    }

    async fn generate(
        &self,
        key: &KeyPair,
        request: UserCertsRequest,
        expires: SystemTime,
    ) -> Result<SignedCerts, ApiError> {
        let request = UserCertsRequest { expires: Some(Timestamp::from(expires)), ..request };
        let request = request.with_keys(self.facts.server_major, key.ssh_line()?, key.public_pem());
        unary::<_, Certs>(&self.channel, GENERATE_USER_CERTS, request).await.map(SignedCerts::from)
    }

    /// The roles that the bot's own role, named as the bot's user, lets it impersonate.
    pub(crate) async fn impersonable_roles(&self, username: &str) -> Result<Vec<String>, ApiError> {
        let role: Role = unary(&self.channel, GET_ROLE, GetRoleRequest { name: username.to_owned() }).await?;
        let allow = role.spec.and_then(|spec| spec.allow);
        Ok(allow.and_then(|allow| allow.impersonate).map(|impersonate| impersonate.roles).unwrap_or_default())
    }

    /// The host CA's certificates, PEM texts joined.
    pub(crate) async fn host_ca_pem(&self) -> Result<String, ApiError> {
        let reply: ClusterCaCert = unary(&self.channel, GET_CLUSTER_CA_CERT, Empty {}).await?;
        Ok(String::from_utf8_lossy(&reply.tls_ca).into_owned())
    }

    /// Every authority of a type (`host`, `user`, `db`): the cluster's own and those of trusted leaves.
    pub(crate) async fn authorities(&self, ca_type: &str) -> Result<Vec<Authority>, ApiError> {
        let request = GetCertAuthoritiesRequest { r#type: ca_type.to_owned(), include_key: false };
        let reply: GetCertAuthoritiesResponse = unary(&self.channel, GET_CERT_AUTHORITIES, request).await?;
        Ok(reply
            .cert_authorities
            .into_iter()
            .filter_map(|authority| authority.spec)
            .map(Authority::from)
            .collect())
    }
}
