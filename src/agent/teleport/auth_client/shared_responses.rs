//! Responses that several outputs need. They are requested once per connection, because the outputs of a oneshot run share one.
//! A failure is shared, too, so that a server that does not respond delays a run by one timeout and not by one for each output.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::OnceCell;
use tonic::transport::Channel;

use crate::agent::credential::authority::CertAuthority;
use crate::agent::platform::lock::lock;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::convert::trusted_authority;
use crate::agent::teleport::grpc::{LARGE_RESPONSE_TIMEOUT, unary, unary_within};
use crate::agent::teleport::messages::{
    CertAuthorityV2, GetCertAuthoritiesRequest, GetCertAuthoritiesResponse, GetClusterCaCertResponse,
    GetRoleRequest, RoleV6,
};

const GET_CLUSTER_CA_CERT: &str = "/proto.AuthService/GetClusterCACert";
const GET_ROLE: &str = "/proto.AuthService/GetRole";
const GET_CERT_AUTHORITIES: &str = "/teleport.trust.v1.TrustService/GetCertAuthorities";

type Shared<T> = OnceCell<Result<T, ApiError>>;

/// The names of the leaf clusters that a list of roles may see.
type LeafClusters = Arc<Shared<Vec<String>>>;

/// The responses that a connection has received.
#[derive(Default)]
pub(super) struct SharedResponses {
    roles: Shared<Vec<String>>,
    host_ca: Shared<String>,
    /// The CAs, by what they sign, as in [`CaType`].
    host: Shared<Arc<[CertAuthority]>>,
    user: Shared<Arc<[CertAuthority]>>,
    database: Shared<Arc<[CertAuthority]>>,
    openssh: Shared<Arc<[CertAuthority]>>,
    /// By list of roles.
    leaf_clusters: Mutex<HashMap<Vec<String>, LeafClusters>>,
}

/// The type of a CA, named after what it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaType {
    Host,
    User,
    Database,
    Openssh,
}

/// Requests the CAs of one type, of the cluster and its leaf clusters.
pub(super) async fn request_authorities(
    channel: &Channel,
    ca_type: &str,
) -> Result<Vec<CertAuthorityV2>, ApiError> {
    let request = GetCertAuthoritiesRequest { r#type: ca_type.to_owned(), include_key: false };
    let response: GetCertAuthoritiesResponse =
        unary_within(LARGE_RESPONSE_TIMEOUT, channel, GET_CERT_AUTHORITIES, request).await?;
    Ok(response.cert_authorities_v2)
}

impl SharedResponses {
    pub(super) async fn impersonable_roles(
        &self,
        channel: &Channel,
        username: &str,
    ) -> Result<Vec<String>, ApiError> {
        let request = async {
            let role: RoleV6 = unary(channel, GET_ROLE, GetRoleRequest { name: username.to_owned() }).await?;
            let allow = role.spec.and_then(|spec| spec.allow);
            let impersonate = allow.and_then(|allow| allow.impersonate);
            Ok(impersonate.map(|impersonate| impersonate.roles).unwrap_or_default())
        };
        self.roles.get_or_init(|| request).await.clone()
    }

    pub(super) async fn host_ca_pem(&self, channel: &Channel) -> Result<String, ApiError> {
        let request = async {
            let response: GetClusterCaCertResponse = unary(channel, GET_CLUSTER_CA_CERT, ()).await?;
            Ok(String::from_utf8_lossy(&response.tls_ca).into_owned())
        };
        self.host_ca.get_or_init(|| request).await.clone()
    }

    pub(super) async fn authorities(
        &self,
        channel: &Channel,
        ca_type: CaType,
    ) -> Result<Arc<[CertAuthority]>, ApiError> {
        let Self { host, user, database, openssh, .. } = self;
        let (name, shared) = match ca_type {
            CaType::Host => ("host", host),
            CaType::User => ("user", user),
            CaType::Database => ("db", database),
            CaType::Openssh => ("openssh", openssh),
        };
        let request = async {
            let authorities = request_authorities(channel, name).await?;
            let specs = authorities.into_iter().filter_map(|authority| authority.spec);
            Ok(specs.filter_map(trusted_authority).collect())
        };
        shared.get_or_init(|| request).await.clone()
    }

    /// Returns the response to `request` of the first caller with these roles.
    pub(super) async fn leaf_clusters(
        &self,
        roles: &[String],
        request: impl Future<Output = Result<Vec<String>, ApiError>>,
    ) -> Result<Vec<String>, ApiError> {
        let shared = {
            let mut requested = lock(&self.leaf_clusters);
            Arc::clone(requested.entry(roles.to_vec()).or_default())
        };
        shared.get_or_init(|| request).await.clone()
    }
}
