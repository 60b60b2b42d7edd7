//! The messages of `proto.AuthService` for ping, certificates and roles.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::Timestamp;

/// `google.protobuf.Empty` and `proto.PingRequest`: a request without fields.
#[derive(Clone, PartialEq, Message)]
pub struct Empty {}

/// `proto.PingResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct PingResponse {
    #[prost(string, tag = "1")]
    pub cluster_name: String,
    #[prost(string, tag = "2")]
    pub server_version: String,
    #[prost(message, optional, tag = "3")]
    pub server_features: Option<Features>,
    /// The `host:port` of the proxy's web address, which outputs write to their files.
    #[prost(string, tag = "4")]
    pub proxy_public_addr: String,
    #[prost(bool, tag = "5")]
    pub is_boring: bool,
    /// The `ip:port` of the client as the server sees it.
    #[prost(string, tag = "7")]
    pub remote_addr: String,
    #[prost(bool, tag = "8")]
    pub load_all_cas: bool,
}

/// `proto.Features`, reduced to those that correspond to a type of output.
#[derive(Clone, PartialEq, Message)]
pub struct Features {
    #[prost(bool, tag = "1")]
    pub kubernetes: bool,
    #[prost(bool, tag = "2")]
    pub app: bool,
    #[prost(bool, tag = "3")]
    pub db: bool,
}

/// `proto.UserCertsRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct UserCertsRequest {
    /// An authorized_keys line with its newline. Both certificates are issued for this key.
    #[prost(bytes = "vec", tag = "1")]
    pub public_key: Vec<u8>,
    #[prost(string, tag = "2")]
    pub username: String,
    /// Required: a missing time means the year 1 and is refused.
    #[prost(message, optional, tag = "3")]
    pub expires: Option<Timestamp>,
    #[prost(string, tag = "4")]
    pub format: String,
    #[prost(string, tag = "5")]
    pub route_to_cluster: String,
    #[prost(string, repeated, tag = "6")]
    pub access_requests: Vec<String>,
    #[prost(string, tag = "7")]
    pub kubernetes_cluster: String,
    #[prost(message, optional, tag = "8")]
    pub route_to_database: Option<RouteToDatabase>,
    #[prost(string, tag = "9")]
    pub node_name: String,
    #[prost(message, optional, tag = "11")]
    pub route_to_app: Option<RouteToApp>,
    #[prost(string, repeated, tag = "12")]
    pub role_requests: Vec<String>,
    #[prost(message, optional, tag = "13")]
    pub route_to_windows_desktop: Option<RouteToWindowsDesktop>,
    #[prost(bool, tag = "14")]
    pub use_role_requests: bool,
    /// The key of the SSH certificate, an authorized_keys line. Newer servers only.
    #[prost(bytes = "vec", tag = "22")]
    pub ssh_public_key: Vec<u8>,
    /// The key of the X.509 certificate in PEM. Newer servers only.
    #[prost(bytes = "vec", tag = "23")]
    pub tls_public_key: Vec<u8>,
    /// Whether the certificates of impersonated roles may be used to request others. Newer servers only.
    #[prost(bool, tag = "27")]
    pub reissuable_role_impersonation: bool,
}

/// `proto.RouteToDatabase`.
#[derive(Clone, PartialEq, Message)]
pub struct RouteToDatabase {
    #[prost(string, tag = "1")]
    pub service_name: String,
    #[prost(string, tag = "2")]
    pub protocol: String,
    #[prost(string, tag = "3")]
    pub username: String,
    #[prost(string, tag = "4")]
    pub database: String,
}

/// `proto.RouteToApp`.
#[derive(Clone, PartialEq, Message)]
pub struct RouteToApp {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub session_id: String,
    #[prost(string, tag = "3")]
    pub public_addr: String,
    #[prost(string, tag = "4")]
    pub cluster_name: String,
}

/// `proto.RouteToWindowsDesktop`.
#[derive(Clone, PartialEq, Message)]
pub struct RouteToWindowsDesktop {
    #[prost(string, tag = "1")]
    pub windows_desktop: String,
    #[prost(string, tag = "2")]
    pub login: String,
}

/// `proto.Certs`: the response of `GenerateUserCerts` and, as JSON, of a join.
#[derive(Clone, PartialEq, Message)]
pub struct Certs {
    /// An OpenSSH certificate line with its newline.
    #[prost(bytes = "vec", tag = "1")]
    pub ssh: Vec<u8>,
    /// A PEM certificate, without a chain.
    #[prost(bytes = "vec", tag = "2")]
    pub tls: Vec<u8>,
    /// PEM certificates: the user CA, followed by the host CA in joins and renewals.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub tls_ca_certs: Vec<Vec<u8>>,
    /// authorized_keys lines in the same order.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub ssh_ca_certs: Vec<Vec<u8>>,
}

/// `proto.GetClusterCACertResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct ClusterCaCert {
    /// The concatenated PEM certificates of the host CA.
    #[prost(bytes = "vec", tag = "1")]
    pub tls_ca: Vec<u8>,
}

/// `proto.GetRoleRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct GetRoleRequest {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// `types.RoleV6`, reduced to the only condition that bots read: which roles they may impersonate.
#[derive(Clone, PartialEq, Message)]
pub struct RoleV6 {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "2")]
    pub sub_kind: String,
    #[prost(string, tag = "3")]
    pub version: String,
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Metadata>,
    #[prost(message, optional, tag = "5")]
    pub spec: Option<RoleSpec>,
}

/// `types.RoleSpecV6`.
#[derive(Clone, PartialEq, Message)]
pub struct RoleSpec {
    #[prost(message, optional, tag = "2")]
    pub allow: Option<RoleConditions>,
    #[prost(message, optional, tag = "3")]
    pub deny: Option<RoleConditions>,
}

/// `types.RoleConditions`.
#[derive(Clone, PartialEq, Message)]
pub struct RoleConditions {
    #[prost(message, optional, tag = "14")]
    pub impersonate: Option<ImpersonateConditions>,
}

/// `types.ImpersonateConditions`.
#[derive(Clone, PartialEq, Message)]
pub struct ImpersonateConditions {
    #[prost(string, repeated, tag = "1")]
    pub users: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub roles: Vec<String>,
}

/// `types.Metadata`.
#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(string, tag = "3")]
    pub description: String,
    #[prost(btree_map = "string, string", tag = "5")]
    pub labels: BTreeMap<String, String>,
    #[prost(message, optional, tag = "6")]
    pub expires: Option<Timestamp>,
    #[prost(int64, tag = "7")]
    pub id: i64,
    #[prost(string, tag = "8")]
    pub revision: String,
}
