//! Determines the Kubernetes cluster and how to authenticate to it: from a kubeconfig, or from the service account of
//! the pod that the agent runs in.
//!
//! Reads files, but opens no connection.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use super::kubeconfig::MergedKubeconfig;
use super::parameters::{ClusterCredentials, ConnectionParameters, KubernetesClusterError, read_file};
use crate::agent::net::loopback::is_loopback_url;
use crate::agent::net::route::Route;
use crate::agent::net::tls::{self, KubernetesTrust};
use crate::agent::net::web::HttpClient;
use crate::agent::platform::{Clock, Environment};
use crate::config::{self, Address};

/// The directory where a pod finds the CAs of its cluster and its own token.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The source of the cluster's address and of the credentials for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ClusterConfig {
    Kubeconfig { files: Vec<PathBuf>, context: Option<String> },
    InCluster { host: String, port: String, service_account: PathBuf },
}

/// A bearer token. Its `Debug` output does not contain the token.
pub(super) struct BearerToken(String);

/// An HTTP client for the API server of a cluster.
pub(super) struct ClusterConnection {
    /// The base URL, without a trailing slash. It may contain a password.
    pub(super) server: String,
    /// The address for messages.
    pub(super) shown_server: String,
    pub(super) token: Option<BearerToken>,
    pub(super) client: HttpClient,
}

impl BearerToken {
    /// Returns the value of the `Authorization` header.
    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(...)")
    }
}

impl ClusterConfig {
    /// Selects the source. The configuration takes precedence over the environment, and a kubeconfig over the pod's own
    /// cluster.
    pub(super) fn new(
        secret: &config::KubernetesSecret,
        environment: &Environment,
    ) -> Result<Self, KubernetesClusterError> {
        let path = secret.kubeconfig_path.as_ref().map(|path| path.as_str()).filter(|path| !path.is_empty());
        let files = match (path, environment.get("KUBECONFIG")) {
            (Some(path), _) => vec![PathBuf::from(path)],
            (None, Some(list)) => {
                list.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect()
            }
            (None, None) => Vec::new(),
        };
        if !files.is_empty() {
            let context = secret.kubeconfig_context.as_ref().map(|context| context.as_str().to_owned());
            return Ok(Self::Kubeconfig { files, context: context.filter(|context| !context.is_empty()) });
        }
        let host = environment.get("KUBERNETES_SERVICE_HOST").ok_or(KubernetesClusterError::NotConfigured)?;
        let port = environment.get("KUBERNETES_SERVICE_PORT").unwrap_or("443");
        Ok(Self::InCluster {
            host: host.to_owned(),
            port: port.to_owned(),
            service_account: SERVICE_ACCOUNT.into(),
        })
    }

    fn parameters(&self) -> Result<ConnectionParameters, KubernetesClusterError> {
        match self {
            Self::InCluster { host, port, service_account } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                let trust = KubernetesTrust::Authorities(read_file(&service_account.join("ca.crt"))?);
                let token = Some(read_file(&service_account.join("token"))?);
                let credentials = ClusterCredentials { token, ..ClusterCredentials::default() };
                Ok(ConnectionParameters { server: format!("https://{host}:{port}"), trust, credentials })
            }
            Self::Kubeconfig { files, context } => {
                MergedKubeconfig::read(files)?.parameters(context.as_deref())
            }
        }
    }
}

impl ClusterConnection {
    /// Reads the address and credentials, and sets up TLS. Does not connect.
    pub(super) fn new(
        config: &ClusterConfig,
        environment: &Environment,
        clock: &Clock,
    ) -> Result<Self, KubernetesClusterError> {
        let ConnectionParameters { server, trust, credentials } = config.parameters()?;
        let shown_server = without_credentials(&server);
        let invalid = || KubernetesClusterError::InvalidServer(shown_server.clone());
        let url = Url::parse(&server).map_err(|_| invalid())?;
        if url.scheme() != "https" && !is_loopback_url(&url) {
            return Err(KubernetesClusterError::Plaintext(shown_server));
        }
        let tls = tls::kubernetes(environment, &trust, credentials.certificate, clock)
            .map_err(|error| KubernetesClusterError::Tls(error.into()))?;
        let host = url.host_str().ok_or_else(invalid)?;
        let address: Address = format!("{host}:{}", url.port_or_known_default().unwrap_or(443))
            .parse()
            .map_err(|_| invalid())?;
        let route = Route::new(address, environment, false, clock.clone())?;
        let client = HttpClient::new(tls, &route).map_err(KubernetesClusterError::Tls)?;
        let token = credentials.token.map(|token| BearerToken(token.trim().to_owned()));
        Ok(Self { server: server.trim_end_matches('/').to_owned(), shown_server, token, client })
    }
}

/// Returns an address, which need not be a valid URL, without a user, a password and a query.
fn without_credentials(server: &str) -> String {
    let (scheme, rest) = server.split_once("://").unwrap_or(("", server));
    // A password may contain any character, although it should be encoded.
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let address = rest.split(['?', '#']).next().unwrap_or_default();
    if scheme.is_empty() { address.to_owned() } else { format!("{scheme}://{address}") }
}

#[cfg(test)]
mod tests;
