//! Conversions from the auth API's messages to credentials.

use ssh_key::{Certificate, PublicKey};

use super::messages::{CertAuthoritySpecV2, Certs, join_v1};
use crate::agent::credential::authority::CertAuthority;
use crate::agent::credential::cluster_name::ClusterNameError;
use crate::agent::credential::identity::SignedCerts;
use crate::agent::credential::pem::pem_encode;

impl From<Certs> for SignedCerts {
    fn from(certs: Certs) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            tls: text(certs.tls),
            ssh: text(certs.ssh),
            tls_cas: certs.tls_ca_certs.into_iter().map(text).collect(),
            ssh_cas: certs.ssh_ca_certs.into_iter().map(text).collect(),
        }
    }
}

impl TryFrom<join_v1::Certificates> for SignedCerts {
    /// What is wrong with the certificates.
    type Error = &'static str;

    fn try_from(certs: join_v1::Certificates) -> Result<Self, &'static str> {
        let ssh = Certificate::from_bytes(&certs.ssh_cert).and_then(|cert| cert.to_openssh());
        let ssh = ssh.map_err(|_| "its SSH certificate cannot be decoded")?;
        let line = |key: &Vec<u8>| PublicKey::from_bytes(key).and_then(|key| key.to_openssh());
        let ssh_cas = certs.ssh_ca_keys.iter().map(line).collect::<Result<Vec<_>, _>>();
        let ssh_cas = ssh_cas.map_err(|_| "the key of an SSH CA cannot be decoded")?;
        let pem = |der: &Vec<u8>| pem_encode("CERTIFICATE", der);
        Ok(Self {
            tls: pem(&certs.tls_cert),
            ssh: ssh + "\n",
            tls_cas: certs.tls_ca_certs.iter().map(pem).collect(),
            ssh_cas: ssh_cas.into_iter().map(|line| line + "\n").collect(),
        })
    }
}

impl TryFrom<CertAuthoritySpecV2> for CertAuthority {
    type Error = ClusterNameError;

    fn try_from(spec: CertAuthoritySpecV2) -> Result<Self, ClusterNameError> {
        let cluster = spec.cluster_name.parse()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let sets = [spec.active_keys, spec.additional_trusted_keys];
        let (mut ssh, mut tls) = (Vec::new(), Vec::new());
        for set in sets.into_iter().flatten() {
            let keys = set.ssh.into_iter().map(|pair| text(pair.public_key).trim().to_owned());
            // A line break would begin another entry in a file that OpenSSH reads.
            ssh.extend(keys.filter(|key| !key.contains(char::is_control)));
            tls.extend(set.tls.into_iter().map(|pair| text(pair.cert)));
        }
        Ok(Self { cluster, ssh, tls })
    }
}

/// Returns the CA, or `None` if the name of its cluster is not valid. `AuthClient::leaf_clusters` warns about such a
/// cluster if it matters.
pub(super) fn trusted_authority(spec: CertAuthoritySpecV2) -> Option<CertAuthority> {
    spec.try_into().inspect_err(|error| tracing::debug!("ignoring a CA: {error}")).ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::agent::credential::x509;
    use crate::agent::recordings::recorded;

    /// Returns the second part of a line, decoded.
    fn wire(line: &str) -> Vec<u8> {
        STANDARD.decode(line.split(' ').nth(1).unwrap().trim()).unwrap()
    }

    fn binary_certificates() -> join_v1::Certificates {
        let der = |pem: &str| x509::certificates(pem).unwrap()[0].to_vec();
        join_v1::Certificates {
            tls_cert: der(&recorded("storage/tlscert")),
            tls_ca_certs: recorded("storage/tlscacerts").split('$').map(der).collect(),
            ssh_cert: wire(&recorded("storage/key-cert.pub")),
            ssh_ca_keys: recorded("storage/sshcacerts").split('$').map(wire).collect(),
        }
    }

    #[test]
    fn binary_certificates_become_what_the_storage_contains() {
        let certs = SignedCerts::try_from(binary_certificates()).unwrap();
        assert_eq!(certs.tls, recorded("storage/tlscert"));
        assert_eq!(certs.ssh, recorded("storage/key-cert.pub"));
        assert_eq!(certs.tls_cas.join("$"), recorded("storage/tlscacerts"));
        assert_eq!(certs.ssh_cas.join("$"), recorded("storage/sshcacerts"));
    }

    #[test]
    fn certificates_that_cannot_be_decoded_are_refused() {
        for broken in [
            join_v1::Certificates { ssh_cert: b"hunter2".to_vec(), ..binary_certificates() },
            join_v1::Certificates { ssh_ca_keys: vec![b"hunter2".to_vec()], ..binary_certificates() },
        ] {
            assert!(!SignedCerts::try_from(broken).unwrap_err().contains("hunter2"));
        }
    }
}
