//! The calls about what is behind the cluster: lists of resources, application sessions, host certificates. Puts
//! [`crate::resources`], [`crate::state`] and [`crate::ca`] together. Sources: protocol facts, section 4.6; recordings.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::Code;

use crate::identity::Caller;
use crate::keys::{hex, random};
use crate::proto::{
    App, AppServer, AppServerSpec, AppSessionReply, AppSpec, CreateAppSessionRequest, Database,
    DatabaseServer, DatabaseServerSpec, DatabaseSpec, GetAppSessionRequest, KubernetesCluster,
    KubernetesServer, KubernetesServerSpec, ListResourcesRequest, ListResourcesResponse, Metadata,
    PaginatedResource, WebSession, WebSessionSpec,
};
use crate::resources::{Resource, ResourceKind};
use crate::state::MAX_TTL;
use crate::{Failure, SERVER_VERSION, Shared};

/// How long the agents behind resources promise to be there.
const HEARTBEAT: Duration = Duration::from_secs(10 * 60);
/// Where all of them run.
const HOSTNAME: &str = "dev";

/// An application session that was made.
#[derive(Clone, Debug)]
pub(crate) struct AppSession {
    user: String,
    /// The cache of a real server has not heard of a session at once, so the first look finds nothing.
    seen: bool,
}

/// The body of `POST /v2/ca/host/certs`.
#[derive(Debug, Deserialize)]
struct HostCertRequest {
    /// Base64 of an authorized_keys line.
    key: String,
    principals: Vec<String>,
    auth_domain: String,
    roles: Vec<String>,
    /// Nanoseconds.
    ttl: u64,
}

impl Shared {
    /// A bot's own role has no labels, so it sees nothing; those it takes on see everything.
    pub(crate) fn list_resources(
        &self,
        caller: &Caller,
        request: &ListResourcesRequest,
    ) -> Result<ListResourcesResponse, Failure> {
        let state = self.state();
        let (resources, next_key) = state.resources.page(request)?;
        if !caller.roles.iter().any(|role| state.role(role).is_some()) {
            return Ok(ListResourcesResponse::default());
        }
        drop(state);
        Ok(ListResourcesResponse {
            resources: resources.into_iter().map(|resource| self.server_of(resource)).collect(),
            next_key,
        })
    }

    fn server_of(&self, resource: Resource) -> PaginatedResource {
        let inner = Metadata {
            name: resource.name.clone(),
            namespace: "default".to_owned(),
            labels: resource.labels,
            ..Metadata::default()
        };
        let outer =
            Metadata { expires: Some(((self.clock)() + HEARTBEAT).into()), ..self.metadata(&resource.name) };
        let (version, v3) = (SERVER_VERSION.to_owned(), || "v3".to_owned());
        let (hostname, host_id) = (HOSTNAME.to_owned(), self.revision.clone());
        match resource.kind {
            ResourceKind::Application { public_addr } => {
                let spec = AppSpec { uri: "http://127.0.0.1:9".to_owned(), public_addr };
                let app = App { kind: "app".into(), version: v3(), metadata: Some(inner), spec: Some(spec) };
                // Recorded: of the three kinds, this one alone has no revision.
                let metadata = Metadata { revision: String::new(), ..outer };
                let spec = AppServerSpec { version, hostname, host_id, app: Some(app) };
                let server = AppServer {
                    kind: "app_server".into(),
                    version: v3(),
                    metadata: Some(metadata),
                    spec: Some(spec),
                };
                PaginatedResource { app_server: Some(server), ..PaginatedResource::default() }
            }
            ResourceKind::Database { protocol } => {
                let spec = DatabaseSpec { protocol, uri: "127.0.0.1:9".to_owned() };
                let database =
                    Database { kind: "db".into(), version: v3(), metadata: Some(inner), spec: Some(spec) };
                let spec = DatabaseServerSpec { version, hostname, host_id, database: Some(database) };
                let server = DatabaseServer {
                    kind: "db_server".into(),
                    version: v3(),
                    metadata: Some(outer),
                    spec: Some(spec),
                };
                PaginatedResource { database_server: Some(server), ..PaginatedResource::default() }
            }
            ResourceKind::Kubernetes => {
                let cluster =
                    KubernetesCluster { kind: "kube_cluster".into(), version: v3(), metadata: Some(inner) };
                let spec = KubernetesServerSpec { version, hostname, host_id, cluster: Some(cluster) };
                let server = KubernetesServer {
                    kind: "kube_server".into(),
                    version: v3(),
                    metadata: Some(outer),
                    spec: Some(spec),
                };
                PaginatedResource { kubernetes_server: Some(server), ..PaginatedResource::default() }
            }
        }
    }

    /// Whether there is such an application is not asked here.
    pub(crate) fn create_app_session(
        &self,
        caller: &Caller,
        request: &CreateAppSessionRequest,
    ) -> Result<AppSessionReply, Failure> {
        if request.username != caller.username {
            return Err(Failure::access_denied());
        }
        let id = hex(&random::<32>()?);
        let session = AppSession { user: caller.username.clone(), seen: false };
        self.state().app_sessions.insert(id.clone(), session.clone());
        Ok(self.session(&id, &session))
    }

    pub(crate) fn get_app_session(
        &self,
        caller: &Caller,
        request: &GetAppSessionRequest,
    ) -> Result<AppSessionReply, Failure> {
        let id = &request.session_id;
        let mut state = self.state();
        let session = state.app_sessions.get_mut(id).filter(|session| session.user == caller.username);
        if let Some(session) = session
            && std::mem::replace(&mut session.seen, true)
        {
            return Ok(self.session(id, session));
        }
        Err(Failure::new(Code::NotFound, format!("key \"/apps/sessions/{id}\" is not found")))
    }

    fn session(&self, id: &str, session: &AppSession) -> AppSessionReply {
        let expires = Some(((self.clock)() + MAX_TTL).into());
        let metadata =
            Metadata { name: id.to_owned(), namespace: "default".to_owned(), expires, ..Metadata::default() };
        AppSessionReply {
            session: Some(WebSession {
                kind: "web_session".to_owned(),
                sub_kind: "app_session".to_owned(),
                version: "v2".to_owned(),
                metadata: Some(metadata),
                spec: Some(WebSessionSpec { user: session.user.clone(), expires }),
            }),
        }
    }

    /// `GET /v2/remoteclusters`: every role may see every leaf.
    pub(crate) fn remote_clusters(&self) -> Value {
        let leaf = |name: &String| {
            json!({
                "kind": "remote_cluster",
                "version": "v3",
                "metadata": { "name": name },
                "status": { "connection": "online" },
            })
        };
        self.state().leaves.keys().map(leaf).collect()
    }

    /// `POST /v2/ca/host/certs`: a JSON string with one certificate line.
    pub(crate) fn host_cert(&self, caller: &Caller, body: &[u8]) -> Result<Value, Failure> {
        let bad = |message: String| Failure::new(Code::InvalidArgument, message);
        let request: HostCertRequest =
            serde_json::from_slice(body).map_err(|error| bad(format!("request: {error}")))?;
        let has_rule = {
            let state = self.state();
            caller.roles.iter().filter_map(|role| state.role(role)).any(|role| role.host_cert)
        };
        if !has_rule {
            let text = r#"access denied to perform action "create" on "host_cert""#;
            return Err(Failure::new(Code::PermissionDenied, text));
        }
        if request.roles != ["Node"] {
            return Err(bad(format!(
                "exactly one system role is wanted, and it is Node, not {:?}",
                request.roles
            )));
        }
        if request.auth_domain != self.name {
            return Err(bad(format!("{:?} is not this cluster", request.auth_domain)));
        }
        let key = BASE64_STANDARD.decode(request.key).map_err(|error| bad(format!("key: {error}")))?;
        let now = (self.clock)();
        let validity = (now, now + Duration::from_nanos(request.ttl));
        Ok(self.authorities().host_cert(&self.name, &key, &request.principals, validity)?.into())
    }
}
