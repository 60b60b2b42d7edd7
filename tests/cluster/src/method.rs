//! The names of the methods that the cluster serves, as used by its call log and its faults.

/// `GET /webapi/find`, with or without the prefix `/v1`.
pub const FIND: &str = "GET /webapi/find";
/// `GET /webapi/ping`, with or without the prefix `/v1`.
pub const WEB_PING: &str = "GET /webapi/ping";
/// `POST /webapi/host/credentials`, with or without the prefix `/v1`.
pub const JOIN: &str = "POST /webapi/host/credentials";

/// Switches the connection to another protocol.
pub const CONNECTION_UPGRADE: &str = "GET /webapi/connectionupgrade";

/// A connection through the proxy to an application or a database. The summary is `<protocol> <name>`, and for databases
/// also the user and the database.
pub const TUNNEL: &str = "tunnel";

/// A bidirectional stream that begins with a challenge from the cluster.
pub const REGISTER_USING_IAM: &str = "/proto.JoinService/RegisterUsingIAMMethod";
/// A bidirectional stream that begins with a challenge from the cluster.
pub const REGISTER_USING_AZURE: &str = "/proto.JoinService/RegisterUsingAzureMethod";

/// Has the content of [`JOIN`].
pub const REGISTER_USING_TOKEN: &str = "/proto.JoinService/RegisterUsingToken";
/// A bidirectional stream for all join methods, which the client begins.
pub const JOIN_V1: &str = "/teleport.join.v1.JoinService/Join";
/// The same as part of the auth server's REST API, for clients without a certificate.
pub const REGISTER_TOKEN: &str = "POST /v2/tokens/register";

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
pub const GENERATE_HOST_CERT: &str = "/teleport.trust.v1.TrustService/GenerateHostCert";
pub const LIST_REMOTE_CLUSTERS: &str = "/teleport.presence.v1.PresenceService/ListRemoteClusters";
pub const GET_CERT_AUTHORITY: &str = "/teleport.trust.v1.TrustService/GetCertAuthority";
/// A server stream.
pub const WATCH_EVENTS: &str = "/proto.AuthService/WatchEvents";

pub const ISSUE_WORKLOAD_IDENTITY: &str =
    "/teleport.workloadidentity.v1.WorkloadIdentityIssuanceService/IssueWorkloadIdentity";
pub const ISSUE_WORKLOAD_IDENTITIES: &str =
    "/teleport.workloadidentity.v1.WorkloadIdentityIssuanceService/IssueWorkloadIdentities";
pub const LIST_SPIFFE_FEDERATIONS: &str =
    "/teleport.machineid.v1.SPIFFEFederationService/ListSPIFFEFederations";

/// A server stream.
pub const STREAM_SIGNED_CRL: &str =
    "/teleport.workloadidentity.v1.WorkloadIdentityRevocationService/StreamSignedCRL";

/// A connection to a node through the proxy. The summary is `<host>:<port> cluster=<name> login=<user>`.
pub const PROXY_SSH: &str = "/teleport.transport.v1.TransportService/ProxySSH";

pub const SUBMIT_HEARTBEAT: &str = "/teleport.machineid.v1.BotInstanceService/SubmitHeartbeat";

/// Returns whether servers of this version, major and minor, offer a method.
pub(crate) fn is_offered(method: &str, version: (u32, u32)) -> bool {
    let (first, removed_in) = match method {
        HOST_CERTS => ((0, 0), Some(16)),
        REMOTE_CLUSTERS => ((0, 0), Some(17)),
        REGISTER_TOKEN => ((0, 0), Some(18)),
        JOIN | REGISTER_USING_IAM | REGISTER_USING_AZURE => ((0, 0), Some(20)),
        REGISTER_USING_TOKEN => ((17, 0), Some(20)),
        GENERATE_HOST_CERT | LIST_REMOTE_CLUSTERS => ((16, 0), None),
        ISSUE_WORKLOAD_IDENTITY | ISSUE_WORKLOAD_IDENTITIES | LIST_SPIFFE_FEDERATIONS => ((17, 0), None),
        SUBMIT_HEARTBEAT => ((17, 0), None),
        STREAM_SIGNED_CRL => ((17, 5), None),
        // The first release of version 18 that offers it is not known. Early ones do not.
        JOIN_V1 => ((18, 3), None),
        _ => ((0, 0), None),
    };
    version >= first && removed_in.is_none_or(|major| version.0 < major)
}

/// Returns whether a method is a stream of one of the join services.
pub(crate) fn is_join_stream(method: &str) -> bool {
    matches!(method, REGISTER_USING_IAM | REGISTER_USING_AZURE | JOIN_V1)
}

/// Returns the method of a web request, given as `VERB /path`: the same without the version prefix.
pub(crate) fn from_web_request(request: &str) -> String {
    request.replacen(" /v1/webapi/", " /webapi/", 1)
}
