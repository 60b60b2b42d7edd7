//! The public part of a cluster's certificate authority.

/// The trusted keys of a certificate authority: the active ones, then those additionally trusted during a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) cluster: String,
    /// authorized_keys lines without a newline.
    pub(crate) ssh: Vec<String>,
    /// PEM certificates.
    pub(crate) tls: Vec<String>,
}
