//! The parameters of a connection to a Kubernetes cluster, and the errors that occur while they are
//! determined.

use std::path::{Path, PathBuf};

use crate::agent::net::http_proxy::HttpProxyError;
use crate::agent::net::tls::{ClientPem, KubernetesTrust};
use crate::agent::net::web::HttpError;
use crate::agent::platform::{Hint, regular_file};

/// The largest kubeconfig, token or certificate that the agent reads, in bytes.
const FILE_LIMIT: u64 = 8 << 20;

/// A Kubernetes cluster cannot be determined, or its credentials cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KubernetesClusterError {
    /// Neither the configuration nor the environment names a cluster.
    #[error(
        "no Kubernetes cluster is configured, and this is not a pod (KUBERNETES_SERVICE_HOST is not set)"
    )]
    NotConfigured,
    /// A file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system call.
        #[source]
        error: std::io::Error,
    },
    /// A kubeconfig cannot be used.
    #[error("kubeconfig {path} cannot be used")]
    Kubeconfig {
        /// The file, or the list of files.
        path: String,
        /// Why it cannot be used.
        #[source]
        problem: KubeconfigProblem,
    },
    /// The address of the API server, here without credentials, is not a URL with a host.
    #[error("the address of the Kubernetes API server is not a URL: {0}")]
    InvalidServer(String),
    /// The API server is neither `https` nor on this machine.
    #[error("{0}: credentials are sent only over https, or to this machine")]
    Plaintext(String),
    /// An HTTP proxy in the environment cannot be used.
    #[error(transparent)]
    Proxy(#[from] HttpProxyError),
    /// TLS cannot be set up.
    #[error("cannot set up TLS to the Kubernetes cluster")]
    Tls(#[source] HttpError),
}

impl KubernetesClusterError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Plaintext(_) => Some(Hint::new("use an https address")),
            Self::NotConfigured => {
                Some(Hint::new("set kubeconfig_path or KUBECONFIG, or run tbot in a pod of the cluster"))
            }
            Self::Kubeconfig { problem, .. } => problem.hint(),
            Self::Proxy(error) => Some(error.hint()),
            Self::Tls(error) => error.hint(),
            Self::File { .. } => {
                Some(Hint::new("check the path, and that the user of the agent can read the file"))
            }
            Self::InvalidServer(_) => Some(Hint::new("write https://HOST:PORT")),
        }
    }
}

/// A problem with a kubeconfig. Never contains a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KubeconfigProblem {
    /// The file is not YAML.
    #[error("it is not YAML")]
    NotYaml,
    /// The file is YAML, but not of the expected structure.
    #[error("it does not have the structure of a kubeconfig")]
    NotKubeconfig,
    /// Neither the configuration nor the file selects a context.
    #[error("it has no current-context")]
    NoCurrentContext,
    /// The selected context, or the cluster or user that it names, is missing.
    #[error("it has no {entry_type} {name}")]
    Missing {
        /// `context`, `cluster` or `user`.
        entry_type: &'static str,
        /// The name.
        name: String,
    },
    /// A cluster without an address.
    #[error("cluster {0} has no server")]
    NoServer(String),
    /// A setting of a cluster that the agent does not support.
    #[error("the key {key} of cluster {cluster} is not supported")]
    UnsupportedConnection {
        /// The name of the cluster.
        cluster: String,
        /// The setting.
        key: &'static str,
    },
    /// A login method that the agent does not support.
    #[error("the key {key} of user {user} is not supported")]
    UnsupportedLogin {
        /// The name of the user.
        user: String,
        /// The setting.
        key: &'static str,
    },
    /// A user with a client certificate but no key, or the reverse.
    #[error("user {0} has only one of client certificate and key")]
    IncompleteCertificate(String),
    /// Embedded data that cannot be decoded.
    #[error("the value of a key that ends in -data is not base64-encoded PEM")]
    InvalidData,
}

impl KubeconfigProblem {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        let hint = match self {
            Self::NoCurrentContext => "set current-context in the kubeconfig, or kubeconfig_context",
            Self::UnsupportedConnection { .. } => "remove the key, or use another cluster entry",
            Self::UnsupportedLogin { .. } => "use a token or a client certificate",
            Self::IncompleteCertificate(_) => "set both, or a token",
            Self::NotYaml
            | Self::NotKubeconfig
            | Self::Missing { .. }
            | Self::NoServer(_)
            | Self::InvalidData => return None,
        };
        Some(Hint::new(hint))
    }
}

/// The parameters of a connection, before TLS is set up.
pub(super) struct ConnectionParameters {
    /// The base URL of the API server.
    pub(super) server: String,
    pub(super) trust: KubernetesTrust,
    pub(super) credentials: ClusterCredentials,
}

/// How the agent authenticates to the API server. Either, both or neither may be present.
#[derive(Default)]
pub(super) struct ClusterCredentials {
    pub(super) certificate: Option<ClientPem>,
    pub(super) token: Option<String>,
}

pub(super) fn read_file(path: &Path) -> Result<String, KubernetesClusterError> {
    regular_file::read_to_string(path, FILE_LIMIT)
        .map_err(|error| KubernetesClusterError::File { path: path.to_owned(), error })
}
