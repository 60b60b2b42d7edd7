//! Serves the calls for resources: lists of applications, databases and Kubernetes clusters, application sessions,
//! and leaf clusters. Follows the recordings.

use std::time::Duration;

use serde_json::{Value, json};

use crate::authorities::MAX_TTL;
use crate::error::ApiError;
use crate::identity::Caller;
use crate::keys::{hex, random};
use crate::proto::{
    AppServerSpecV3, AppServerV3, AppSpecV3, AppV3, CreateAppSessionRequest, CreateAppSessionResponse,
    DatabaseServerSpecV3, DatabaseServerV3, DatabaseSpecV3, DatabaseV3, GetAppSessionRequest,
    GetAppSessionResponse, KubernetesClusterV3, KubernetesServerSpecV3, KubernetesServerV3,
    ListRemoteClustersRequest, ListRemoteClustersResponse, ListResourcesRequest, ListResourcesResponse,
    Metadata, PaginatedResource, RemoteClusterV3, WebSessionSpecV2, WebSessionV2,
};
use crate::resources::{Resource, ResourceKind};
use crate::shared::{SERVER_VERSION, Shared};
use crate::state::AppSession;

/// The time until the heartbeat of a resource's agent expires.
const HEARTBEAT: Duration = Duration::from_secs(10 * 60);
/// The host name of these agents.
const HOSTNAME: &str = "dev";

impl Shared {
    /// Lists resources. A bot's own role matches no labels, so with it the list is empty; the roles that the bot
    /// impersonates match all labels.
    pub(crate) fn list_resources(
        &self,
        caller: &Caller,
        request: &ListResourcesRequest,
    ) -> Result<ListResourcesResponse, ApiError> {
        let state = self.state();
        let (resources, next_key) = state.resources.page(request)?;
        if state.roles(&caller.roles).next().is_none() {
            return Ok(ListResourcesResponse::default());
        }
        drop(state);
        Ok(ListResourcesResponse {
            resources: resources.into_iter().map(|resource| self.resource_server(resource)).collect(),
            next_key,
        })
    }

    /// Returns the message for a resource: a server of its kind that contains it.
    fn resource_server(&self, resource: Resource) -> PaginatedResource {
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
            ResourceKind::Application { public_addr, uri } => {
                let spec = AppSpecV3 { uri, public_addr };
                let app =
                    AppV3 { kind: "app".into(), version: v3(), metadata: Some(inner), spec: Some(spec) };
                // As recorded, only this kind has no revision.
                let metadata = Metadata { revision: String::new(), ..outer };
                let spec = AppServerSpecV3 { version, hostname, host_id, app: Some(app) };
                let server = AppServerV3 {
                    kind: "app_server".into(),
                    version: v3(),
                    metadata: Some(metadata),
                    spec: Some(spec),
                };
                PaginatedResource { app_server: Some(server), ..PaginatedResource::default() }
            }
            ResourceKind::Database { protocol } => {
                let spec = DatabaseSpecV3 { protocol, uri: "127.0.0.1:9".to_owned() };
                let database =
                    DatabaseV3 { kind: "db".into(), version: v3(), metadata: Some(inner), spec: Some(spec) };
                let spec = DatabaseServerSpecV3 { version, hostname, host_id, database: Some(database) };
                let server = DatabaseServerV3 {
                    kind: "db_server".into(),
                    version: v3(),
                    metadata: Some(outer),
                    spec: Some(spec),
                };
                PaginatedResource { database_server: Some(server), ..PaginatedResource::default() }
            }
            ResourceKind::Kubernetes => {
                let cluster =
                    KubernetesClusterV3 { kind: "kube_cluster".into(), version: v3(), metadata: Some(inner) };
                let spec = KubernetesServerSpecV3 { version, hostname, host_id, cluster: Some(cluster) };
                let server = KubernetesServerV3 {
                    kind: "kube_server".into(),
                    version: v3(),
                    metadata: Some(outer),
                    spec: Some(spec),
                };
                PaginatedResource { kubernetes_server: Some(server), ..PaginatedResource::default() }
            }
        }
    }

    /// Creates a session without checking that the application exists.
    pub(crate) fn create_app_session(
        &self,
        caller: &Caller,
        request: &CreateAppSessionRequest,
    ) -> Result<CreateAppSessionResponse, ApiError> {
        if request.username != caller.username {
            return Err(ApiError::access_denied());
        }
        let id = hex(&random::<32>()?);
        let session = AppSession { user: caller.username.clone(), was_requested: false };
        self.state().app_sessions.insert(id.clone(), session.clone());
        Ok(CreateAppSessionResponse { session: Some(self.session_message(&id, &session)) })
    }

    pub(crate) fn get_app_session(
        &self,
        caller: &Caller,
        request: &GetAppSessionRequest,
    ) -> Result<GetAppSessionResponse, ApiError> {
        let id = &request.session_id;
        let mut state = self.state();
        let session = state.app_sessions.get_mut(id).filter(|session| session.user == caller.username);
        if let Some(session) = session
            && std::mem::replace(&mut session.was_requested, true)
        {
            return Ok(GetAppSessionResponse { session: Some(self.session_message(id, session)) });
        }
        Err(ApiError::not_found(format!("key \"/apps/sessions/{id}\" is not found")))
    }

    fn session_message(&self, id: &str, session: &AppSession) -> WebSessionV2 {
        let expires = Some(((self.clock)() + MAX_TTL).into());
        let metadata =
            Metadata { name: id.to_owned(), namespace: "default".to_owned(), expires, ..Metadata::default() };
        WebSessionV2 {
            kind: "web_session".to_owned(),
            sub_kind: "app_session".to_owned(),
            version: "v2".to_owned(),
            metadata: Some(metadata),
            spec: Some(WebSessionSpecV2 { user: session.user.clone(), expires }),
        }
    }

    /// Serves `ListRemoteClusters`, on one page. Every role may list every leaf cluster.
    pub(crate) fn list_remote_clusters(
        &self,
        _: &ListRemoteClustersRequest,
    ) -> Result<ListRemoteClustersResponse, ApiError> {
        let leaf = |name: &String| RemoteClusterV3 { metadata: Some(self.metadata(name)) };
        Ok(ListRemoteClustersResponse {
            remote_clusters: self.state().leaves.keys().map(leaf).collect(),
            next_page_token: String::new(),
        })
    }

    /// Serves `GET /v2/remoteclusters`. Every role may list every leaf cluster.
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
}
