//! The names of what the cluster serves, as its log and its faults know them.

/// `GET /webapi/find`, with or without `/v1` before it.
pub const FIND: &str = "GET /webapi/find";
/// `GET /webapi/ping`, with or without `/v1` before it.
pub const WEB_PING: &str = "GET /webapi/ping";
/// `POST /webapi/host/credentials`, with or without `/v1` before it.
pub const JOIN: &str = "POST /webapi/host/credentials";

/// Streams in which the cluster speaks first.
pub const REGISTER_USING_IAM: &str = "/proto.JoinService/RegisterUsingIAMMethod";
pub const REGISTER_USING_AZURE: &str = "/proto.JoinService/RegisterUsingAzureMethod";

/// REST on auth.
pub const REMOTE_CLUSTERS: &str = "GET /v2/remoteclusters";
pub const HOST_CERTS: &str = "POST /v2/ca/host/certs";

pub const PING: &str = "/proto.AuthService/Ping";
pub const GENERATE_USER_CERTS: &str = "/proto.AuthService/GenerateUserCerts";
pub const GET_CLUSTER_CA_CERT: &str = "/proto.AuthService/GetClusterCACert";
pub const GET_ROLE: &str = "/proto.AuthService/GetRole";
pub const LIST_RESOURCES: &str = "/proto.AuthService/ListResources";
pub const CREATE_APP_SESSION: &str = "/proto.AuthService/CreateAppSession";
pub const GET_APP_SESSION: &str = "/proto.AuthService/GetAppSession";
pub const GET_CERT_AUTHORITIES: &str = "/teleport.trust.v1.TrustService/GetCertAuthorities";
pub const GET_CERT_AUTHORITY: &str = "/teleport.trust.v1.TrustService/GetCertAuthority";
/// A stream of events.
pub const WATCH_EVENTS: &str = "/proto.AuthService/WatchEvents";

pub const ISSUE_WORKLOAD_IDENTITY: &str =
    "/teleport.workloadidentity.v1.WorkloadIdentityIssuanceService/IssueWorkloadIdentity";
pub const ISSUE_WORKLOAD_IDENTITIES: &str =
    "/teleport.workloadidentity.v1.WorkloadIdentityIssuanceService/IssueWorkloadIdentities";
pub const LIST_SPIFFE_FEDERATIONS: &str =
    "/teleport.machineid.v1.SPIFFEFederationService/ListSPIFFEFederations";

/// The name of a web request: its verb and path without the version prefix.
pub(crate) fn of_web(request: &str) -> String {
    request.replacen(" /v1/webapi/", " /webapi/", 1)
}
