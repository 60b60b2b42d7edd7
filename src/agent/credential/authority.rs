//! The public part of one of the cluster's certificate authorities.

/// A certificate authority's trusted keys: active ones, then those additionally trusted during a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) cluster: String,
    /// authorized_keys lines without newline.
    pub(crate) ssh: Vec<String>,
    /// PEM certificates.
    pub(crate) tls: Vec<String>,
}
