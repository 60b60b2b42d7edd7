//! The messages for workload identities, which servers have from 17.2 on: `teleport.workloadidentity.v1`, and the
//! federations of `teleport.machineid.v1`.

use prost::Message;
use prost_types::{Duration, Timestamp};

use super::auth_service::Metadata;

#[derive(Clone, PartialEq, Message)]
pub struct IssueWorkloadIdentityRequest {
    #[prost(string, tag = "1")]
    pub name: String,
    /// Either this or `jwt_svid_params` is set.
    #[prost(message, optional, tag = "2")]
    pub x509_svid_params: Option<X509SvidParams>,
    #[prost(message, optional, tag = "3")]
    pub jwt_svid_params: Option<JwtSvidParams>,
    #[prost(message, optional, tag = "5")]
    pub requested_ttl: Option<Duration>,
}

#[derive(Clone, PartialEq, Message)]
pub struct IssueWorkloadIdentityResponse {
    #[prost(message, optional, tag = "1")]
    pub credential: Option<Credential>,
}

#[derive(Clone, PartialEq, Message)]
pub struct IssueWorkloadIdentitiesRequest {
    #[prost(message, repeated, tag = "1")]
    pub label_selectors: Vec<LabelSelector>,
    /// Either this or `jwt_svid_params` is set.
    #[prost(message, optional, tag = "2")]
    pub x509_svid_params: Option<X509SvidParams>,
    #[prost(message, optional, tag = "3")]
    pub jwt_svid_params: Option<JwtSvidParams>,
    #[prost(message, optional, tag = "5")]
    pub requested_ttl: Option<Duration>,
}

#[derive(Clone, PartialEq, Message)]
pub struct IssueWorkloadIdentitiesResponse {
    #[prost(message, repeated, tag = "1")]
    pub credentials: Vec<Credential>,
}

#[derive(Clone, PartialEq, Message)]
pub struct LabelSelector {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, repeated, tag = "2")]
    pub values: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct X509SvidParams {
    /// A SubjectPublicKeyInfo in DER.
    #[prost(bytes = "vec", tag = "1")]
    pub public_key: Vec<u8>,
    #[prost(bool, tag = "2")]
    pub use_issuer_overrides: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct JwtSvidParams {
    #[prost(string, repeated, tag = "1")]
    pub audiences: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Credential {
    #[prost(message, optional, tag = "1")]
    pub ttl: Option<Duration>,
    #[prost(message, optional, tag = "2")]
    pub expires_at: Option<Timestamp>,
    #[prost(string, tag = "4")]
    pub workload_identity_name: String,
    #[prost(string, tag = "5")]
    pub workload_identity_revision: String,
    #[prost(string, tag = "6")]
    pub spiffe_id: String,
    /// Either this or `jwt_svid` is set.
    #[prost(message, optional, tag = "7")]
    pub x509_svid: Option<X509SvidCredential>,
    #[prost(message, optional, tag = "8")]
    pub jwt_svid: Option<JwtSvidCredential>,
}

#[derive(Clone, PartialEq, Message)]
pub struct X509SvidCredential {
    /// In DER.
    #[prost(bytes = "vec", tag = "1")]
    pub cert: Vec<u8>,
    #[prost(string, tag = "2")]
    pub serial_number: String,
    /// Intermediate certificates, each in DER.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub chain: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct JwtSvidCredential {
    #[prost(string, tag = "1")]
    pub jwt: String,
    #[prost(string, tag = "2")]
    pub jti: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ListSpiffeFederationsRequest {
    #[prost(int32, tag = "1")]
    pub page_size: i32,
    #[prost(string, tag = "2")]
    pub page_token: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ListSpiffeFederationsResponse {
    #[prost(message, repeated, tag = "1")]
    pub spiffe_federations: Vec<SpiffeFederation>,
    #[prost(string, tag = "2")]
    pub next_page_token: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct SpiffeFederation {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub version: String,
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Metadata>,
    /// Missing until the server has fetched the bundle for the first time.
    #[prost(message, optional, tag = "6")]
    pub status: Option<SpiffeFederationStatus>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SpiffeFederationStatus {
    /// A JWKS document.
    #[prost(string, tag = "1")]
    pub current_bundle: String,
}
