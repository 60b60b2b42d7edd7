//! The protobuf messages of the calls that an `identity` output makes. Depends on prost alone; knows no transport, no rules.
//!
//! Field numbers and names are those of Teleport 15's `proto.AuthService`, `teleport.trust.v1.TrustService` and `types`
//! messages, as its wire shows them. Only what this cluster or a client of it reads is declared; the conformance test
//! lists every recorded field that is not, so that nothing disappears unseen.

mod joining;
mod resources;
mod workload_identity;

use std::collections::BTreeMap;

use prost::Message;
use prost_types::Timestamp;

pub use joining::*;
pub use resources::*;
pub use workload_identity::*;

/// `google.protobuf.Empty`, `proto.PingRequest`: calls without an argument.
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
    /// `host:port` of the proxy's web address: what outputs write down.
    #[prost(string, tag = "4")]
    pub proxy_public_addr: String,
    #[prost(bool, tag = "5")]
    pub is_boring: bool,
    /// `ip:port` from which the server sees the caller.
    #[prost(string, tag = "7")]
    pub remote_addr: String,
    #[prost(bool, tag = "8")]
    pub load_all_cas: bool,
}

/// `proto.Features`, the three that name a kind of output.
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
    /// One authorized_keys line, with its newline. Both certificates are for this key.
    #[prost(bytes = "vec", tag = "1")]
    pub public_key: Vec<u8>,
    #[prost(string, tag = "2")]
    pub username: String,
    /// Mandatory: absent means the year 1, which has passed.
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
    /// Newer servers: the key of the SSH certificate, an authorized_keys line.
    #[prost(bytes = "vec", tag = "22")]
    pub ssh_public_key: Vec<u8>,
    /// Newer servers: the key of the X.509 certificate, PEM.
    #[prost(bytes = "vec", tag = "23")]
    pub tls_public_key: Vec<u8>,
    /// Newer servers: the certificates of roles may be used to get others.
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

/// `proto.Certs`: the reply of `GenerateUserCerts`, and what a join replies as JSON.
#[derive(Clone, PartialEq, Message)]
pub struct Certs {
    /// One OpenSSH certificate line, with its newline.
    #[prost(bytes = "vec", tag = "1")]
    pub ssh: Vec<u8>,
    /// One PEM certificate, the leaf only.
    #[prost(bytes = "vec", tag = "2")]
    pub tls: Vec<u8>,
    /// PEM certificates: the user CA, and for renewals the host CA behind it.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub tls_ca_certs: Vec<Vec<u8>>,
    /// authorized_keys lines, in the same order.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub ssh_ca_certs: Vec<Vec<u8>>,
}

/// `proto.GetClusterCACertResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct ClusterCaCert {
    /// The host CA's PEM certificates, one behind the other.
    #[prost(bytes = "vec", tag = "1")]
    pub tls_ca: Vec<u8>,
}

/// `proto.GetRoleRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct GetRoleRequest {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// `types.RoleV6`, with the one condition that a bot reads: whom it may impersonate.
#[derive(Clone, PartialEq, Message)]
pub struct Role {
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

/// `teleport.trust.v1.GetCertAuthoritiesRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct GetCertAuthoritiesRequest {
    /// `host`, `user` or `db`, and kinds that this cluster does not keep.
    #[prost(string, tag = "1")]
    pub r#type: String,
    #[prost(bool, tag = "2")]
    pub include_key: bool,
}

/// `teleport.trust.v1.GetCertAuthoritiesResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct GetCertAuthoritiesResponse {
    #[prost(message, repeated, tag = "1")]
    pub cert_authorities_v2: Vec<CertAuthority>,
}

/// `teleport.trust.v1.GetCertAuthorityRequest`; the reply is a `CertAuthority` itself.
#[derive(Clone, PartialEq, Message)]
pub struct GetCertAuthorityRequest {
    #[prost(string, tag = "1")]
    pub r#type: String,
    /// The cluster's name.
    #[prost(string, tag = "2")]
    pub domain: String,
    #[prost(bool, tag = "3")]
    pub include_key: bool,
}

/// `types.CertAuthorityV2`.
#[derive(Clone, PartialEq, Message)]
pub struct CertAuthority {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "2")]
    pub sub_kind: String,
    #[prost(string, tag = "3")]
    pub version: String,
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Metadata>,
    #[prost(message, optional, tag = "5")]
    pub spec: Option<CertAuthoritySpec>,
}

/// `types.CertAuthoritySpecV2`.
#[derive(Clone, PartialEq, Message)]
pub struct CertAuthoritySpec {
    #[prost(string, tag = "1")]
    pub r#type: String,
    #[prost(string, tag = "2")]
    pub cluster_name: String,
    /// Absent before the first rotation.
    #[prost(message, optional, tag = "8")]
    pub rotation: Option<Rotation>,
    #[prost(message, optional, tag = "11")]
    pub active_keys: Option<CaKeySet>,
    #[prost(message, optional, tag = "12")]
    pub additional_trusted_keys: Option<CaKeySet>,
}

/// `types.Rotation`, as far as it says where a rotation stands.
#[derive(Clone, PartialEq, Message)]
pub struct Rotation {
    #[prost(string, tag = "1")]
    pub state: String,
    #[prost(string, tag = "2")]
    pub phase: String,
    #[prost(string, tag = "3")]
    pub mode: String,
}

/// `proto.Watch`.
#[derive(Clone, PartialEq, Message)]
pub struct Watch {
    #[prost(message, repeated, tag = "1")]
    pub kinds: Vec<WatchKind>,
}

/// `types.WatchKind`.
#[derive(Clone, PartialEq, Message)]
pub struct WatchKind {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(bool, tag = "2")]
    pub load_secrets: bool,
    /// For authorities: type to the cluster's name.
    #[prost(btree_map = "string, string", tag = "4")]
    pub filter: BTreeMap<String, String>,
}

/// `proto.Event`, of which this cluster sends the first of a watch and changed authorities.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// 0 for the first event, 1 for a resource that was put.
    #[prost(int32, tag = "1")]
    pub r#type: i32,
    #[prost(message, optional, tag = "3")]
    pub cert_authority: Option<CertAuthority>,
    #[prost(message, optional, tag = "43")]
    pub watch_status: Option<WatchStatus>,
}

/// `types.WatchStatusV1`: that it is there is all that a watcher wants to know.
#[derive(Clone, PartialEq, Message)]
pub struct WatchStatus {}

/// `types.CAKeySet`.
#[derive(Clone, PartialEq, Message)]
pub struct CaKeySet {
    #[prost(message, repeated, tag = "1")]
    pub ssh: Vec<SshKeyPair>,
    #[prost(message, repeated, tag = "2")]
    pub tls: Vec<TlsKeyPair>,
    #[prost(message, repeated, tag = "3")]
    pub jwt: Vec<JwtKeyPair>,
}

/// `types.JWTKeyPair`, the public half.
#[derive(Clone, PartialEq, Message)]
pub struct JwtKeyPair {
    /// `PUBLIC KEY` in PEM.
    #[prost(bytes = "vec", tag = "1")]
    pub public_key: Vec<u8>,
}

/// `types.SSHKeyPair`, the public half.
#[derive(Clone, PartialEq, Message)]
pub struct SshKeyPair {
    /// One authorized_keys line, with its newline.
    #[prost(bytes = "vec", tag = "1")]
    pub public_key: Vec<u8>,
}

/// `types.TLSKeyPair`, the public half.
#[derive(Clone, PartialEq, Message)]
pub struct TlsKeyPair {
    /// One PEM certificate.
    #[prost(bytes = "vec", tag = "1")]
    pub cert: Vec<u8>,
}
