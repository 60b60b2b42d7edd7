//! Reads what the agent needs from an OpenSSH certificate of Teleport. Pure; knows no file.

use std::time::{Duration, SystemTime};

use ssh_key::Certificate;
use ssh_key::certificate::CertType;
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
    /// A host's certificate was asked for.
    #[error("the SSH certificate is not a host's")]
    NotAHosts,
    /// The server answered for somebody else.
    #[error("the SSH certificate belongs to another key")]
    OtherKey,
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

/// When the certificate of a host ends, once it is seen to be one, and for `key`.
pub(crate) fn host_certificate_end(line: &str, key: &KeyData) -> Result<SystemTime, SshCertError> {
    let cert = Certificate::from_openssh(line.trim()).map_err(|_| SshCertError::NotACertificate)?;
    if cert.cert_type() != CertType::Host {
        return Err(SshCertError::NotAHosts);
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
    fn reads_the_bot_certificate_of_a_real_server() {
        let key = certified_key(&recorded("storage/key-cert.pub")).unwrap();
        let line = ssh_key::PublicKey::new(key, "").to_openssh().unwrap();
        assert_eq!(line, recorded("storage/key.pub").trim());
    }

    #[test]
    fn a_hosts_certificate_is_told_from_a_users_and_from_another_hosts() {
        let key = KeyPair::from_pem(&recorded("outputs/ssh_host/ssh_host")).unwrap();
        let of_host = recorded("outputs/ssh_host/ssh_host-cert.pub");
        let end = host_certificate_end(&of_host, key.ssh_key()).unwrap();
        let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(
            jiff::Timestamp::new(end.try_into().unwrap(), 0).unwrap().to_string(),
            "2026-11-22T15:49:14Z"
        );
        let refused = |line: &str, key: &KeyPair| host_certificate_end(line, key.ssh_key()).unwrap_err();
        assert_eq!(refused(&of_host, &KeyPair::generate().unwrap()), SshCertError::OtherKey);
        assert_eq!(refused(&recorded("storage/key-cert.pub"), &key), SshCertError::NotAHosts);
    }

    #[test]
    fn a_plain_key_is_refused() {
        let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        assert_eq!(certified_key(line).unwrap_err(), SshCertError::NotACertificate);
    }
}
