//! Conversions from the auth API's messages to credentials.

use super::messages::{CertAuthoritySpecV2, Certs};
use crate::agent::credential::authority::Authority;
use crate::agent::credential::cluster_name::ClusterNameError;
use crate::agent::credential::identity::SignedCerts;

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

impl TryFrom<CertAuthoritySpecV2> for Authority {
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
