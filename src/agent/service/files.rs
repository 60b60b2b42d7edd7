//! The set of files that an output writes, and the files that several output types share.

use std::sync::Arc;
use std::time::SystemTime;

use super::error::OutputError;
use crate::agent::credential::authority::CertAuthority;
use crate::agent::credential::identity::Identity;
use crate::agent::credential::identity_file;
use crate::agent::destination::staging::NewFile;
use crate::agent::destination::writer::EarlierFiles;

/// The files of an output, which change as one set, and when its credentials expire.
pub(crate) struct FileSet {
    pub(crate) files: Vec<NewFile>,
    pub(crate) earlier: EarlierFiles,
    pub(crate) not_after: SystemTime,
}

/// The CAs of the cluster and its leaf clusters, by what they sign.
pub(super) struct Authorities {
    pub(super) host: Arc<[CertAuthority]>,
    pub(super) user: Arc<[CertAuthority]>,
    pub(super) database: Arc<[CertAuthority]>,
}

impl FileSet {
    /// Creates an empty set of credentials that expire at `not_after`.
    pub(super) fn new(not_after: SystemTime) -> Self {
        Self { files: Vec::new(), earlier: EarlierFiles::default(), not_after }
    }

    /// Creates a set with the key, the certificates, the `identity` file and all CAs.
    pub(super) fn with_all_cas(identity: &Identity, authorities: &Authorities) -> Result<Self, OutputError> {
        let mut files = Self::with_host_cas(identity, &authorities.host)?;
        files.push("teleport-user-ca.crt", ca_pem(&authorities.user));
        files.push("teleport-database-ca.crt", ca_pem(&authorities.database));
        Ok(files)
    }

    /// Creates a set with the key, the certificates, the `identity` file and the host CAs.
    pub(super) fn with_host_cas(
        identity: &Identity,
        host_cas: &[CertAuthority],
    ) -> Result<Self, OutputError> {
        let mut files = Self::new(identity.user.not_after);
        files.push("key", identity.key.private_pem());
        files.push("key.pub", identity.key.ssh_line()?);
        files.push("tlscert", identity.certs.tls.as_str());
        files.push("key-cert.pub", identity.certs.ssh.as_str());
        files.push("teleport-host-ca.crt", ca_pem(host_cas));
        files.push("identity", identity_file::render(identity, host_cas));
        Ok(files)
    }

    /// Adds `tls.key`, `tls.crt` and `tls.cas`, for clients that expect these names.
    pub(super) fn push_tls(&mut self, identity: &Identity, host_cas: &[CertAuthority]) {
        self.push("tls.key", identity.key.private_pem());
        self.push("tls.crt", identity.certs.tls.as_str());
        self.push("tls.cas", ca_pem(host_cas));
    }

    pub(super) fn push(&mut self, name: &str, content: impl Into<String>) {
        self.files.push((name.to_owned(), content.into().into_bytes()));
    }
}

/// Returns the TLS certificates of these CAs, concatenated in PEM.
pub(super) fn ca_pem(authorities: &[CertAuthority]) -> String {
    authorities.iter().flat_map(|ca| &ca.tls).cloned().collect()
}
