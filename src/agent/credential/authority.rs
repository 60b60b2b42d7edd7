//! The public part of a CA.

use super::cluster_name::ClusterName;

/// The trusted keys of a CA: the active ones, then those additionally trusted during a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertAuthority {
    /// The name of the CA's cluster.
    pub(crate) cluster: ClusterName,
    /// Lines in authorized_keys format, without a newline.
    pub(crate) ssh: Vec<String>,
    /// Certificates in PEM.
    pub(crate) tls: Vec<String>,
}
