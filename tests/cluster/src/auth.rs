//! The gRPC calls of the auth server. Depends on tonic for the framing and on [`crate::issue`] for what matters.
//! Everything that is not here answers code 12, as an older server does to a newer client.

use std::fmt::Debug;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use prost::Message;
use tonic::body::Body;
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use crate::ca::{Authorities, TlsAuthority};
use crate::identity::Caller;
use crate::proto::{
    CaKeySet, CertAuthority, CertAuthoritySpec, ClusterCaCert, CreateAppSessionRequest, Empty, Event,
    Features, GetAppSessionRequest, GetCertAuthoritiesRequest, GetCertAuthoritiesResponse,
    GetCertAuthorityRequest, GetRoleRequest, ImpersonateConditions, IssueWorkloadIdentitiesRequest,
    IssueWorkloadIdentityRequest, JwtKeyPair, ListResourcesRequest, ListSpiffeFederationsRequest, Metadata,
    PingResponse, Role, RoleConditions, RoleSpec, SshKeyPair, TlsKeyPair, UserCertsRequest, Watch,
};
use crate::rotation::Keys;
use crate::{Failure, Shared, events, method};

/// The first version that has an authority for what the agents of applications show.
const FIRST_WITH_APP_CLIENTS: u32 = 19;
/// Authorities that a Teleport server keeps and this cluster does not.
const OTHER_AUTHORITIES: [&str; 3] = ["jwt", "saml_idp", "oidc_idp"];

/// Answers one call of `caller`, who is known and admitted.
pub(crate) async fn answer(
    shared: &Shared,
    caller: &Caller,
    from: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Response<Body> {
    let version = request.headers().get("version").map(|value| value.to_str().unwrap_or_default().to_owned());
    match request.uri().path() {
        method::PING => unary(request, |_: Empty| Ok(shared.ping(from))).await,
        method::GENERATE_USER_CERTS => unary(request, |q| shared.user_certs(caller, &q)).await,
        method::GET_CLUSTER_CA_CERT => unary(request, |_: Empty| Ok(shared.cluster_ca())).await,
        method::GET_ROLE => unary(request, |q| shared.role(caller, version.as_deref(), &q)).await,
        method::GET_CERT_AUTHORITIES => unary(request, |q| shared.cert_authorities(&q)).await,
        method::GET_CERT_AUTHORITY => unary(request, |q| shared.cert_authority(&q)).await,
        method::LIST_RESOURCES => unary(request, |q| shared.list_resources(caller, &q)).await,
        method::CREATE_APP_SESSION => unary(request, |q| shared.create_app_session(caller, &q)).await,
        method::GET_APP_SESSION => unary(request, |q| shared.get_app_session(caller, &q)).await,
        method::WATCH_EVENTS => stream(request, |q| shared.events.watch(&q)).await,
        method::ISSUE_WORKLOAD_IDENTITY if shared.knows_workloads() => {
            unary(request, |q| shared.issue_workload_identity(caller, &q)).await
        }
        method::ISSUE_WORKLOAD_IDENTITIES if shared.knows_workloads() => {
            unary(request, |q| shared.issue_workload_identities(caller, &q)).await
        }
        method::LIST_SPIFFE_FEDERATIONS if shared.knows_workloads() => {
            unary(request, |q| shared.spiffe_federations(&q)).await
        }
        path => Status::unimplemented(format!("the development cluster does not serve {path}")).into_http(),
    }
}

/// The request of a call in one line, for the log.
pub(crate) fn summary(path: &str, message: &[u8]) -> String {
    fn of<M: Message + Default + Debug>(message: &[u8]) -> String {
        M::decode(message).map_or_else(|error| error.to_string(), |message| format!("{message:?}"))
    }
    match path {
        method::GENERATE_USER_CERTS => of::<UserCertsRequest>(message),
        method::GET_ROLE => of::<GetRoleRequest>(message),
        method::GET_CERT_AUTHORITIES => of::<GetCertAuthoritiesRequest>(message),
        method::GET_CERT_AUTHORITY => of::<GetCertAuthorityRequest>(message),
        method::LIST_RESOURCES => of::<ListResourcesRequest>(message),
        method::CREATE_APP_SESSION => of::<CreateAppSessionRequest>(message),
        method::GET_APP_SESSION => of::<GetAppSessionRequest>(message),
        method::WATCH_EVENTS => of::<Watch>(message),
        method::ISSUE_WORKLOAD_IDENTITY => of::<IssueWorkloadIdentityRequest>(message),
        method::ISSUE_WORKLOAD_IDENTITIES => of::<IssueWorkloadIdentitiesRequest>(message),
        method::LIST_SPIFFE_FEDERATIONS => of::<ListSpiffeFederationsRequest>(message),
        _ => String::new(),
    }
}

/// One answer for one message.
struct Once<F>(Option<F>);

impl<Q, R, F: FnOnce(Q) -> Result<R, Failure>> UnaryService<Q> for Once<F> {
    type Response = R;
    type Future = Ready<Result<tonic::Response<R>, Status>>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        let answer = self.0.take().ok_or_else(|| Status::internal("a unary call with two messages"));
        ready(answer.and_then(|answer| Ok(tonic::Response::new(answer(request.into_inner())?))))
    }
}

impl<F: FnOnce(Watch) -> Result<events::Stream, Failure>> ServerStreamingService<Watch> for Once<F> {
    type Response = Event;
    type ResponseStream = events::Stream;
    type Future = Ready<Result<tonic::Response<events::Stream>, Status>>;

    fn call(&mut self, request: tonic::Request<Watch>) -> Self::Future {
        let answer = self.0.take().ok_or_else(|| Status::internal("a call with two requests"));
        ready(answer.and_then(|answer| Ok(tonic::Response::new(answer(request.into_inner())?))))
    }
}

async fn stream<F>(request: Request<Full<Bytes>>, answer: F) -> Response<Body>
where
    F: FnOnce(Watch) -> Result<events::Stream, Failure>,
{
    Grpc::new(ProstCodec::<Event, Watch>::new()).server_streaming(Once(Some(answer)), request).await
}

async fn unary<Q, R, F>(request: Request<Full<Bytes>>, answer: F) -> Response<Body>
where
    Q: Message + Default + Send + 'static,
    R: Message + Default + Send + 'static,
    F: FnOnce(Q) -> Result<R, Failure>,
{
    Grpc::new(ProstCodec::<R, Q>::new()).unary(Once(Some(answer)), request).await
}

impl Shared {
    fn ping(&self, from: SocketAddr) -> PingResponse {
        PingResponse {
            cluster_name: self.name.clone(),
            server_version: self.server_version.clone(),
            server_features: Some(Features { kubernetes: true, app: true, db: true }),
            proxy_public_addr: self.addr.to_string(),
            is_boring: false,
            remote_addr: from.to_string(),
            load_all_cas: false,
        }
    }

    fn cluster_ca(&self) -> ClusterCaCert {
        let authorities = self.authorities();
        ClusterCaCert {
            tls_ca: authorities.host.trusted_tls().map(TlsAuthority::pem).collect::<String>().into(),
        }
    }

    /// A caller may read the roles it holds.
    fn role(
        &self,
        caller: &Caller,
        version: Option<&str>,
        request: &GetRoleRequest,
    ) -> Result<Role, Failure> {
        if let Some(version) = version.filter(|version| !is_semver(version)) {
            let text = format!("unrecognized client version: {version} is not a valid semver");
            return Err(Failure::new(Code::InvalidArgument, text));
        }
        if !caller.roles.contains(&request.name) {
            let text = r#"access denied to perform action "read" on "role""#;
            return Err(Failure::new(Code::PermissionDenied, text));
        }
        let state = self.state();
        let mut metadata = self.metadata(&request.name);
        let roles = match state.impersonates(&request.name) {
            Some((bot, roles)) => {
                metadata.description = format!("Automatically generated role for bot {bot}");
                metadata.labels = [("teleport.internal/bot".to_owned(), bot.to_owned())].into();
                roles.to_vec()
            }
            None => Vec::new(),
        };
        let impersonate = (!roles.is_empty()).then_some(ImpersonateConditions { users: Vec::new(), roles });
        Ok(Role {
            kind: "role".to_owned(),
            sub_kind: String::new(),
            version: "v7".to_owned(),
            metadata: Some(metadata),
            spec: Some(RoleSpec {
                allow: Some(RoleConditions { impersonate }),
                deny: Some(RoleConditions::default()),
            }),
        })
    }

    fn cert_authorities(
        &self,
        request: &GetCertAuthoritiesRequest,
    ) -> Result<GetCertAuthoritiesResponse, Failure> {
        let of = |cluster: &str, authorities: &Authorities| {
            self.authority(cluster, authorities, &request.r#type, request.include_key)
        };
        let mut all = vec![of(&self.name, &self.authorities())?];
        for (name, authorities) in &self.state().leaves {
            all.push(of(name, authorities)?);
        }
        Ok(GetCertAuthoritiesResponse { cert_authorities_v2: all })
    }

    fn cert_authority(&self, request: &GetCertAuthorityRequest) -> Result<CertAuthority, Failure> {
        let leaf = self.state().leaves.get(&request.domain).cloned();
        let own = self.authorities();
        let authorities = leaf.as_deref().unwrap_or(&own);
        let authority = self.authority(&request.domain, authorities, &request.r#type, request.include_key)?;
        if leaf.is_none() && request.domain != self.name {
            let text = format!("{} certificate authority {:?} is not found", request.r#type, request.domain);
            return Err(Failure::new(Code::NotFound, text));
        }
        Ok(authority)
    }

    fn authority(
        &self,
        cluster: &str,
        authorities: &Authorities,
        kind: &str,
        include_key: bool,
    ) -> Result<CertAuthority, Failure> {
        if include_key {
            return Err(Failure::access_denied());
        }
        let known = kind != "app_client" || self.major() >= FIRST_WITH_APP_CLIENTS;
        self.public_authority(cluster, authorities, kind).filter(|_| known).ok_or_else(|| {
            if OTHER_AUTHORITIES.contains(&kind) {
                let text = format!("the development cluster keeps no {kind} authority");
                Failure::new(Code::Unimplemented, text)
            } else {
                Failure::new(Code::InvalidArgument, format!("{kind:?} is not a known authority type"))
            }
        })
    }

    /// What everybody may know of an authority of `cluster`, when there is one of this kind.
    pub(crate) fn public_authority(
        &self,
        cluster: &str,
        authorities: &Authorities,
        kind: &str,
    ) -> Option<CertAuthority> {
        let authority = authorities.of_kind(kind)?;
        Some(CertAuthority {
            kind: "cert_authority".to_owned(),
            sub_kind: kind.to_owned(),
            version: "v2".to_owned(),
            metadata: Some(self.metadata(cluster)),
            spec: Some(CertAuthoritySpec {
                r#type: kind.to_owned(),
                cluster_name: cluster.to_owned(),
                rotation: authority.rotation(),
                active_keys: Some(key_set(Some(&authority.active))),
                additional_trusted_keys: Some(key_set(authority.additional.as_ref())),
            }),
        })
    }

    /// What every resource carries. All are as old as the cluster, so they share its id and revision.
    pub(crate) fn metadata(&self, name: &str) -> Metadata {
        Metadata {
            name: name.to_owned(),
            namespace: "default".to_owned(),
            id: self.id,
            revision: self.revision.clone(),
            ..Metadata::default()
        }
    }
}

/// The public halves.
fn key_set(keys: Option<&Arc<Keys>>) -> CaKeySet {
    let ssh = keys.iter().filter_map(|keys| keys.ssh.as_ref());
    let jwt = keys.iter().filter_map(|keys| keys.jwt.as_ref()?.public_pem().ok());
    CaKeySet {
        jwt: jwt.map(|pem| JwtKeyPair { public_key: pem.into() }).collect(),
        ssh: ssh.map(|ssh| SshKeyPair { public_key: ssh.public_line().into() }).collect(),
        tls: keys
            .iter()
            .filter_map(|k| k.tls.as_ref())
            .map(|tls| TlsKeyPair { cert: tls.pem().into() })
            .collect(),
    }
}

/// Whether `version` has three numbers, and perhaps a pre-release or a build behind them.
fn is_semver(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = core.split('.').collect();
    numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u64>().is_ok())
}
