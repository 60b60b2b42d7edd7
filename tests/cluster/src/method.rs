//! The names of the methods that the cluster serves, as used by its call log and its faults.

/// `GET /webapi/find`, with or without the prefix `/v1`.
pub const FIND: &str = "GET /webapi/find";
/// `GET /webapi/ping`, with or without the prefix `/v1`.
pub const WEB_PING: &str = "GET /webapi/ping";
/// `POST /webapi/host/credentials`, with or without the prefix `/v1`.
pub const JOIN: &str = "POST /webapi/host/credentials";

/// Switches the connection to another protocol.
pub const CONNECTION_UPGRADE: &str = "GET /webapi/connectionupgrade";

/// A bidirectional stream that begins with a challenge from the cluster.
pub const REGISTER_USING_IAM: &str = "/proto.JoinService/RegisterUsingIAMMethod";
/// A bidirectional stream that begins with a challenge from the cluster.
pub const REGISTER_USING_AZURE: &str = "/proto.JoinService/RegisterUsingAzureMethod";

/// Part of the auth server's REST API.
pub const REMOTE_CLUSTERS: &str = "GET /v2/remoteclusters";
/// Part of the auth server's REST API.
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
/// A server stream.
pub const WATCH_EVENTS: &str = "/proto.AuthService/WatchEvents";

pub const ISSUE_WORKLOAD_IDENTITY: &str =
    "/teleport.workloadidentity.v1.WorkloadIdentityIssuanceService/IssueWorkloadIdentity";
pub const ISSUE_WORKLOAD_IDENTITIES: &str =
    "/teleport.workloadidentity.v1.WorkloadIdentityIssuanceService/IssueWorkloadIdentities";
pub const LIST_SPIFFE_FEDERATIONS: &str =
    "/teleport.machineid.v1.SPIFFEFederationService/ListSPIFFEFederations";

pub const SUBMIT_HEARTBEAT: &str = "/teleport.machineid.v1.BotInstanceService/SubmitHeartbeat";

/// Returns the method of a web request, given as `VERB /path`: the same without the version prefix.
pub(crate) fn from_web_request(request: &str) -> String {
    request.replacen(" /v1/webapi/", " /webapi/", 1)
}
