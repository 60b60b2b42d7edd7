//! Discovers a cluster, before the first credential: through a proxy with `GET /webapi/find`, or at an auth server (see
//! [`auth_discovery`](super::auth_discovery)).
//!
//! `proxy_server` is the address of a proxy. `auth_server` may be that of either kind of server, so both kinds are tried. The port
//! decides which one comes first, later the kind that was found before. Only an error that a server of the other kind may cause
//! leads to the second attempt.

use std::fmt;
use std::ops::RangeInclusive;

use serde::Deserialize;

use super::advertised_address::advertised_address;
use super::auth_discovery::{self, AuthDiscoveryError, UnverifiedAuthServer};
use super::server_hints;
use super::server_version::major;
use super::web_api::{self, WebApiError};
use crate::agent::credential::cluster_name::ClusterName;
use crate::agent::net::dialler::Dialler;
use crate::agent::net::known_server::ServerKind;
use crate::agent::net::web::{HttpError, WebClient};
use crate::agent::platform::Hint;
use crate::config::Address;
use crate::untrusted::escape;

/// The major versions of Teleport servers that the agent supports.
pub const SUPPORTED_VERSIONS: RangeInclusive<u32> = 15..=19;

/// The configuration key that the address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressField {
    ProxyServer,
    AuthServer,
}

impl AddressField {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ProxyServer => "proxy_server",
            Self::AuthServer => "auth_server",
        }
    }
}

/// The server at the address cannot be reached, or did not respond like a Teleport server.
#[derive(Clone, Debug, thiserror::Error)]
pub struct DiscoveryError {
    field: AddressField,
    address: Address,
    #[source]
    problem: Box<DiscoveryProblem>,
}

#[derive(Clone, Debug, thiserror::Error)]
enum DiscoveryProblem {
    /// The server is not a usable proxy.
    #[error(transparent)]
    Proxy(WebApiError),
    /// The server is not a usable auth server.
    #[error(transparent)]
    Auth(AuthDiscoveryError),
    /// The server is neither.
    #[error("as a proxy: {as_proxy}; as an auth server: {as_auth}")]
    Neither { as_proxy: WebApiError, as_auth: AuthDiscoveryError },
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, address, problem } = self;
        let field = field.name();
        match &**problem {
            DiscoveryProblem::Proxy(WebApiError::Http(_))
            | DiscoveryProblem::Auth(AuthDiscoveryError::Connection(_)) => {
                write!(f, "cannot reach {address} ({field})")
            }
            DiscoveryProblem::Proxy(_) => write!(f, "{field}: GET https://{address}/webapi/find failed"),
            DiscoveryProblem::Auth(_) => write!(f, "cannot use the auth server {address} ({field})"),
            DiscoveryProblem::Neither { .. } => {
                write!(f, "cannot reach a proxy or an auth server at {address} ({field})")
            }
        }
    }
}

impl DiscoveryError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        let specific = match &*self.problem {
            DiscoveryProblem::Proxy(error) => self.proxy_hint(error),
            DiscoveryProblem::Auth(error) => error.hint(),
            DiscoveryProblem::Neither { as_proxy, as_auth } => {
                self.proxy_hint(as_proxy).or_else(|| as_auth.hint())
            }
        };
        specific.or_else(|| {
            Some(Hint::new(match self.field {
                AddressField::ProxyServer => {
                    "check that the proxy is up, and that this is the address of its web UI"
                }
                AddressField::AuthServer => {
                    "check that the server is up, and that this is its address; for a proxy, set proxy_server to the address of its web UI"
                }
            }))
        })
    }

    fn proxy_hint(&self, error: &WebApiError) -> Option<Hint> {
        let port_hint = || teleport_port_hint(&self.address, self.field);
        match error {
            WebApiError::Http(HttpError::Tls(error)) => error.hint(),
            WebApiError::Http(HttpError::Connection(error)) if error.failed_before_server() => error.hint(),
            WebApiError::Http(HttpError::Connection(error)) => {
                port_hint().or_else(|| server_hints::for_proxy_connection(error))
            }
            WebApiError::ErrorStatus { .. } | WebApiError::NotTeleport(_) | WebApiError::ClusterName(_) => {
                port_hint()
            }
        }
    }

    /// Returns whether a retry may succeed without any change by the operator.
    pub(crate) fn is_transient(&self) -> bool {
        match &*self.problem {
            DiscoveryProblem::Proxy(error) => error.is_transient(),
            DiscoveryProblem::Auth(error) => error.is_transient(),
            // Without root certificates, only an auth server can be reached.
            DiscoveryProblem::Neither { as_proxy: WebApiError::Http(HttpError::Tls(_)), as_auth } => {
                as_auth.is_transient()
            }
            DiscoveryProblem::Neither { as_proxy, as_auth } => {
                as_proxy.is_transient() && as_auth.is_transient()
            }
        }
    }
}

/// Returns true if a server that does not respond like a proxy may be an auth server.
fn may_be_auth_server(error: &WebApiError) -> bool {
    match error {
        WebApiError::Http(HttpError::Connection(error)) => !error.failed_before_tls(),
        // An auth server is reached without root certificates.
        WebApiError::Http(HttpError::Tls(_)) | WebApiError::NotTeleport(_) => true,
        WebApiError::ErrorStatus { .. } => !error.is_transient(),
        WebApiError::ClusterName(_) => false,
    }
}

/// Returns a hint for the ports on which Teleport by default serves something else than its web API.
fn teleport_port_hint(address: &Address, field: AddressField) -> Option<Hint> {
    let port = address.port();
    let is_expected = port == 3025 && field == AddressField::AuthServer;
    let server = address.usual_server().filter(|_| !is_expected)?;
    let hint = format!(
        "port {port} is usually that of {server}: use the port of the proxy's web UI, such as 443 or 3080"
    );
    Some(hint.into())
}

/// A cluster as its proxy describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiscoveredCluster {
    pub(crate) cluster_name: ClusterName,
    pub(crate) server_version: String,
    /// The oldest client version that the cluster supports; may be empty.
    pub(crate) min_client_version: String,
    /// The types of keys that the cluster prefers, such as `balanced-v1`. Empty if the server does not say.
    pub(crate) signature_algorithm_suite: String,
    /// The address that the proxy advertises, if any.
    pub(crate) proxy_public_addr: Option<Address>,
    /// A warning if the address that the proxy advertises is not valid.
    pub(crate) address_problem: Option<String>,
}

/// Returns a warning if this agent does not support a version of Teleport. The oldest client version that the cluster supports may
/// be empty.
///
/// This is only a warning, because servers do not check the version of this agent, which sends none.
fn version_problem(server_version: &str, min_client_version: &str) -> Option<String> {
    let (oldest, newest) = SUPPORTED_VERSIONS.into_inner();
    let problem = match major(server_version) {
        // The version is unknown.
        0 => return None,
        version if SUPPORTED_VERSIONS.contains(&version) => return None,
        version if version < oldest => {
            "which is older than this agent supports: if something fails, upgrade the cluster".to_owned()
        }
        _ if major(min_client_version) > newest => format!(
            "which requires clients of version {min_client_version} or newer, and is newer than this agent supports: update tbot"
        ),
        _ => "which is newer than this agent supports: if joining or renewing fails, update tbot".to_owned(),
    };
    Some(format!("the cluster runs Teleport {server_version}, {problem} (supported: {oldest} to {newest})"))
}

#[derive(Deserialize)]
struct FindResponse {
    cluster_name: String,
    server_version: String,
    #[serde(default)]
    min_client_version: String,
    #[serde(default)]
    auth: AuthSettings,
    proxy: ProxySettings,
}

#[derive(Default, Deserialize)]
struct AuthSettings {
    #[serde(default)]
    signature_algorithm_suite: String,
}

#[derive(Deserialize)]
struct ProxySettings {
    ssh: SshSettings,
}

/// Despite its name, this object contains the web address.
#[derive(Deserialize)]
struct SshSettings {
    #[serde(default)]
    public_addr: Option<String>,
}

/// A discovered server and its cluster.
#[derive(Clone, Debug)]
pub(crate) enum DiscoveredServer {
    Proxy(DiscoveredCluster),
    Auth(UnverifiedAuthServer),
}

impl DiscoveredServer {
    pub(crate) fn cluster_name(&self) -> &ClusterName {
        match self {
            Self::Proxy(cluster) => &cluster.cluster_name,
            Self::Auth(server) => &server.cluster_name,
        }
    }

    /// Returns the major version of the servers, or 0 if it is unknown.
    pub(crate) fn major_version(&self) -> u32 {
        major(match self {
            Self::Proxy(cluster) => &cluster.server_version,
            Self::Auth(server) => &server.server_version,
        })
    }

    /// Returns the types of keys that the cluster prefers, such as `balanced-v1`. Empty if the server does not say.
    pub(crate) fn signature_algorithm_suite(&self) -> &str {
        match self {
            Self::Proxy(cluster) => &cluster.signature_algorithm_suite,
            Self::Auth(_) => "",
        }
    }

    /// Returns warnings about the cluster's version, and about the address that a proxy advertises.
    pub(crate) fn problems(&self) -> Vec<String> {
        match self {
            Self::Proxy(DiscoveredCluster {
                server_version, min_client_version, address_problem, ..
            }) => {
                let version = version_problem(server_version, min_client_version);
                version.into_iter().chain(address_problem.clone()).collect()
            }
            Self::Auth(server) => version_problem(&server.server_version, "").into_iter().collect(),
        }
    }
}

/// Discovers the server and its cluster. The dialler then knows the kind of the server.
pub(crate) async fn discover(
    dialler: &Dialler,
    field: AddressField,
) -> Result<DiscoveredServer, DiscoveryError> {
    let failed =
        |problem| DiscoveryError { field, address: dialler.address().clone(), problem: Box::new(problem) };
    if field == AddressField::ProxyServer {
        let found = find(dialler.web()).await.map_err(DiscoveryProblem::Proxy).map_err(failed)?;
        return Ok(DiscoveredServer::Proxy(found));
    }
    let kind = dialler.kind();
    let problem = match discover_kind(dialler, kind).await {
        Ok(found) => return Ok(found),
        Err(problem) => problem,
    };
    if !problem.may_be_of_other_kind() {
        return Err(failed(problem));
    }
    match discover_kind(dialler, kind.other()).await {
        Ok(found) => {
            dialler.set_kind(kind.other());
            Ok(found)
        }
        Err(other) => Err(failed(problem.and(other))),
    }
}

async fn discover_kind(dialler: &Dialler, kind: ServerKind) -> Result<DiscoveredServer, DiscoveryProblem> {
    match kind {
        ServerKind::Proxy => {
            find(dialler.web()).await.map(DiscoveredServer::Proxy).map_err(DiscoveryProblem::Proxy)
        }
        ServerKind::Auth => auth_discovery::describe(dialler)
            .await
            .map(DiscoveredServer::Auth)
            .map_err(DiscoveryProblem::Auth),
    }
}

impl DiscoveryProblem {
    fn may_be_of_other_kind(&self) -> bool {
        match self {
            Self::Proxy(error) => may_be_auth_server(error),
            Self::Auth(error) => error.may_be_proxy(),
            Self::Neither { .. } => false,
        }
    }

    /// Combines the results of both attempts.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Proxy(as_proxy), Self::Auth(as_auth)) | (Self::Auth(as_auth), Self::Proxy(as_proxy)) => {
                Self::Neither { as_proxy, as_auth }
            }
            (_, other) => other,
        }
    }
}

/// Requests the description of the cluster from the proxy.
async fn find(web: &WebClient) -> Result<DiscoveredCluster, WebApiError> {
    parse(&web_api::get(web, "/webapi/find").await?)
}

pub(crate) fn parse(body: &[u8]) -> Result<DiscoveredCluster, WebApiError> {
    let FindResponse { cluster_name, server_version, min_client_version, auth, proxy } =
        web_api::parse(body)?;
    let (proxy_public_addr, address_problem) =
        match advertised_address(&proxy.ssh.public_addr.unwrap_or_default()) {
            Ok(address) => (address, None),
            Err(problem) => (None, Some(problem)),
        };
    Ok(DiscoveredCluster {
        cluster_name: cluster_name.parse().map_err(WebApiError::from)?,
        server_version: escape(&server_version).into(),
        min_client_version: escape(&min_client_version).into(),
        signature_algorithm_suite: auth.signature_algorithm_suite,
        proxy_public_addr,
        address_problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    #[test]
    fn a_recorded_response_is_parsed() {
        let cluster = parse(recorded("webapi-find.json").as_bytes()).unwrap();
        assert_eq!(&*cluster.cluster_name, "dev.test");
        assert_eq!(cluster.server_version, "15.0.0-dev");
        assert_eq!(cluster.min_client_version, "14.0.0");
        assert_eq!(cluster.proxy_public_addr, Some(Address::new("127.0.0.1", 4080)));
    }

    #[test]
    fn an_invalid_cluster_name_is_an_error_and_an_invalid_address_is_ignored() {
        let mut response: serde_json::Value = serde_json::from_str(&recorded("webapi-find.json")).unwrap();
        response["proxy"]["ssh"]["public_addr"] = "t.example:443\nHost *".into();
        let discovered = parse(response.to_string().as_bytes()).unwrap();
        assert_eq!(discovered.proxy_public_addr, None);
        assert!(discovered.address_problem.is_some());
        response["cluster_name"] = "dev.test\nHost *".into();
        let error = parse(response.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, WebApiError::ClusterName(_)), "{error}");
    }

    #[test]
    fn an_unsupported_version_is_a_warning() {
        for supported in ["15.0.0-dev", "19.4.2", "", "nightly"] {
            assert_eq!(version_problem(supported, "14.0.0"), None);
        }
        let warnings: Vec<String> = [("14.3.1", "13.0.0"), ("20.0.0", "19.0.0"), ("21.1.0", "20.0.0-aa")]
            .iter()
            .filter_map(|(server, min_client)| version_problem(server, min_client))
            .collect();
        insta::assert_snapshot!(warnings.join("\n"));
    }
}
