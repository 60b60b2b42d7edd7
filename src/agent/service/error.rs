//! Why an output could not be written. Pure.

use std::path::PathBuf;

use super::lookup::LookupError;
use super::workload_identity::WorkloadIdentityError;
use crate::agent::credential::identity::IdentityError;
use crate::agent::credential::keys::KeyError;
use crate::agent::credential::ssh_cert::SshCertError;
use crate::agent::credential::x509::X509Error;
use crate::agent::destination::writer::DestinationError;
use crate::agent::service::svid::SvidError;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::kubernetes_proxy::KubeProxyError;

/// An output that could not be written. The files of the last time are still there.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The destination.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// A call to the auth server.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The server's certificates are not usable.
    #[error("the certificates that the auth server issued are not usable: {0}")]
    Identity(#[from] IdentityError),
    /// The server's host certificate is not usable.
    #[error("the host certificate that the auth server issued is not usable: {0}")]
    HostCert(#[from] SshCertError),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What the output names is not there, or is not one thing.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// No workload identity, or no single one.
    #[error(transparent)]
    WorkloadIdentity(#[from] WorkloadIdentityError),
    /// What the server issued for a workload is not usable.
    #[error("what the auth server issued for the workload is not usable: {0}")]
    Svid(#[from] SvidError),
    /// An authority is not made of certificates.
    #[error("the authority that the auth server named is not usable: {0}")]
    Authority(X509Error),
    /// Where Kubernetes is reached cannot be told.
    #[error(transparent)]
    KubeProxy(#[from] KubeProxyError),
    /// The bot may not act with any role.
    #[error(
        "the bot {0} has no role to give this output: add roles to the bot (tctl bots update --add-roles)"
    )]
    NoRoles(String),
    /// No such leaf cluster.
    #[error("leaf cluster \"{name}\" not found: {}", known_leaves(.known))]
    Leaf {
        /// What was asked for.
        name: String,
        /// Those that the output's roles may see, sorted.
        known: Vec<String>,
    },
    /// The cluster would misunderstand what is written.
    #[error(
        "this cluster (Teleport {0}) takes every context of a kubernetes/v2 output for one and the same Kubernetes cluster: upgrade it to 16 or newer, or use an output of type kubernetes for each"
    )]
    OneKubernetes(u32),
    /// The folder's path cannot be made absolute, or is not text.
    #[error(
        "the path {0} cannot be written into a file that names it: use an absolute path in UTF-8 without newlines and quotation marks"
    )]
    Path(PathBuf),
}

fn known_leaves(known: &[String]) -> String {
    if known.is_empty() {
        "no leaf cluster is visible to the output's roles; check the name (tctl get rc) and the roles' cluster_labels"
            .to_owned()
    } else {
        format!("visible are {}", known.join(", "))
    }
}
