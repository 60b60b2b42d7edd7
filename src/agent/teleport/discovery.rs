//! Discovers a cluster through its proxy: `GET /webapi/find`, the only request before the first credential.

use std::ops::RangeInclusive;

use serde::Deserialize;

use super::advertised_address::advertised_address;
use super::server_hints;
use super::server_version::major;
use super::web_api::{self, WebApiError};
use crate::agent::credential::cluster_name::ClusterName;
use crate::agent::net::web::{WebClient, WebError};
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

/// The server at the address cannot be reached, or did not respond like a Teleport proxy.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", describe(*field, address, problem))]
pub struct DiscoveryError {
    field: AddressField,
    address: Address,
    #[source]
    problem: WebApiError,
}

fn describe(field: AddressField, address: &Address, problem: &WebApiError) -> String {
    let field = field.name();
    match problem {
        WebApiError::Web(_) => format!("cannot reach {address} ({field})"),
        _ => format!("{field}: GET https://{address}/webapi/find failed"),
    }
}

impl DiscoveryError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        let port_hint = || teleport_port_hint(self.address.port());
        let specific = match &self.problem {
            WebApiError::Web(WebError::Tls(error)) => return error.hint(),
            WebApiError::Web(WebError::Connection(error)) if error.failed_before_server() => error.hint(),
            WebApiError::Web(WebError::Connection(error)) => {
                port_hint().or_else(|| server_hints::for_proxy_connection(error))
            }
            WebApiError::ErrorStatus { .. } | WebApiError::NotTeleport(_) | WebApiError::ClusterName(_) => {
                port_hint()
            }
        };
        specific.or_else(|| Some(Hint::new(match self.field {
            AddressField::ProxyServer => {
                "check that the proxy is up, and that this is the address of its web UI"
            }
            AddressField::AuthServer => {
                "joining directly at an auth server is not supported: set proxy_server to the web address of a Teleport proxy"
            }
        })))
    }

    /// Returns whether a retry may succeed without any change by the operator.
    pub(crate) fn is_transient(&self) -> bool {
        match &self.problem {
            WebApiError::Web(error) => matches!(error, WebError::Connection(_)),
            WebApiError::ErrorStatus { status, .. } => status.is_server_error(),
            WebApiError::NotTeleport(_) | WebApiError::ClusterName(_) => false,
        }
    }
}

/// Returns a hint for the ports on which Teleport by default serves something else than its web API.
fn teleport_port_hint(port: u16) -> Option<Hint> {
    let server = match port {
        3023 => "the proxy's SSH server",
        3024 => "the proxy's reverse tunnels",
        3025 => "the auth server",
        3026 => "the proxy's Kubernetes server",
        _ => return None,
    };
    Some(
        format!("port {port} is usually {server}: use the port of the proxy's web UI, such as 443 or 3080")
            .into(),
    )
}

/// A cluster as its proxy describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiscoveredCluster {
    pub(crate) cluster_name: ClusterName,
    pub(crate) server_version: String,
    /// The oldest client version that the cluster supports; may be empty.
    pub(crate) min_client_version: String,
    /// The address that the proxy advertises, if any.
    pub(crate) proxy_public_addr: Option<Address>,
    /// A warning if the address that the proxy advertises is not valid.
    pub(crate) address_problem: Option<String>,
}

impl DiscoveredCluster {
    /// Returns the major version of the servers, or 0 if it is unknown.
    pub(crate) fn major_version(&self) -> u32 {
        major(&self.server_version)
    }

    /// Returns a warning if this agent does not support the cluster's version.
    ///
    /// This is only a warning, because servers do not check the version of this agent, which sends none.
    pub(crate) fn version_problem(&self) -> Option<String> {
        let Self { server_version, min_client_version, .. } = self;
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
            _ => "which is newer than this agent supports: if joining or renewing fails, update tbot"
                .to_owned(),
        };
        Some(format!(
            "the cluster runs Teleport {server_version}, {problem} (supported: {oldest} to {newest})"
        ))
    }
}

#[derive(Deserialize)]
struct FindResponse {
    cluster_name: String,
    server_version: String,
    #[serde(default)]
    min_client_version: String,
    proxy: ProxySettings,
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

/// Requests the description of the cluster from the proxy.
pub(crate) async fn find(
    web: &WebClient,
    field: AddressField,
    address: &Address,
) -> Result<DiscoveredCluster, DiscoveryError> {
    let failed = |problem| DiscoveryError { field, address: address.clone(), problem };
    let body = web_api::get(web, "/webapi/find").await.map_err(failed)?;
    parse(&body).map_err(failed)
}

pub(crate) fn parse(body: &[u8]) -> Result<DiscoveredCluster, WebApiError> {
    let FindResponse { cluster_name, server_version, min_client_version, proxy } = web_api::parse(body)?;
    let (proxy_public_addr, address_problem) =
        match advertised_address(&proxy.ssh.public_addr.unwrap_or_default()) {
            Ok(address) => (address, None),
            Err(problem) => (None, Some(problem)),
        };
    Ok(DiscoveredCluster {
        cluster_name: cluster_name.parse().map_err(WebApiError::from)?,
        server_version: escape(&server_version).into(),
        min_client_version: escape(&min_client_version).into(),
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
        let cluster = parse(recorded("webapi-find.json").as_bytes()).unwrap();
        let problem = |server: &str, min_client: &str| {
            let (server_version, min_client_version) = (server.to_owned(), min_client.to_owned());
            DiscoveredCluster { server_version, min_client_version, ..cluster.clone() }.version_problem()
        };
        for supported in ["15.0.0-dev", "19.4.2", "", "nightly"] {
            assert_eq!(problem(supported, "14.0.0"), None);
        }
        let warnings: Vec<String> = [("14.3.1", "13.0.0"), ("20.0.0", "19.0.0"), ("21.1.0", "20.0.0-aa")]
            .iter()
            .filter_map(|(server, min_client)| problem(server, min_client))
            .collect();
        insta::assert_snapshot!(warnings.join("\n"));
    }
}
