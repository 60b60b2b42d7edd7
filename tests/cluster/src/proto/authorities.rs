//! The messages for certificate authorities, of `teleport.trust.v1.TrustService` and `proto.AuthService`.

use std::collections::BTreeMap;

use prost::Message;

use super::auth_service::Metadata;

/// `teleport.trust.v1.GetCertAuthoritiesRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct GetCertAuthoritiesRequest {
    /// The type of authority, such as `host`, `user` or `db`.
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

/// `teleport.trust.v1.GetCertAuthorityRequest`. The response is a [`CertAuthority`].
#[derive(Clone, PartialEq, Message)]
pub struct GetCertAuthorityRequest {
    #[prost(string, tag = "1")]
    pub r#type: String,
    /// The name of the cluster.
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
    /// Missing before the first rotation.
    #[prost(message, optional, tag = "8")]
    pub rotation: Option<Rotation>,
    #[prost(message, optional, tag = "11")]
    pub active_keys: Option<CaKeySet>,
    #[prost(message, optional, tag = "12")]
    pub additional_trusted_keys: Option<CaKeySet>,
}

/// `types.Rotation`, reduced to the state of a rotation.
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
    /// For certificate authorities, the name of the cluster by type.
    #[prost(btree_map = "string, string", tag = "4")]
    pub filter: BTreeMap<String, String>,
}

/// `proto.Event`, reduced to the first event of a watch and changed certificate authorities.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// 0 for the first event, 1 for a created or updated resource.
    #[prost(int32, tag = "1")]
    pub r#type: i32,
    #[prost(message, optional, tag = "3")]
    pub cert_authority: Option<CertAuthority>,
    #[prost(message, optional, tag = "43")]
    pub watch_status: Option<WatchStatus>,
}

/// `types.WatchStatusV1`, without its fields; watchers only check that it is present.
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

/// `types.JWTKeyPair`, without the private key.
#[derive(Clone, PartialEq, Message)]
pub struct JwtKeyPair {
    /// A PEM block `PUBLIC KEY`.
    #[prost(bytes = "vec", tag = "1")]
    pub public_key: Vec<u8>,
}

/// `types.SSHKeyPair`, without the private key.
#[derive(Clone, PartialEq, Message)]
pub struct SshKeyPair {
    /// An authorized_keys line with its newline.
    #[prost(bytes = "vec", tag = "1")]
    pub public_key: Vec<u8>,
}

/// `types.TLSKeyPair`, without the private key.
#[derive(Clone, PartialEq, Message)]
pub struct TlsKeyPair {
    /// A PEM certificate.
    #[prost(bytes = "vec", tag = "1")]
    pub cert: Vec<u8>,
}
