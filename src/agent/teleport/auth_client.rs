//! A client for the auth API as one identity: gRPC over one connection, through the proxy's web port or directly.
//!
//! Sends no `version` metadata; servers 15 to 19 accept that. Never retries a call.

mod authority_watch;
mod heartbeat;
mod host_cert;
mod leaf_clusters;
mod resources;
mod revocation_watch;
mod shared_responses;
mod workload_identity;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prost_types::Timestamp;
use tonic::transport::Channel;

use super::api_error::ApiError;
use super::grpc::{CALL_TIMEOUT, Connector, SINGLE_CALL_TIMEOUT, auth_endpoint, unary, unary_within};
use super::messages::{Certs, PingRequest, PingResponse, RouteToApp, RouteToDatabase, UserCertsRequest};
use super::server_version::major;
use crate::agent::credential::authority::CertAuthority;
use crate::agent::credential::identity::{Identity, SignedCerts};
use crate::agent::credential::keys::KeyPair;
use crate::agent::net::connection_error::ConnectionError;
use crate::agent::net::dialler::{DialTarget, Dialler};
use crate::config::Address;
pub(crate) use authority_watch::CaState;
pub(crate) use heartbeat::{Heartbeat, ServiceHealth};
pub(crate) use resources::{AppAddresses, Resource};
pub(crate) use shared_responses::CaType;
use shared_responses::SharedResponses;
pub(crate) use workload_identity::{Federation, SvidRequest, WorkloadSelector};

const PING: &str = "/proto.AuthService/Ping";
const GENERATE_USER_CERTS: &str = "/proto.AuthService/GenerateUserCerts";

/// Information about the cluster, from the response to `Ping`.
#[derive(Clone, Debug)]
pub(crate) struct ClusterInfo {
    /// The proxy's web address that the cluster advertises, if it is present and valid.
    pub(crate) proxy_public_addr: Option<Address>,
    /// The major version of the auth server: 15 for `15.0.0-dev`.
    pub(crate) server_major: u32,
}

/// The parameters of certificates that impersonate roles.
#[derive(Clone, Debug)]
pub(crate) struct Impersonation {
    pub(crate) roles: Vec<String>,
    pub(crate) expires: SystemTime,
    /// Whether the certificates may be used to request others.
    pub(crate) reissuable: bool,
    pub(crate) route: RouteTo,
}

/// The resource that a certificate gives access to.
#[derive(Clone, Debug)]
pub(crate) enum RouteTo {
    /// The cluster itself.
    Cluster,
    /// The leaf cluster with this name.
    Leaf(String),
    App(RouteToApp),
    Database(RouteToDatabase),
    /// The Kubernetes cluster with this name.
    Kubernetes(String),
}

/// A connection to the auth server.
pub(crate) struct AuthClient {
    channel: Channel,
    target: DialTarget,
    info: ClusterInfo,
    /// Boxed, because a client is a part of many futures.
    shared: Box<SharedResponses>,
}

impl AuthClient {
    /// Connects and sends a `Ping`, so that this succeeds only if the server has accepted the identity.
    pub(crate) async fn connect(dialler: &Dialler, identity: &Identity) -> Result<Self, ApiError> {
        let unreachable = |error: tonic::transport::Error| ApiError::Connect {
            cluster: identity.cluster().to_string(),
            route: dialler.describe_route(),
            source: ConnectionError::new(error),
        };
        let target = dialler.to_auth(identity)?;
        let connector = Connector(target.clone());
        let channel = auth_endpoint().connect_with_connector(connector).await.map_err(unreachable)?;
        let response: PingResponse = unary(&channel, PING, PingRequest {}).await?;
        let info = ClusterInfo {
            server_major: major(&response.server_version),
            // The discovery warns about an invalid address, once.
            proxy_public_addr: response.proxy_public_addr.parse().ok(),
        };
        Ok(Self { channel, target, info, shared: Box::default() })
    }

    /// Returns a client of the same auth server as another identity. It connects when it is first used.
    pub(crate) fn with_identity(&self, identity: &Identity) -> Result<Self, ApiError> {
        let target = self.target.dialler().to_auth(identity)?;
        Ok(Self {
            channel: auth_endpoint().connect_with_connector_lazy(Connector(target.clone())),
            target,
            info: self.info.clone(),
            shared: Box::default(),
        })
    }

    /// Returns the connection, for calls of other services.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(crate) fn info(&self) -> &ClusterInfo {
        &self.info
    }

    /// Renews the bot's own certificates for a new key: presents generation N and receives generation N + 1. Waits for the response
    /// as long as for one that cannot be requested again.
    pub(crate) async fn renew(
        &self,
        key: &KeyPair,
        username: &str,
        expires: SystemTime,
    ) -> Result<SignedCerts, ApiError> {
        let request = UserCertsRequest { username: username.to_owned(), ..UserCertsRequest::default() };
        self.generate(SINGLE_CALL_TIMEOUT, key, request, expires).await
    }

    /// Issues certificates for the bot's user `username` in `cluster` that impersonate roles.
    pub(crate) async fn impersonate(
        &self,
        key: &KeyPair,
        username: &str,
        cluster: &str,
        impersonation: Impersonation,
    ) -> Result<SignedCerts, ApiError> {
        let mut request = UserCertsRequest {
            username: username.to_owned(),
            route_to_cluster: cluster.to_owned(),
            role_requests: impersonation.roles,
            use_role_requests: true,
            reissuable_role_impersonation: impersonation.reissuable,
            ..UserCertsRequest::default()
        };
        match impersonation.route {
            RouteTo::Cluster => {}
            RouteTo::Leaf(leaf) => request.route_to_cluster = leaf,
            RouteTo::App(app) => request.route_to_app = Some(app),
            RouteTo::Database(database) => request.route_to_database = Some(database),
            RouteTo::Kubernetes(cluster) => request.kubernetes_cluster = cluster,
        }
        self.generate(CALL_TIMEOUT, key, request, impersonation.expires).await
    }

    async fn generate(
        &self,
        limit: Duration,
        key: &KeyPair,
        request: UserCertsRequest,
        expires: SystemTime,
    ) -> Result<SignedCerts, ApiError> {
        let request = UserCertsRequest { expires: Some(Timestamp::from(expires)), ..request };
        let request = request.with_keys(self.info.server_major, key.ssh_line()?, key.public_pem());
        let certs: Certs = unary_within(limit, &self.channel, GENERATE_USER_CERTS, request).await?;
        Ok(certs.into())
    }

    /// Returns the roles that the bot may impersonate. The bot's own role, which has the name of its user, lists them.
    pub(crate) async fn impersonable_roles(&self, username: &str) -> Result<Vec<String>, ApiError> {
        self.shared.impersonable_roles(&self.channel, username).await
    }

    /// Returns the host CA's certificates, concatenated in PEM.
    pub(crate) async fn host_ca_pem(&self) -> Result<String, ApiError> {
        self.shared.host_ca_pem(&self.channel).await
    }

    /// Returns the CAs of a type: the cluster's own and those of trusted leaf clusters.
    pub(crate) async fn authorities(&self, ca_type: CaType) -> Result<Arc<[CertAuthority]>, ApiError> {
        self.shared.authorities(&self.channel, ca_type).await
    }

    /// Returns the names of the leaf clusters that an identity of the bot with these roles may see. Connects as `identity` only for
    /// the first call with these roles; later calls get the same response.
    pub(crate) async fn leaf_clusters_as(
        &self,
        identity: &Identity,
        roles: &[String],
    ) -> Result<Vec<String>, ApiError> {
        let request = async { self.with_identity(identity)?.leaf_clusters().await };
        self.shared.leaf_clusters(roles, request).await
    }
}
