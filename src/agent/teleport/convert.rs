//! Conversions from the auth API's messages to credentials.

use super::messages::{CertAuthoritySpecV2, Certs};
use crate::agent::credential::authority::Authority;
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

impl From<CertAuthoritySpecV2> for Authority {
    fn from(spec: CertAuthoritySpecV2) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let sets = [spec.active_keys, spec.additional_trusted_keys];
        let (mut ssh, mut tls) = (Vec::new(), Vec::new());
        for set in sets.into_iter().flatten() {
            ssh.extend(set.ssh.into_iter().map(|pair| text(pair.public_key).trim().to_owned()));
            tls.extend(set.tls.into_iter().map(|pair| text(pair.cert)));
        }
        Self { cluster: spec.cluster_name, ssh, tls }
    }
}
