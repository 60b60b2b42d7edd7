//! Messages about workload identities (`teleport.workloadidentity.v1`) and federations (`teleport.machineid.v1`), which
//! servers support from 17.2.7 on.

use std::fmt;

use prost::Message;

use super::Metadata;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct IssueWorkloadIdentityRequest {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Either this or `jwt_svid_params`: a `oneof` has the same encoding as separate fields.
    #[prost(message, optional, tag = "2")]
    pub(crate) x509_svid_params: Option<X509SvidParams>,
    #[prost(message, optional, tag = "3")]
    pub(crate) jwt_svid_params: Option<JwtSvidParams>,
    #[prost(message, optional, tag = "5")]
    pub(crate) requested_ttl: Option<prost_types::Duration>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct IssueWorkloadIdentityResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) credential: Option<Credential>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct IssueWorkloadIdentitiesRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) label_selectors: Vec<LabelSelector>,
    /// Either this or `jwt_svid_params`: a `oneof` has the same encoding as separate fields.
    #[prost(message, optional, tag = "2")]
    pub(crate) x509_svid_params: Option<X509SvidParams>,
    #[prost(message, optional, tag = "3")]
    pub(crate) jwt_svid_params: Option<JwtSvidParams>,
    #[prost(message, optional, tag = "5")]
    pub(crate) requested_ttl: Option<prost_types::Duration>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct IssueWorkloadIdentitiesResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) credentials: Vec<Credential>,
}

/// A label and its accepted values.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct LabelSelector {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(string, repeated, tag = "2")]
    pub(crate) values: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct X509SvidParams {
    /// `SubjectPublicKeyInfo` in DER.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) public_key: Vec<u8>,
    /// Whether a custom issuer configured by the cluster's administrator may sign the certificate.
    #[prost(bool, tag = "2")]
    pub(crate) use_issuer_overrides: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct JwtSvidParams {
    #[prost(string, repeated, tag = "1")]
    pub(crate) audiences: Vec<String>,
}

/// The credential that was issued for one workload identity.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Credential {
    #[prost(string, tag = "4")]
    pub(crate) workload_identity_name: String,
    #[prost(string, tag = "6")]
    pub(crate) spiffe_id: String,
    /// Either this or `jwt_svid`.
    #[prost(message, optional, tag = "7")]
    pub(crate) x509_svid: Option<X509SvidCredential>,
    #[prost(message, optional, tag = "8")]
    pub(crate) jwt_svid: Option<JwtSvidCredential>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct X509SvidCredential {
    /// One certificate in DER.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) cert: Vec<u8>,
    /// The issuing certificates in DER; empty if the cluster's own CA is the issuer.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) chain: Vec<Vec<u8>>,
}

/// A JWT. `Debug` omits it, because it is a secret.
#[derive(Clone, PartialEq, Eq, Message)]
#[prost(skip_debug)]
pub(crate) struct JwtSvidCredential {
    #[prost(string, tag = "1")]
    pub(crate) jwt: String,
}

impl fmt::Debug for JwtSvidCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwtSvidCredential(...)")
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListSpiffeFederationsRequest {
    #[prost(int32, tag = "1")]
    pub(crate) page_size: i32,
    #[prost(string, tag = "2")]
    pub(crate) page_token: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListSpiffeFederationsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) spiffe_federations: Vec<SpiffeFederation>,
    #[prost(string, tag = "2")]
    pub(crate) next_page_token: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SpiffeFederation {
    /// Its name is the name of the trust domain.
    #[prost(message, optional, tag = "4")]
    pub(crate) metadata: Option<Metadata>,
    /// Absent before the server has fetched the bundle for the first time.
    #[prost(message, optional, tag = "6")]
    pub(crate) status: Option<SpiffeFederationStatus>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SpiffeFederationStatus {
    /// A JWKS document.
    #[prost(string, tag = "1")]
    pub(crate) current_bundle: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_omits_the_token() {
        let jwt_svid = Some(JwtSvidCredential { jwt: "hunter2".to_owned() });
        let credential = Credential { jwt_svid, ..Credential::default() };
        let response = IssueWorkloadIdentityResponse { credential: Some(credential) };
        assert!(!format!("{response:?}").contains("hunter2"));
    }
}
