//! Reads what the agent needs from an OpenSSH user certificate of Teleport. Pure; knows no file.

use ssh_key::Certificate;
use ssh_key::public::KeyData;

/// Why an SSH certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SshCertError {
    /// Not one line of an OpenSSH certificate.
    #[error("not an OpenSSH certificate line")]
    NotACertificate,
    /// The server names at least one principal, if only `-teleport-internal-join`.
    #[error("the SSH certificate has no principal")]
    NoPrincipal,
    /// The extension that names the cluster is missing.
    #[error(
        "the SSH certificate has no `{ROUTE_TO_CLUSTER}` extension: it was not issued by a Teleport cluster"
    )]
    NoCluster,
}

const ROUTE_TO_CLUSTER: &str = "teleport-route-to-cluster";

/// The key that a user certificate is for, once the certificate is seen to be one of Teleport's.
pub(crate) fn certified_key(line: &str) -> Result<KeyData, SshCertError> {
    let cert = Certificate::from_openssh(line.trim()).map_err(|_| SshCertError::NotACertificate)?;
    if !cert.valid_principals().iter().any(|principal| !principal.is_empty()) {
        return Err(SshCertError::NoPrincipal);
    }
    match cert.extensions().get(ROUTE_TO_CLUSTER) {
        Some(cluster) if !cluster.is_empty() => Ok(cert.public_key().clone()),
        _ => Err(SshCertError::NoCluster),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    #[test]
    fn reads_the_bot_certificate_of_a_real_server() {
        let key = certified_key(&recorded("storage/key-cert.pub")).unwrap();
        let line = ssh_key::PublicKey::new(key, "").to_openssh().unwrap();
        assert_eq!(line, recorded("storage/key.pub").trim());
    }

    #[test]
    fn a_plain_key_is_refused() {
        let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        assert_eq!(certified_key(line).unwrap_err(), SshCertError::NotACertificate);
    }
}
