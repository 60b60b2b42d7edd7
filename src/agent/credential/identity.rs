//! An identity: one key, its TLS and SSH certificates, and the authorities to trust. Pure; knows no file.
//!
//! Nothing that fails these checks is ever saved or used: the certificates belong to the key, and the
//! cluster is known.

use std::time::SystemTime;

use crate::agent::credential::keys::{KeyError, KeyPair};
use crate::agent::credential::ssh_cert::{self, SshCertError};
use crate::agent::credential::x509::{self, UserCert, X509Error};

/// Separates certificate authorities in one file; part of the storage format.
pub(crate) const CA_SEPARATOR: &str = "$";

/// Why a set of key and certificates is no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The private key.
    #[error("private key: {0}")]
    Key(#[from] KeyError),
    /// The TLS certificate or an authority.
    #[error("TLS certificate: {0}")]
    X509(#[from] X509Error),
    /// The SSH certificate.
    #[error("SSH certificate: {0}")]
    Ssh(#[from] SshCertError),
    /// A certificate of another key: files of two generations were mixed, or the server answered for somebody else.
    #[error("the {0} certificate belongs to another key")]
    OtherKey(&'static str),
    /// Without authorities nothing can be verified, and an identity without them would not be one when it is loaded.
    #[error("no {0} certificate authority")]
    NoAuthority(&'static str),
}

/// Certificates as the server gives them, by join or by gRPC.
#[derive(Clone, Debug, Default)]
pub(crate) struct SignedCerts {
    /// Leaf in PEM.
    pub(crate) tls: String,
    /// One certificate line with a newline.
    pub(crate) ssh: String,
    /// One PEM certificate an entry.
    pub(crate) tls_cas: Vec<String>,
    /// One authorized_keys line an entry.
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
        let mut authorities = 0;
        for authority in &certs.tls_cas {
            // What a stored identity's authorities are separated by is in no PEM.
            if authority.contains(CA_SEPARATOR) {
                return Err(X509Error::NotX509.into());
            }
            authorities += x509::certificates(authority)?.len();
        }
        if authorities == 0 {
            return Err(IdentityError::NoAuthority("TLS"));
        }
        if certs.ssh_cas.iter().all(|authority| authority.trim().is_empty()) {
            return Err(IdentityError::NoAuthority("SSH"));
        }
        Ok(Self { key, certs, user })
    }

    /// The root cluster: who issued the TLS certificate.
    pub(crate) fn cluster(&self) -> &str {
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
    fn the_go_agents_identity_is_one() {
        let identity = Identity::new(KeyPair::from_pem(&recorded("storage/key")).unwrap(), certs()).unwrap();
        assert_eq!(identity.cluster(), "dev.test");
        assert_eq!(identity.certs.tls_cas.len(), 2);
    }

    #[test]
    fn certificates_of_another_key_are_refused() {
        let mixed = Identity::new(KeyPair::generate().unwrap(), certs()).unwrap_err();
        assert_eq!(mixed, IdentityError::OtherKey("TLS"));
        let other = SignedCerts { ssh: recorded("outputs/identity/key-cert.pub"), ..certs() };
        let mixed = Identity::new(KeyPair::from_pem(&recorded("storage/key")).unwrap(), other).unwrap_err();
        assert_eq!(mixed, IdentityError::OtherKey("SSH"));
    }

    #[test]
    fn without_an_authority_there_is_no_identity() {
        let refused =
            |certs| Identity::new(KeyPair::from_pem(&recorded("storage/key")).unwrap(), certs).unwrap_err();
        for none in [vec![], vec![String::new()]] {
            let tls = SignedCerts { tls_cas: none.clone(), ..certs() };
            assert_eq!(refused(tls), IdentityError::NoAuthority("TLS"));
            assert_eq!(refused(SignedCerts { ssh_cas: none, ..certs() }), IdentityError::NoAuthority("SSH"));
        }
        let joined = SignedCerts { tls_cas: vec![recorded("storage/tlscacerts")], ..certs() };
        assert_eq!(refused(joined), IdentityError::X509(X509Error::NotX509));
    }
}
