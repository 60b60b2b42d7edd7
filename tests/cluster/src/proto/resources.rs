//! The messages for applications, databases, Kubernetes clusters and application sessions.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::Timestamp;

use super::auth_service::Metadata;

/// `proto.ListResourcesRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct ListResourcesRequest {
    /// `app_server`, `db_server` or `kube_server`.
    #[prost(string, tag = "1")]
    pub resource_type: String,
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(int32, tag = "3")]
    pub limit: i32,
    #[prost(string, tag = "4")]
    pub start_key: String,
    #[prost(btree_map = "string, string", tag = "5")]
    pub labels: BTreeMap<String, String>,
    #[prost(string, tag = "6")]
    pub predicate_expression: String,
    #[prost(message, optional, tag = "8")]
    pub sort_by: Option<SortBy>,
    #[prost(message, optional, tag = "10")]
    pub windows_desktop_filter: Option<WindowsDesktopFilter>,
}

/// `types.SortBy`.
#[derive(Clone, PartialEq, Message)]
pub struct SortBy {
    #[prost(bool, tag = "1")]
    pub is_desc: bool,
    #[prost(string, tag = "2")]
    pub field: String,
}

/// `types.WindowsDesktopFilter`.
#[derive(Clone, PartialEq, Message)]
pub struct WindowsDesktopFilter {
    #[prost(string, tag = "1")]
    pub host_id: String,
    #[prost(string, tag = "2")]
    pub name: String,
}

/// `proto.ListResourcesResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct ListResourcesResponse {
    #[prost(message, repeated, tag = "1")]
    pub resources: Vec<PaginatedResource>,
    #[prost(string, tag = "2")]
    pub next_key: String,
}

/// `proto.PaginatedResource`. Exactly one field is set.
#[derive(Clone, PartialEq, Message)]
pub struct PaginatedResource {
    #[prost(message, optional, tag = "1")]
    pub database_server: Option<DatabaseServer>,
    #[prost(message, optional, tag = "2")]
    pub app_server: Option<AppServer>,
    #[prost(message, optional, tag = "7")]
    pub kubernetes_server: Option<KubernetesServer>,
}

/// `types.AppServerV3`.
#[derive(Clone, PartialEq, Message)]
pub struct AppServer {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub version: String,
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Metadata>,
    #[prost(message, optional, tag = "5")]
    pub spec: Option<AppServerSpec>,
}

/// `types.AppServerSpecV3`.
#[derive(Clone, PartialEq, Message)]
pub struct AppServerSpec {
    #[prost(string, tag = "1")]
    pub version: String,
    #[prost(string, tag = "2")]
    pub hostname: String,
    #[prost(string, tag = "3")]
    pub host_id: String,
    #[prost(message, optional, tag = "5")]
    pub app: Option<App>,
}

/// `types.AppV3`.
#[derive(Clone, PartialEq, Message)]
pub struct App {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub version: String,
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Metadata>,
    #[prost(message, optional, tag = "5")]
    pub spec: Option<AppSpec>,
}

/// `types.AppSpecV3`.
#[derive(Clone, PartialEq, Message)]
pub struct AppSpec {
    #[prost(string, tag = "1")]
    pub uri: String,
    #[prost(string, tag = "2")]
    pub public_addr: String,
}

/// `types.DatabaseServerV3`.
#[derive(Clone, PartialEq, Message)]
pub struct DatabaseServer {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub version: String,
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Metadata>,
    #[prost(message, optional, tag = "5")]
    pub spec: Option<DatabaseServerSpec>,
}

/// `types.DatabaseServerSpecV3`.
#[derive(Clone, PartialEq, Message)]
pub struct DatabaseServerSpec {
    #[prost(string, tag = "6")]
    pub version: String,
    #[prost(string, tag = "7")]
    pub hostname: String,
    #[prost(string, tag = "8")]
    pub host_id: String,
    #[prost(message, optional, tag = "12")]
    pub database: Option<Database>,
}

/// `types.DatabaseV3`.
#[derive(Clone, PartialEq, Message)]
pub struct Database {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub version: String,
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Metadata>,
    #[prost(message, optional, tag = "5")]
    pub spec: Option<DatabaseSpec>,
}

/// `types.DatabaseSpecV3`.
#[derive(Clone, PartialEq, Message)]
pub struct DatabaseSpec {
    #[prost(string, tag = "1")]
    pub protocol: String,
    #[prost(string, tag = "2")]
    pub uri: String,
}

/// `types.KubernetesServerV3`.
#[derive(Clone, PartialEq, Message)]
pub struct KubernetesServer {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub version: String,
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Metadata>,
    #[prost(message, optional, tag = "5")]
    pub spec: Option<KubernetesServerSpec>,
}

/// `types.KubernetesServerSpecV3`.
#[derive(Clone, PartialEq, Message)]
pub struct KubernetesServerSpec {
    #[prost(string, tag = "1")]
    pub version: String,
    #[prost(string, tag = "2")]
    pub hostname: String,
    #[prost(string, tag = "3")]
    pub host_id: String,
    #[prost(message, optional, tag = "5")]
    pub cluster: Option<KubernetesCluster>,
}

/// `types.KubernetesClusterV3`.
#[derive(Clone, PartialEq, Message)]
pub struct KubernetesCluster {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub version: String,
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Metadata>,
}

/// `proto.CreateAppSessionRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct CreateAppSessionRequest {
    #[prost(string, tag = "1")]
    pub username: String,
    #[prost(string, tag = "3")]
    pub public_addr: String,
    #[prost(string, tag = "4")]
    pub cluster_name: String,
}

/// `proto.GetAppSessionRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct GetAppSessionRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
}

/// `proto.CreateAppSessionResponse` and `proto.GetAppSessionResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct AppSessionReply {
    #[prost(message, optional, tag = "1")]
    pub session: Option<WebSession>,
}

/// `types.WebSessionV2`. The id of the session is the name in its metadata.
#[derive(Clone, PartialEq, Message)]
pub struct WebSession {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "2")]
    pub sub_kind: String,
    #[prost(string, tag = "3")]
    pub version: String,
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Metadata>,
    #[prost(message, optional, tag = "5")]
    pub spec: Option<WebSessionSpec>,
}

/// `types.WebSessionSpecV2`, without the keys of a real session.
#[derive(Clone, PartialEq, Message)]
pub struct WebSessionSpec {
    #[prost(string, tag = "1")]
    pub user: String,
    #[prost(message, optional, tag = "7")]
    pub expires: Option<Timestamp>,
}
