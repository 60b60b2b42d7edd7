//! Which Kubernetes cluster, and as whom: from a kubeconfig, or from where a pod finds its own. Reads files, opens no
//! socket.

mod kubeconfig;

use crate::agent::net::address::is_loopback_url;
use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Client;
use url::Url;

use crate::agent::net::address::Address;
use crate::agent::net::route::{HttpProxyError, Route};
use crate::agent::net::tls::{self, ClientPem, Trust};
use crate::agent::net::web;
use crate::agent::platform::options::{Clock, Environment};
use crate::config;
use kubeconfig::Merged;

/// Where a pod finds the authorities of its cluster and its own token.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A cluster that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Nothing says which cluster.
    #[error(
        "no Kubernetes cluster: set kubeconfig_path or KUBECONFIG, or run in a pod (KUBERNETES_SERVICE_HOST is not set)"
    )]
    None,
    /// A file.
    #[error("cannot read {path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        error: std::io::Error,
    },
    /// A kubeconfig that says nothing usable.
    #[error("kubeconfig {path}: {problem}")]
    Kubeconfig {
        /// The file, or the list of files.
        path: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The environment's proxy.
    #[error(transparent)]
    Proxy(#[from] HttpProxyError),
    /// TLS.
    #[error("TLS to the Kubernetes cluster: {0}")]
    Tls(String),
}

/// What says which cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Kubeconfig { files: Vec<PathBuf>, context: Option<String> },
    Pod { host: String, port: String, folder: PathBuf },
}

/// What a request is made with, before TLS is set up.
struct Found {
    server: String,
    trust: Trust,
    login: Login,
}

/// As whom: either, both, or nobody.
#[derive(Default)]
struct Login {
    certificate: Option<ClientPem>,
    token: Option<String>,
}

/// A token; prints as `...`.
pub(super) struct Token(String);

/// A cluster that can be asked now.
pub(super) struct Cluster {
    /// Base address, without a slash at the end.
    pub(super) server: String,
    pub(super) token: Option<Token>,
    pub(super) client: Client,
}

impl Token {
    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

impl Source {
    /// The configuration goes before the environment, and a kubeconfig before the pod's own cluster.
    pub(super) fn new(
        secret: &config::KubernetesSecret,
        environment: &Environment,
    ) -> Result<Self, ClusterError> {
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
        let host = environment.get("KUBERNETES_SERVICE_HOST").ok_or(ClusterError::None)?.to_owned();
        let port = environment.get("KUBERNETES_SERVICE_PORT").unwrap_or("443").to_owned();
        Ok(Self::Pod { host, port, folder: SERVICE_ACCOUNT.into() })
    }
}

impl Cluster {
    pub(super) fn read(
        source: &Source,
        environment: &Environment,
        clock: &Clock,
    ) -> Result<Self, ClusterError> {
        let Found { server, trust, login } = match source {
            Source::Pod { host, port, folder } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                let trust = Trust::Authorities(text(&folder.join("ca.crt"))?);
                let token = Some(text(&folder.join("token"))?);
                let login = Login { token, ..Login::default() };
                Found { server: format!("https://{host}:{port}"), trust, login }
            }
            Source::Kubeconfig { files, context } => Merged::read(files)?.choose(context.as_deref())?,
        };
        let failed = |problem: &str| ClusterError::Tls(format!("{server}: {problem}"));
        let url = Url::parse(&server).map_err(|_| failed("this is no address"))?;
        if url.scheme() != "https" && !is_loopback_url(&url) {
            return Err(failed("credentials go over https only, except on this machine"));
        }
        let tls = tls::kubernetes(environment, &trust, login.certificate, clock)
            .map_err(|error| ClusterError::Tls(error.to_string()))?;
        let host = url.host_str().ok_or_else(|| failed("the address has no host"))?;
        let address: Address = format!("{host}:{}", url.port_or_known_default().unwrap_or(443))
            .parse()
            .map_err(|_| failed("the address has no host"))?;
        let route = Route::new(address, environment, false, clock.clone())?;
        let client = web::client(tls, &route).map_err(|error| ClusterError::Tls(error.to_string()))?;
        let token = login.token.map(|token| Token(token.trim().to_owned()));
        Ok(Self { server: server.trim_end_matches('/').to_owned(), token, client })
    }
}

fn text(path: &Path) -> Result<String, ClusterError> {
    std::fs::read_to_string(path).map_err(|error| ClusterError::File { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests;
