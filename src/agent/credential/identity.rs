//! An identity: one key, its TLS and SSH certificates, and the CAs to trust.
//!
//! An identity is checked when it is created: the certificates belong to the key, they name the cluster, and there are
//! CAs. Nothing unchecked is ever saved or used.

use std::time::SystemTime;

use super::cluster_name::ClusterName;
use super::keys::{KeyError, KeyPair};
use super::ssh_cert::{self, SshCertError};
use super::x509::{self, UserCert, X509Error};

/// Separates CAs in one file; part of the storage format.
pub(crate) const CA_SEPARATOR: &str = "$";

/// The key and the certificates do not form an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The private key cannot be used.
    #[error("the private key cannot be used")]
    Key(#[from] KeyError),
    /// The TLS certificate or a CA cannot be used.
    #[error("the TLS certificate cannot be used")]
    X509(#[from] X509Error),
    /// The SSH certificate cannot be used.
    #[error("the SSH certificate cannot be used")]
    Ssh(#[from] SshCertError),
    /// A certificate belongs to another key: the files come from two generations, or the server certified another key.
    #[error("the {0} certificate belongs to another key")]
    OtherKey(&'static str),
    /// There is no CA, so no server could be verified, and the identity could not be loaded again once stored.
    #[error("no {0} CA")]
    NoAuthority(&'static str),
}

/// Certificates that the server issued, in the response to a join or over gRPC.
#[derive(Clone, Debug, Default)]
pub(crate) struct SignedCerts {
    /// The leaf certificate in PEM.
    pub(crate) tls: String,
    /// One line in OpenSSH format, with a newline.
    pub(crate) ssh: String,
    /// One certificate in PEM per entry.
    pub(crate) tls_cas: Vec<String>,
    /// One authorized_keys line per entry.
    pub(crate) ssh_cas: Vec<String>,
}

/// A checked identity.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) key: KeyPair,
    pub(crate) certs: SignedCerts,
    pub(crate) user: UserCert,
}

impl Identity {
    pub(crate) fn new(key: KeyPair, certs: SignedCerts) -> Result<Self, IdentityError> {
        let user = UserCert::from_pem(&certs.tls)?;
        if user.spki_der != key.spki_der() {
            return Err(IdentityError::OtherKey("TLS"));
        }
        if ssh_cert::certified_key(&certs.ssh)? != *key.ssh_key() {
            return Err(IdentityError::OtherKey("SSH"));
        }
        let mut tls_ca_count = 0;
        for ca in &certs.tls_cas {
            // PEM never contains the separator of stored CAs.
            if ca.contains(CA_SEPARATOR) {
                return Err(X509Error::NotX509.into());
            }
            tls_ca_count += x509::certificates(ca)?.len();
        }
        if tls_ca_count == 0 {
            return Err(IdentityError::NoAuthority("TLS"));
        }
        if certs.ssh_cas.iter().all(|ca| ca.trim().is_empty()) {
            return Err(IdentityError::NoAuthority("SSH"));
        }
        Ok(Self { key, certs, user })
    }

    /// Returns the name of the root cluster, which issued the TLS certificate.
    pub(crate) fn cluster(&self) -> &ClusterName {
        &self.user.cluster
    }

    pub(crate) fn is_expired(&self, now: SystemTime) -> bool {
        self.user.not_after <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    fn certs() -> SignedCerts {
        SignedCerts {
            tls: recorded("storage/tlscert"),
            ssh: recorded("storage/key-cert.pub"),
            tls_cas: recorded("storage/tlscacerts").split('$').map(str::to_owned).collect(),
            ssh_cas: recorded("storage/sshcacerts").split('$').map(str::to_owned).collect(),
        }
    }

    #[test]
    fn an_identity_of_the_go_agent_is_accepted() {
        let identity = Identity::new(KeyPair::from_pem(&recorded("storage/key")).unwrap(), certs()).unwrap();
        assert_eq!(&**identity.cluster(), "dev.test");
        assert_eq!(identity.certs.tls_cas.len(), 2);
    }

    #[test]
    fn certificates_of_another_key_are_refused() {
        let refused = Identity::new(KeyPair::generate().unwrap(), certs()).unwrap_err();
        assert_eq!(refused, IdentityError::OtherKey("TLS"));
        let other = SignedCerts { ssh: recorded("outputs/identity/key-cert.pub"), ..certs() };
        let refused = Identity::new(KeyPair::from_pem(&recorded("storage/key")).unwrap(), other).unwrap_err();
        assert_eq!(refused, IdentityError::OtherKey("SSH"));
    }

    #[test]
    fn an_identity_needs_cas_of_both_types() {
        let refused =
            |certs| Identity::new(KeyPair::from_pem(&recorded("storage/key")).unwrap(), certs).unwrap_err();
        for none in [vec![], vec![String::new()]] {
            let tls = SignedCerts { tls_cas: none.clone(), ..certs() };
            assert_eq!(refused(tls), IdentityError::NoAuthority("TLS"));
            assert_eq!(refused(SignedCerts { ssh_cas: none, ..certs() }), IdentityError::NoAuthority("SSH"));
        }
        let unsplit = SignedCerts { tls_cas: vec![recorded("storage/tlscacerts")], ..certs() };
        assert_eq!(refused(unsplit), IdentityError::X509(X509Error::NotX509));
    }
}
