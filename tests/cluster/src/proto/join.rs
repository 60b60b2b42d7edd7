//! The messages of `proto.JoinService`, for joins with a challenge.

use prost::Message;
use prost_types::Timestamp;

use super::auth_service::Certs;

/// `types.RegisterUsingTokenRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct RegisterUsingTokenRequest {
    #[prost(string, tag = "1")]
    pub host_id: String,
    #[prost(string, tag = "2")]
    pub node_name: String,
    #[prost(string, tag = "3")]
    pub role: String,
    #[prost(string, tag = "4")]
    pub token: String,
    #[prost(string, repeated, tag = "5")]
    pub additional_principals: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    pub dns_names: Vec<String>,
    #[prost(bytes = "vec", tag = "7")]
    pub public_tls_key: Vec<u8>,
    /// An authorized_keys line.
    #[prost(bytes = "vec", tag = "8")]
    pub public_ssh_key: Vec<u8>,
    #[prost(string, tag = "9")]
    pub remote_addr: String,
    #[prost(bytes = "vec", tag = "10")]
    pub ec2_identity_document: Vec<u8>,
    #[prost(string, tag = "11")]
    pub id_token: String,
    #[prost(message, optional, tag = "12")]
    pub expires: Option<Timestamp>,
}

/// `proto.RegisterUsingIAMMethodRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct RegisterUsingIamMethodRequest {
    #[prost(message, optional, tag = "1")]
    pub register_using_token_request: Option<RegisterUsingTokenRequest>,
    /// A signed request in the format of HTTP/1.1.
    #[prost(bytes = "vec", tag = "2")]
    pub sts_identity_request: Vec<u8>,
}

/// `proto.RegisterUsingAzureMethodRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct RegisterUsingAzureMethodRequest {
    #[prost(message, optional, tag = "1")]
    pub register_using_token_request: Option<RegisterUsingTokenRequest>,
    #[prost(bytes = "vec", tag = "2")]
    pub attested_data: Vec<u8>,
    #[prost(string, tag = "3")]
    pub access_token: String,
}

/// `proto.RegisterUsingIAMMethodResponse` and `proto.RegisterUsingAzureMethodResponse`. The first response of a stream
/// contains the challenge, the second the certificates.
#[derive(Clone, PartialEq, Message)]
pub struct RegisterResponse {
    #[prost(string, tag = "1")]
    pub challenge: String,
    #[prost(message, optional, tag = "2")]
    pub certs: Option<Certs>,
}
