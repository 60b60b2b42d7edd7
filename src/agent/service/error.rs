//! The reasons why an output could not be written, or a certificate for clients not issued.

use std::path::PathBuf;

use super::lookup::LookupError;
use super::name_list::NameList;
use super::svid::SvidError;
use crate::agent::credential::identity::IdentityError;
use crate::agent::credential::keys::KeyError;
use crate::agent::credential::ssh_cert::SshCertError;
use crate::agent::credential::x509::X509Error;
use crate::agent::destination::error::DestinationError;
use crate::agent::net::web::HttpError;
use crate::agent::platform::Hint;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::kubernetes_proxy::KubeProxyError;
use crate::agent::teleport::ssh_address::SshAddressError;

/// An output could not be written, or a certificate for clients not issued. The files of the last renewal are unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The destination cannot be written.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// A call to the auth server failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The issued certificates cannot be used.
    #[error("the auth server issued unusable certificates")]
    Identity(#[from] IdentityError),
    /// The issued host certificate cannot be used.
    #[error("the auth server issued an unusable host certificate")]
    HostCertParams(#[from] SshCertError),
    /// No key could be generated.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The resource that the output names does not exist, or is ambiguous.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The output does not select exactly one workload identity that can be issued.
    #[error(transparent)]
    WorkloadIdentity(#[from] WorkloadIdentityError),
    /// The credential issued for a workload cannot be used.
    #[error("the auth server issued an unusable credential for the workload")]
    Svid(#[from] SvidError),
    /// A CA contains something other than certificates.
    #[error("the auth server returned an unusable CA")]
    Authority(#[source] X509Error),
    /// The cluster cannot forward connections to the resource of a tunnel or an application proxy.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    /// The Kubernetes address of the proxy cannot be discovered.
    #[error(transparent)]
    KubeProxy(#[from] KubeProxyError),
    /// The address for SSH of the proxy cannot be discovered.
    #[error(transparent)]
    SshAddress(#[from] SshAddressError),
    /// The cluster advertises no address of a proxy, and the agent is connected to an auth server.
    #[error("the cluster advertises no address of a proxy, but ssh_config and known_hosts must contain one")]
    NoProxyAddress,
    /// A certificate was issued that has expired according to this machine's clock.
    #[error("the certificate that was just issued has already expired")]
    AlreadyExpired,
    /// None of the host CAs of the cluster issued the proxy's certificate for Kubernetes.
    #[error("the auth server returned no host CA of the cluster {0}, but a kubeconfig must contain it")]
    NoHostAuthority(String),
    /// The bot may not impersonate any role.
    #[error("the bot {0} may not impersonate any role")]
    NoRoles(String),
    /// The leaf cluster does not exist, or the output's roles may not see it.
    #[error("leaf cluster \"{name}\" not found: {}", describe_visible(.visible))]
    LeafNotFound {
        /// The name in the configuration.
        name: String,
        /// The leaf clusters that the output's roles may see, sorted.
        visible: NameList,
    },
    /// The proxy, which has this version, does not route by path.
    #[error(
        "the proxy (Teleport {0}) would route every context of a kubernetes/v2 output to the same Kubernetes cluster"
    )]
    NoPathRouting(String),
    /// A path cannot be made absolute, is not UTF-8, or contains characters that OpenSSH cannot read.
    #[error("the path {0} cannot be written to ssh_config or a kubeconfig")]
    Path(PathBuf),
}

impl OutputError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        let hint = match self {
            Self::Destination(error) => return error.hint(),
            Self::Api(error) => return error.hint(),
            Self::WorkloadIdentity(error) => return error.hint(),
            Self::KubeProxy(error) => return error.hint(),
            Self::SshAddress(error) => return error.hint(),
            Self::Lookup(error) => return Some(error.hint()),
            Self::Tunnel(error) => return Some(error.hint()),
            Self::Svid(error) => return error.hint(),
            Self::NoProxyAddress => "set the proxy's public_addr, or set `ssh_config: off` for this output",
            Self::AlreadyExpired => "check this machine's clock",
            Self::NoRoles(_) => "add roles to the bot (tctl bots update --add-roles)",
            Self::LeafNotFound { visible, .. } if visible.count() == 0 => {
                "check the name (tctl get rc) and the roles' cluster_labels"
            }
            Self::NoPathRouting(_) => {
                "upgrade Teleport to 17.2.7 or newer, or use one kubernetes output per Kubernetes cluster"
            }
            Self::Path(_) => "use an absolute UTF-8 path without newlines or quotation marks",
            Self::LeafNotFound { .. } => "use one of these names",
            Self::Identity(_)
            | Self::HostCertParams(_)
            | Self::Key(_)
            | Self::Authority(_)
            | Self::NoHostAuthority(_) => {
                return None;
            }
        };
        Some(Hint::new(hint))
    }

    /// Returns whether a retry may succeed without any change by the operator.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Destination(error) => error.is_transient(),
            Self::Api(error) => error.is_transient(),
            Self::KubeProxy(error) => error.is_transient(),
            Self::SshAddress(error) => error.is_transient(),
            Self::Identity(_)
            | Self::HostCertParams(_)
            | Self::Key(_)
            | Self::Lookup(_)
            | Self::WorkloadIdentity(_)
            | Self::Svid(_)
            | Self::Authority(_)
            | Self::Tunnel(_)
            | Self::NoProxyAddress
            | Self::AlreadyExpired
            | Self::NoHostAuthority(_)
            | Self::NoRoles(_)
            | Self::LeafNotFound { .. }
            | Self::NoPathRouting(_)
            | Self::Path(_) => false,
        }
    }
}

/// An output selects no workload identity, or several, or one that cannot be issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadIdentityError {
    /// The server is too old to issue workload identities.
    #[error("this cluster (Teleport {0}) does not issue workload identities")]
    NotServed(u32),
    /// There is no workload identity with this name.
    #[error("workload identity \"{0}\" not found")]
    NotFound(String),
    /// There is no workload identity with these labels that may be issued to the bot.
    #[error("no workload identity matches the selector")]
    NoneSelected,
    /// Several workload identities have these labels.
    #[error("the selector matches several workload identities, but this output needs exactly one of {0}")]
    Ambiguous(NameList),
    /// The cluster has no CA for workloads.
    #[error(
        "the cluster {0} has no SPIFFE CA: the credentials that it issues to workloads cannot be verified"
    )]
    NoAuthority(String),
}

impl WorkloadIdentityError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        let hint = match self {
            Self::NotServed(_) => "upgrade Teleport to 17.2.7 or newer, or remove this service",
            Self::NotFound(_) => "check the name (tctl get workload_identity)",
            Self::NoneSelected => {
                "check the labels (tctl get workload_identity), and that a role of the bot has matching \
                 workload_identity_labels and the rule `workload_identity: [list, read]`"
            }
            Self::Ambiguous(_) => "select one of them by its name",
            Self::NoAuthority(_) => return None,
        };
        Some(Hint::new(hint))
    }
}

/// A tunnel or an application proxy cannot reach a resource.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelError {
    /// It is not known how a proxy routes connections to databases of this protocol.
    #[error("tunnels do not support databases with the protocol \"{0}\"")]
    DatabaseProtocol(String),
    /// The agent is connected to an auth server, and only proxies connect to resources.
    #[error("tunnels and application proxies need a proxy, but this agent is connected to an auth server")]
    NoProxy,
    /// A client of an application proxy has asked for an application that does not speak HTTP.
    #[error("app \"{0}\" is a TCP application, and an application-proxy forwards only HTTP")]
    NotHttp(String),
    /// The system's root certificates cannot be used to verify the proxy.
    #[error("cannot verify the proxy")]
    Roots(#[source] HttpError),
}

impl TunnelError {
    /// Returns advice for the operator.
    #[must_use]
    pub fn hint(&self) -> Hint {
        match self {
            Self::DatabaseProtocol(_) => Hint::new("use a database output, and connect with `tbot db`"),
            Self::NoProxy => Hint::new("set proxy_server instead of auth_server"),
            Self::NotHttp(_) => Hint::new("use an application-tunnel for it"),
            Self::Roots(error) => error
                .hint()
                .unwrap_or(Hint::new("install the system's CA certificates, or set SSL_CERT_FILE")),
        }
    }
}

fn describe_visible(leaf_clusters: &NameList) -> String {
    match leaf_clusters.count() {
        0 => "the output's roles cannot see any leaf cluster".to_owned(),
        _ => format!("the output's roles can see {leaf_clusters}"),
    }
}
