//! The auth server's gRPC services: dispatches calls to the methods of [`Shared`]. Unknown methods are refused with
//! code 12 (unimplemented), as on a server that is older than its client.

use std::fmt::Debug;
use std::future::{Ready, ready};
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use prost::Message;
use tonic::Status;
use tonic::body::Body;
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic_prost::ProstCodec;

use crate::error::ApiError;
use crate::identity::Caller;
use crate::message_stream::MessageStream;
use crate::method;
use crate::proto::{
    CreateAppSessionRequest, Features, GenerateHostCertRequest, GetAppSessionRequest,
    GetCertAuthoritiesRequest, GetCertAuthorityRequest, GetRoleRequest, ImpersonateConditions,
    IssueWorkloadIdentitiesRequest, IssueWorkloadIdentityRequest, ListRemoteClustersRequest,
    ListResourcesRequest, ListSpiffeFederationsRequest, PingRequest, PingResponse, RegisterUsingTokenRequest,
    RoleConditions, RoleSpecV6, RoleV6, StreamSignedCrlRequest, SubmitHeartbeatRequest,
    SubmitHeartbeatResponse, UserCertsRequest, Watch,
};
use crate::shared::Shared;

/// Serves a call of `caller`, which must have been admitted.
pub(crate) async fn serve(
    shared: &Shared,
    caller: &Caller,
    peer_addr: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Response<Body> {
    let version = request.headers().get("version").map(|value| value.to_str().unwrap_or_default().to_owned());
    match request.uri().path() {
        method::PING => unary(request, |_: PingRequest| Ok(shared.ping(peer_addr))).await,
        method::GENERATE_USER_CERTS => unary(request, |request| shared.user_certs(caller, &request)).await,
        method::GET_CLUSTER_CA_CERT => unary(request, |(): ()| Ok(shared.cluster_ca())).await,
        method::GET_ROLE => unary(request, |request| shared.role(caller, version.as_deref(), &request)).await,
        method::GET_CERT_AUTHORITIES => unary(request, |request| shared.cert_authorities(&request)).await,
        method::GET_CERT_AUTHORITY => unary(request, |request| shared.cert_authority(&request)).await,
        method::LIST_RESOURCES => unary(request, |request| shared.list_resources(caller, &request)).await,
        method::CREATE_APP_SESSION => {
            unary(request, |request| shared.create_app_session(caller, &request)).await
        }
        method::GET_APP_SESSION => unary(request, |request| shared.get_app_session(caller, &request)).await,
        method::WATCH_EVENTS => stream(request, |request| shared.watchers.watch(&request)).await,
        path if !shared.offers(path) => unimplemented(path),
        method::REGISTER_USING_TOKEN => serve_join(shared, Some(caller), request).await,
        method::GENERATE_HOST_CERT => {
            unary(request, |request| shared.generate_host_cert(caller, &request)).await
        }
        method::LIST_REMOTE_CLUSTERS => unary(request, |request| shared.list_remote_clusters(&request)).await,
        method::ISSUE_WORKLOAD_IDENTITY => {
            unary(request, |request| shared.issue_workload_identity(caller, &request)).await
        }
        method::ISSUE_WORKLOAD_IDENTITIES => {
            unary(request, |request| shared.issue_workload_identities(caller, &request)).await
        }
        method::LIST_SPIFFE_FEDERATIONS => {
            unary(request, |request| shared.spiffe_federations(&request)).await
        }
        method::STREAM_SIGNED_CRL => {
            stream(request, |StreamSignedCrlRequest {}| Ok(shared.stream_revocations()?)).await
        }
        method::SUBMIT_HEARTBEAT => {
            unary(request, |_: SubmitHeartbeatRequest| Ok(SubmitHeartbeatResponse {})).await
        }
        path => unimplemented(path),
    }
}

/// Serves a call of the join service that is not a stream, by a client with or without an accepted certificate.
pub(crate) async fn serve_join(
    shared: &Shared,
    caller: Option<&Caller>,
    request: Request<Full<Bytes>>,
) -> Response<Body> {
    match request.uri().path() {
        path @ method::REGISTER_USING_TOKEN if shared.offers(path) => {
            unary(request, |request| shared.register_using_token(caller, &request)).await
        }
        path => unimplemented(path),
    }
}

fn unimplemented(path: &str) -> Response<Body> {
    Status::unimplemented(format!("servers of this version do not serve {path}")).into_http()
}

/// Formats the request of a call in one line, for the call log.
pub(crate) fn summary(path: &str, message: &[u8]) -> String {
    fn decode<M: Message + Default + Debug>(message: &[u8]) -> String {
        M::decode(message).map_or_else(|error| error.to_string(), |message| format!("{message:?}"))
    }
    match path {
        method::GENERATE_USER_CERTS => decode::<UserCertsRequest>(message),
        method::GET_ROLE => decode::<GetRoleRequest>(message),
        method::GET_CERT_AUTHORITIES => decode::<GetCertAuthoritiesRequest>(message),
        method::GET_CERT_AUTHORITY => decode::<GetCertAuthorityRequest>(message),
        method::LIST_RESOURCES => decode::<ListResourcesRequest>(message),
        method::CREATE_APP_SESSION => decode::<CreateAppSessionRequest>(message),
        method::GET_APP_SESSION => decode::<GetAppSessionRequest>(message),
        method::WATCH_EVENTS => decode::<Watch>(message),
        method::ISSUE_WORKLOAD_IDENTITY => decode::<IssueWorkloadIdentityRequest>(message),
        method::ISSUE_WORKLOAD_IDENTITIES => decode::<IssueWorkloadIdentitiesRequest>(message),
        method::LIST_SPIFFE_FEDERATIONS => decode::<ListSpiffeFederationsRequest>(message),
        method::REGISTER_USING_TOKEN => decode::<RegisterUsingTokenRequest>(message),
        method::GENERATE_HOST_CERT => decode::<GenerateHostCertRequest>(message),
        method::LIST_REMOTE_CLUSTERS => decode::<ListRemoteClustersRequest>(message),
        method::SUBMIT_HEARTBEAT => decode::<SubmitHeartbeatRequest>(message),
        _ => String::new(),
    }
}

/// The tonic service for one call.
struct SingleCall<F>(Option<F>);

impl<Q, R, F: FnOnce(Q) -> Result<R, ApiError>> UnaryService<Q> for SingleCall<F> {
    type Response = R;
    type Future = Ready<Result<tonic::Response<R>, Status>>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        ready(self.handle(request))
    }
}

impl<Q, R, F> ServerStreamingService<Q> for SingleCall<F>
where
    R: Send + 'static,
    F: FnOnce(Q) -> Result<MessageStream<R>, ApiError>,
{
    type Response = R;
    type ResponseStream = MessageStream<R>;
    type Future = Ready<Result<tonic::Response<MessageStream<R>>, Status>>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        ready(self.handle(request))
    }
}

impl<F> SingleCall<F> {
    fn handle<Q, R>(&mut self, request: tonic::Request<Q>) -> Result<tonic::Response<R>, Status>
    where
        F: FnOnce(Q) -> Result<R, ApiError>,
    {
        let handler = self.0.take().ok_or_else(|| Status::internal("a call with two requests"))?;
        Ok(tonic::Response::new(handler(request.into_inner())?))
    }
}

async fn stream<Q, R, F>(request: Request<Full<Bytes>>, handler: F) -> Response<Body>
where
    Q: Message + Default + Send + 'static,
    R: Message + Default + Send + 'static,
    F: FnOnce(Q) -> Result<MessageStream<R>, ApiError>,
{
    Grpc::new(ProstCodec::<R, Q>::new()).server_streaming(SingleCall(Some(handler)), request).await
}

pub(crate) async fn unary<Q, R, F>(request: Request<Full<Bytes>>, handler: F) -> Response<Body>
where
    Q: Message + Default + Send + 'static,
    R: Message + Default + Send + 'static,
    F: FnOnce(Q) -> Result<R, ApiError>,
{
    Grpc::new(ProstCodec::<R, Q>::new()).unary(SingleCall(Some(handler)), request).await
}

impl Shared {
    pub(crate) fn ping(&self, peer_addr: SocketAddr) -> PingResponse {
        PingResponse {
            cluster_name: self.name.clone(),
            server_version: self.server_version.clone(),
            server_features: Some(Features { kubernetes: true, app: true, db: true }),
            proxy_public_addr: self.other_proxy.get().cloned().unwrap_or_else(|| self.proxy_public_addr()),
            is_boring: false,
            remote_addr: peer_addr.to_string(),
            load_all_cas: false,
        }
    }

    /// Serves `GetRole`. Callers may read the roles that they hold.
    fn role(
        &self,
        caller: &Caller,
        version: Option<&str>,
        request: &GetRoleRequest,
    ) -> Result<RoleV6, ApiError> {
        if let Some(version) = version.filter(|version| !is_semver(version)) {
            return Err(ApiError::invalid_argument(format!(
                "unrecognized client version: {version} is not a valid semver"
            )));
        }
        if !caller.roles.contains(&request.name) {
            let message = r#"access denied to perform action "read" on "role""#;
            return Err(ApiError::permission_denied(message));
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
        Ok(RoleV6 {
            kind: "role".to_owned(),
            sub_kind: String::new(),
            version: "v7".to_owned(),
            metadata: Some(metadata),
            spec: Some(RoleSpecV6 {
                allow: Some(RoleConditions { impersonate }),
                deny: Some(RoleConditions::default()),
            }),
        })
    }
}

/// Whether `version` consists of three numbers, optionally followed by a pre-release or build identifier.
fn is_semver(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = core.split('.').collect();
    numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u64>().is_ok())
}
