//! Reads the properties of Teleport's OpenSSH certificates that the agent needs.

use std::time::{Duration, SystemTime};

use ssh_key::Certificate;
use ssh_key::certificate::CertType;
use ssh_key::public::KeyData;

/// An SSH certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SshCertError {
    /// The input is not one OpenSSH certificate line.
    #[error("not an OpenSSH certificate line")]
    NotACertificate,
    /// There is no principal. Teleport's certificates have at least `-teleport-internal-join`.
    #[error("the SSH certificate has no principal")]
    NoPrincipal,
    /// The extension that names the cluster is missing.
    #[error(
        "the SSH certificate has no `{ROUTE_TO_CLUSTER}` extension: it was not issued by a Teleport cluster"
    )]
    NoCluster,
    /// A host certificate was requested, but this is a user certificate.
    #[error("the SSH certificate is not a host certificate")]
    NotHost,
    /// The server certified another key.
    #[error("the SSH certificate belongs to another key")]
    OtherKey,
}

const ROUTE_TO_CLUSTER: &str = "teleport-route-to-cluster";

/// Returns the key that a user certificate of Teleport certifies.
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

/// Returns the expiry of a host certificate for `key`.
pub(crate) fn host_certificate_expiry(line: &str, key: &KeyData) -> Result<SystemTime, SshCertError> {
    let cert = Certificate::from_openssh(line.trim()).map_err(|_| SshCertError::NotACertificate)?;
    if cert.cert_type() != CertType::Host {
        return Err(SshCertError::NotHost);
    }
    if cert.public_key() != key {
        return Err(SshCertError::OtherKey);
    }
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(cert.valid_before()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::credential::keys::KeyPair;
    use crate::agent::recordings::recorded;

    #[test]
    fn a_recorded_bot_certificate_is_read() {
        let key = certified_key(&recorded("storage/key-cert.pub")).unwrap();
        let line = ssh_key::PublicKey::new(key, "").to_openssh().unwrap();
        assert_eq!(line, recorded("storage/key.pub").trim());
    }

    #[test]
    fn only_a_host_certificate_for_the_key_is_accepted() {
        let key = KeyPair::from_pem(&recorded("outputs/ssh_host/ssh_host")).unwrap();
        let host_cert = recorded("outputs/ssh_host/ssh_host-cert.pub");
        let expiry = host_certificate_expiry(&host_cert, key.ssh_key()).unwrap();
        let expiry = expiry.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(
            jiff::Timestamp::new(expiry.try_into().unwrap(), 0).unwrap().to_string(),
            "2026-11-22T15:49:14Z"
        );
        let refused = |line: &str, key: &KeyPair| host_certificate_expiry(line, key.ssh_key()).unwrap_err();
        assert_eq!(refused(&host_cert, &KeyPair::generate().unwrap()), SshCertError::OtherKey);
        assert_eq!(refused(&recorded("storage/key-cert.pub"), &key), SshCertError::NotHost);
    }

    #[test]
    fn a_plain_key_is_refused() {
        let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        assert_eq!(certified_key(line).unwrap_err(), SshCertError::NotACertificate);
    }
}
