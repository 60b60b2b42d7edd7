//! Key pairs: makes ECDSA P-256 and RSA keys, reads those of the Go agent (RSA, PKCS#1 or PKCS#8), writes both halves.
//!
//! Pure: no I/O but the random generator of aws-lc-rs. A private key never leaves through `Debug` or an error.

use crate::agent::credential::pem::pem_encode;
use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use ssh_key::public::{EcdsaPublicKey, Ed25519PublicKey, KeyData, RsaPublicKey};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Why a key cannot be made or read. Says nothing of the key itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The random generator or aws-lc failed.
    #[error("cannot generate a key: the system's cryptography refused")]
    Generate,
    /// Not PEM, or PEM of something else.
    #[error("not a private key in PEM (`PRIVATE KEY`, `EC PRIVATE KEY` or `RSA PRIVATE KEY`)")]
    NotPem,
    /// PEM of a key that this build cannot use.
    #[error(
        "a private key of a kind that is not supported: use ECDSA P-256, P-384, P-521, Ed25519 or RSA of 2048 bits or more"
    )]
    Unsupported,
}

/// A private key with its public half in the forms Teleport wants.
pub(crate) struct KeyPair {
    private_pem: String,
    private_der: PrivateKeyDer<'static>,
    spki_der: Vec<u8>,
    ssh: ssh_key::PublicKey,
}

impl KeyPair {
    /// A fresh ECDSA P-256 key.
    pub(crate) fn generate() -> Result<Self, KeyError> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map_err(|_| KeyError::Generate)?;
        let der = PrivatePkcs8KeyDer::from(document.as_ref().to_vec());
        let pem = pem_encode("PRIVATE KEY", document.as_ref());
        Self::new(pem, der.into())
    }

    /// A fresh RSA key of 2048 bits, which takes a tenth of a second and more.
    pub(crate) fn generate_rsa() -> Result<Self, KeyError> {
        let key = rsa::KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Generate)?;
        let document: Pkcs8V1Der<'_> = key.as_der().map_err(|_| KeyError::Generate)?;
        let der = PrivatePkcs8KeyDer::from(document.as_ref().to_vec());
        let pem = pem_encode("PRIVATE KEY", document.as_ref());
        Self::new(pem, der.into())
    }

    /// Reads a private key in PEM; the text is kept as it is.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::NotPem)?;
        Self::new(pem.to_owned(), der)
    }

    fn new(private_pem: String, private_der: PrivateKeyDer<'static>) -> Result<Self, KeyError> {
        let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(&private_der)
            .map_err(|_| KeyError::Unsupported)?;
        let spki_der = signing.public_key().ok_or(KeyError::Unsupported)?.to_vec();
        let ssh = ssh_from_spki(&spki_der).ok_or(KeyError::Unsupported)?;
        Ok(Self { private_pem, private_der, spki_der, ssh })
    }

    /// The private key, as it stands on disk: `PRIVATE KEY` (PKCS#8) for keys made here.
    pub(crate) fn private_pem(&self) -> &str {
        &self.private_pem
    }

    pub(crate) fn private_der(&self) -> PrivateKeyDer<'static> {
        self.private_der.clone_key()
    }

    /// `SubjectPublicKeyInfo`, for comparing with a certificate's.
    pub(crate) fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// `PUBLIC KEY` in PEM, what `public_tls_key` and field 23 of `UserCertsRequest` want.
    pub(crate) fn public_pem(&self) -> String {
        pem_encode("PUBLIC KEY", &self.spki_der)
    }

    pub(crate) fn ssh_key(&self) -> &KeyData {
        self.ssh.key_data()
    }

    /// `ecdsa-sha2-nistp256 AAAA…` with a newline and no comment.
    pub(crate) fn ssh_line(&self) -> Result<String, KeyError> {
        let mut line = self.ssh.to_openssh().map_err(|_| KeyError::Unsupported)?;
        line.push('\n');
        Ok(line)
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair(...)")
    }
}

/// Object identifier of Ed25519, which x509-parser leaves unparsed.
const ED25519: &str = "1.3.101.112";

fn ssh_from_spki(der: &[u8]) -> Option<ssh_key::PublicKey> {
    let (_, spki) = SubjectPublicKeyInfo::from_der(der).ok()?;
    let data = match spki.parsed().ok()? {
        PublicKey::RSA(rsa) => KeyData::Rsa(RsaPublicKey {
            e: ssh_key::Mpint::from_positive_bytes(rsa.exponent).ok()?,
            n: ssh_key::Mpint::from_positive_bytes(rsa.modulus).ok()?,
        }),
        PublicKey::EC(point) => KeyData::Ecdsa(EcdsaPublicKey::from_sec1_bytes(point.data()).ok()?),
        _ if spki.algorithm.algorithm.to_id_string() == ED25519 => {
            let bytes: &[u8; 32] = spki.subject_public_key.data.as_ref().try_into().ok()?;
            KeyData::Ed25519(Ed25519PublicKey(*bytes))
        }
        _ => return None,
    };
    Some(ssh_key::PublicKey::new(data, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    #[test]
    fn a_generated_key_reads_back_as_the_same_key() {
        let made = KeyPair::generate().unwrap();
        let read = KeyPair::from_pem(made.private_pem()).unwrap();
        assert!(made.private_pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(made.public_pem().starts_with("-----BEGIN PUBLIC KEY-----\n"));
        assert_eq!(made.spki_der(), read.spki_der());
        let line = made.ssh_line().unwrap();
        assert!(line.starts_with("ecdsa-sha2-nistp256 AAAA"), "{line}");
        assert!(line.ends_with('\n') && line.split_whitespace().count() == 2, "no comment: {line:?}");
    }

    #[test]
    fn a_generated_rsa_key_is_one() {
        let made = KeyPair::generate_rsa().unwrap();
        assert!(made.private_pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(made.ssh_line().unwrap().starts_with("ssh-rsa AAAA"));
    }

    #[test]
    fn a_key_of_the_go_agent_gives_the_public_line_that_it_wrote() {
        let key = KeyPair::from_pem(&recorded("storage/key")).unwrap();
        assert_eq!(key.ssh_line().unwrap(), recorded("storage/key.pub"));
    }

    #[test]
    fn secrets_stay_out_of_debug_and_errors() {
        let key = KeyPair::generate().unwrap();
        assert_eq!(format!("{key:?}"), "KeyPair(...)");
        let refused = KeyPair::from_pem("hunter2").unwrap_err();
        assert!(!refused.to_string().contains("hunter2"));
    }
}
