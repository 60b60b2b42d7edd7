//! The files that outputs have in common. Pure.

use std::time::SystemTime;

use super::error::OutputError;
use crate::agent::credential::authority::Authority;
use crate::agent::credential::identity::Identity;
use crate::agent::credential::identity_file;
use crate::agent::destination::atomic_write::NewFile;

/// What an output writes, and when its credentials end.
pub(crate) struct Set {
    pub(crate) files: Vec<NewFile>,
    pub(crate) not_after: SystemTime,
}

/// The authorities of the cluster and its leaves, by what they sign.
pub(super) struct Authorities {
    pub(super) host: Vec<Authority>,
    pub(super) user: Vec<Authority>,
    pub(super) database: Vec<Authority>,
}

impl Set {
    /// Key, certificates, the `identity` file and all authorities.
    pub(super) fn of_identity(identity: &Identity, authorities: &Authorities) -> Result<Self, OutputError> {
        let mut set = Self::of_key(identity, &authorities.host)?;
        set.push("teleport-user-ca.crt", pems(&authorities.user));
        set.push("teleport-database-ca.crt", pems(&authorities.database));
        Ok(set)
    }

    /// The same with the host authorities only.
    pub(super) fn of_key(identity: &Identity, host: &[Authority]) -> Result<Self, OutputError> {
        let mut set = Self { files: Vec::new(), not_after: identity.user.not_after };
        set.push("key", identity.key.private_pem());
        set.push("key.pub", identity.key.ssh_line()?);
        set.push("tlscert", identity.certs.tls.as_str());
        set.push("key-cert.pub", identity.certs.ssh.as_str());
        set.push("teleport-host-ca.crt", pems(host));
        set.push("identity", identity_file::write(identity, host));
        Ok(set)
    }

    /// `tls.key`, `tls.crt` and `tls.cas`, for clients that want them named so.
    pub(super) fn push_tls(&mut self, identity: &Identity, authorities: &[Authority]) {
        self.push("tls.key", identity.key.private_pem());
        self.push("tls.crt", identity.certs.tls.as_str());
        self.push("tls.cas", pems(authorities));
    }

    pub(super) fn push(&mut self, name: &str, content: impl Into<String>) {
        self.files.push((name.to_owned(), content.into().into_bytes()));
    }
}

/// Certificates with nothing in between.
pub(super) fn pems(authorities: &[Authority]) -> String {
    authorities.iter().flat_map(|authority| &authority.tls).cloned().collect()
}
