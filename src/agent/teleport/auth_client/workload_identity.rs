//! Issues credentials for workload identities, and returns the CAs and the federated trust domains that verify them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::AuthClient;
use crate::agent::credential::authority::CertAuthority;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::convert::trusted_authority;
use crate::agent::teleport::grpc::{LARGE_RESPONSE_TIMEOUT, unary, unary_within};
use crate::agent::teleport::messages::{
    CertAuthorityV2, Credential, GetCertAuthorityRequest, IssueWorkloadIdentitiesRequest,
    IssueWorkloadIdentitiesResponse, IssueWorkloadIdentityRequest, IssueWorkloadIdentityResponse,
    JwtSvidParams, LabelSelector, ListSpiffeFederationsRequest, ListSpiffeFederationsResponse,
    SpiffeFederation, X509SvidParams,
};
use crate::agent::teleport::paged_list::PagedList;

const ISSUE_ONE: &str = "/teleport.workloadidentity.v1.WorkloadIdentityIssuanceService/IssueWorkloadIdentity";
const ISSUE_ALL: &str =
    "/teleport.workloadidentity.v1.WorkloadIdentityIssuanceService/IssueWorkloadIdentities";
const GET_CERT_AUTHORITY: &str = "/teleport.trust.v1.TrustService/GetCertAuthority";
const LIST_FEDERATIONS: &str = "/teleport.machineid.v1.SPIFFEFederationService/ListSPIFFEFederations";

/// The page size of the first request: small, because bundles may be large.
const PAGE_SIZE: i32 = 100;

/// A federated trust domain, and its bundle (a JWKS document) if the server has it.
#[derive(Clone, Debug)]
pub(crate) struct Federation {
    pub(crate) trust_domain: String,
    pub(crate) bundle: Option<String>,
}

impl From<SpiffeFederation> for Federation {
    fn from(federation: SpiffeFederation) -> Self {
        let bundle = federation.status.map(|status| status.current_bundle);
        Self {
            trust_domain: federation.metadata.unwrap_or_default().name,
            bundle: bundle.filter(|bundle| !bundle.is_empty()),
        }
    }
}

/// Selects workload identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WorkloadSelector {
    /// The one with this name.
    Name(String),
    /// Those that have all of these labels, each with one of its values.
    Labels(BTreeMap<String, Vec<String>>),
}

/// The credential to issue for each selected workload identity.
#[derive(Clone, Debug)]
pub(crate) enum SvidRequest {
    /// A certificate for the key with this `SubjectPublicKeyInfo` in DER.
    X509(Vec<u8>),
    /// A JWT for these audiences.
    Jwt(Vec<String>),
}

impl SvidRequest {
    /// Returns the two fields of a request, of which exactly one is set.
    fn params(self) -> (Option<X509SvidParams>, Option<JwtSvidParams>) {
        match self {
            Self::X509(public_key) => (Some(X509SvidParams { public_key, use_issuer_overrides: true }), None),
            Self::Jwt(audiences) => (None, Some(JwtSvidParams { audiences })),
        }
    }
}

impl AuthClient {
    /// Issues one credential for each selected workload identity that this identity may use.
    pub(crate) async fn issue_svids(
        &self,
        selector: &WorkloadSelector,
        request: SvidRequest,
        ttl: Duration,
    ) -> Result<Vec<Credential>, ApiError> {
        let (x509_svid_params, jwt_svid_params) = request.params();
        let requested_ttl = prost_types::Duration::try_from(ttl).ok();
        match selector {
            WorkloadSelector::Name(name) => {
                let name = name.clone();
                let request =
                    IssueWorkloadIdentityRequest { name, x509_svid_params, jwt_svid_params, requested_ttl };
                let response: IssueWorkloadIdentityResponse =
                    unary(&self.channel, ISSUE_ONE, request).await?;
                Ok(response.credential.into_iter().collect())
            }
            WorkloadSelector::Labels(labels) => {
                let label_selector = |(key, values): (&String, &Vec<String>)| LabelSelector {
                    key: key.clone(),
                    values: values.clone(),
                };
                let request = IssueWorkloadIdentitiesRequest {
                    label_selectors: labels.iter().map(label_selector).collect(),
                    x509_svid_params,
                    jwt_svid_params,
                    requested_ttl,
                };
                let response: IssueWorkloadIdentitiesResponse =
                    unary_within(LARGE_RESPONSE_TIMEOUT, &self.channel, ISSUE_ALL, request).await?;
                Ok(response.credentials)
            }
        }
    }

    /// Returns every trust domain that the cluster federates with.
    pub(crate) async fn federations(&self) -> Result<Vec<Federation>, ApiError> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        let mut list = PagedList::new(LIST_FEDERATIONS, PAGE_SIZE);
        loop {
            let request =
                |page_size| ListSpiffeFederationsRequest { page_size, page_token: page_token.clone() };
            let response: ListSpiffeFederationsResponse = list.request(&self.channel, request).await?;
            let is_last = response.next_page_token.is_empty();
            list.add(&response, response.spiffe_federations.len(), is_last)?;
            all.extend(response.spiffe_federations.into_iter().map(Federation::from));
            if is_last {
                return Ok(all);
            }
            page_token = response.next_page_token;
        }
    }

    /// Returns the cluster's CA of a type, or `None` if the response is empty.
    pub(crate) async fn authority(
        &self,
        ca_type: &str,
        cluster: &str,
    ) -> Result<Option<CertAuthority>, ApiError> {
        let request = GetCertAuthorityRequest {
            r#type: ca_type.to_owned(),
            domain: cluster.to_owned(),
            include_key: false,
        };
        let response: CertAuthorityV2 = unary(&self.channel, GET_CERT_AUTHORITY, request).await?;
        Ok(response.spec.and_then(trusted_authority))
    }
}
