//! The auth API as one identity: gRPC over one connection through the proxy's web port. One I/O edge.
//!
//! No `version` metadata is sent: every server from 15 to 19 accepts that. No call is repeated here; who may
//! repeat one is decided where its consequences are known.

mod host_cert;
mod leaves;
mod resources;
mod watch;
mod workload_identity;

use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use http::Uri;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use prost_types::Timestamp;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

use super::advice;
use super::error::chain;
use super::identity::{Identity, SignedCerts};
use super::keys::{KeyError, KeyPair};
use super::proto::{
    CertAuthoritySpec, Certs, ClusterCaCert, Empty, GetCertAuthoritiesRequest, GetCertAuthoritiesResponse,
    GetRoleRequest, PingResponse, Role, RouteToApp, RouteToDatabase, UserCertsRequest,
};
use super::rest::RestError;
use super::route::{Route, TlsRoute};
use super::tls::{Inner, TlsError};
pub(crate) use resources::Found;
pub(crate) use watch::AuthorityState;
pub(crate) use workload_identity::{Federation, SvidRequest, WorkloadSelector};

const CONNECT: Duration = Duration::from_secs(10);
/// Short enough that a stop, which waits for a renewal under way, ends within the usual 30 s of grace.
const CALL: Duration = Duration::from_secs(15);
/// How often a connection with a call under way is looked at, which matters to streams. Auth ends connections that ask
/// more often than once a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// More pages than any list has: a server that never comes to an end is not listened to for ever.
const MOST_PAGES: usize = 1000;

const PING: &str = "/proto.AuthService/Ping";
const GENERATE_USER_CERTS: &str = "/proto.AuthService/GenerateUserCerts";
const GET_CLUSTER_CA_CERT: &str = "/proto.AuthService/GetClusterCACert";
const GET_ROLE: &str = "/proto.AuthService/GetRole";
const GET_CERT_AUTHORITIES: &str = "/teleport.trust.v1.TrustService/GetCertAuthorities";

/// A call to the auth API that did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApiError {
    /// No connection to auth.
    #[error(
        "cannot reach the auth server of {cluster} through the proxy {proxy}: {detail}{}",
        advice::to_auth(detail)
    )]
    Connect {
        /// Cluster's name.
        cluster: String,
        /// Address that was dialled.
        proxy: String,
        /// What the connection answered.
        detail: String,
    },
    /// The server answered with an error.
    #[error("{method} was refused by the auth server: {message} ({code:?}){hint}")]
    Refused {
        /// Full name of the gRPC method.
        method: &'static str,
        /// gRPC status code.
        code: Code,
        /// The server's message, as it came.
        message: String,
        /// What to check, with a leading semicolon, or nothing.
        hint: &'static str,
    },
    /// The connection ended or time ran out before an answer: the server may or may not have acted.
    #[error("{method} got no answer from the auth server: {detail}{}", advice::to_auth(detail))]
    NoAnswer {
        /// Full name of the gRPC method.
        method: &'static str,
        /// What the connection answered.
        detail: String,
    },
    /// TLS settings.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A REST call (servers up to 16).
    #[error(transparent)]
    Rest(#[from] RestError),
}

impl ApiError {
    fn endless(method: &'static str) -> Self {
        Self::NoAnswer { method, detail: format!("its list does not end after {MOST_PAGES} pages") }
    }

    /// The server says that this certificate's generation is not the one it has stored: the bot is locked.
    pub(crate) fn is_generation_mismatch(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("generation mismatch"))
    }

    /// True when the server certainly did not act on a call: it never got it, or said so. A refusal for rate
    /// (8), a lost race (9), a missing method (12) and missing authentication (16) come before the generation counts.
    pub(crate) fn was_not_acted_on(&self) -> bool {
        match self {
            Self::Refused { code, message, .. } => {
                let turned_away = matches!(
                    code,
                    Code::ResourceExhausted
                        | Code::FailedPrecondition
                        | Code::Unimplemented
                        | Code::Unauthenticated
                );
                // So is an end that has passed, as a clock that is late asks for.
                turned_away || message.contains("client credentials have expired")
            }
            Self::Connect { .. } | Self::Tls(_) | Self::Key(_) => true,
            Self::NoAnswer { .. } | Self::Rest(_) => false,
        }
    }
}

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

/// A certificate authority's trusted keys: active ones, then those additionally trusted during a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) cluster: String,
    /// authorized_keys lines without newline.
    pub(crate) ssh: Vec<String>,
    /// PEM certificates.
    pub(crate) tls: Vec<String>,
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
            .connect_with_connector(Connector(route.to_auth(identity, Inner::Http2)?))
            .await
            .map_err(|error| unreachable(chain(&error)))?;
        let pong: PingResponse = unary(&channel, PING, Empty {}).await?;
        let facts = ClusterFacts {
            server_major: major(&pong.server_version),
            proxy_public_addr: pong.proxy_public_addr,
        };
        Ok(Self { channel, rest: route.to_auth(identity, Inner::Http1)?, facts })
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

impl From<CertAuthoritySpec> for Authority {
    fn from(spec: CertAuthoritySpec) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let sets = [spec.active_keys, spec.additional_trusted_keys];
        let (mut ssh, mut tls) = (Vec::new(), Vec::new());
        for set in sets.into_iter().flatten() {
            ssh.extend(set.ssh.into_iter().map(|pair| text(pair.public_key).trim().to_owned()));
            tls.extend(set.tls.into_iter().map(|pair| text(pair.cert)));
        }
        Self { cluster: spec.cluster_name, ssh, tls }
    }
}

/// The major of a version such as `15.0.0-dev`; 0 when there is none, which asks for the oldest forms.
pub(crate) fn major(version: &str) -> u32 {
    version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
}

async fn unary<M, R>(channel: &Channel, method: &'static str, message: M) -> Result<R, ApiError>
where
    M: Message + 'static,
    R: Message + Default + 'static,
{
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    let lost = |detail| ApiError::NoAnswer { method, detail };
    grpc.ready().await.map_err(|error| lost(chain(&error)))?;
    let path = PathAndQuery::from_static(method);
    match grpc.unary(Request::new(message), path, ProstCodec::<M, R>::default()).await {
        Ok(response) => Ok(response.into_inner()),
        Err(status) => Err(from_status(method, &status)),
    }
}

/// A status with a source was made on this side, by the connection; the others are the server's words.
pub(super) fn from_status(method: &'static str, status: &Status) -> ApiError {
    let ours = status.source().map(chain);
    let lost = matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded | Code::Unavailable);
    if ours.is_some() || lost {
        return ApiError::NoAnswer { method, detail: ours.unwrap_or_else(|| status.message().to_owned()) };
    }
    let message = status.message().to_owned();
    let hint = advice::refused(&message);
    ApiError::Refused { method, code: status.code(), message, hint }
}

/// Opens a fresh routed connection whenever tonic wants one.
#[derive(Clone)]
pub(super) struct Connector(pub(super) TlsRoute);

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let route = self.0.clone();
        Box::pin(async move { route.open().await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_major_is_read_from_its_version() {
        assert_eq!([major("15.0.0-dev"), major("v17.2.1"), major("")], [15, 17, 0]);
    }

    #[test]
    fn only_answers_that_come_before_the_counter_leave_it_untouched() {
        let refused = |code, message: &str| from_status(GENERATE_USER_CERTS, &Status::new(code, message));
        assert!(refused(Code::FailedPrecondition, "Database comparison failed").was_not_acted_on());
        assert!(!refused(Code::Unknown, "backend").was_not_acted_on());
        assert!(!refused(Code::PermissionDenied, "access denied").was_not_acted_on());
        assert!(!refused(Code::Unavailable, "reset").was_not_acted_on());
        let locked =
            refused(Code::PermissionDenied, "renewable cert generation mismatch: stored=3, presented=2");
        assert!(locked.is_generation_mismatch());
        assert!(locked.to_string().contains("recreate the bot"), "{locked}");
    }
}
