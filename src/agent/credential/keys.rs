//! Generates ECDSA P-256, Ed25519 and RSA key pairs, reads private keys, also those of the Go agent (RSA in PKCS#1 or PKCS#8),
//! and encodes both halves of a pair.
//!
//! A private key never appears in `Debug` output or in an error.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use ssh_key::public::{EcdsaPublicKey, Ed25519PublicKey, KeyData, RsaPublicKey};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::pem::pem_encode;

/// A key cannot be generated or read. The error contains no part of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The random generator or aws-lc failed.
    #[error("cannot generate a key: the cryptographic library failed")]
    Generate,
    /// The input is not PEM, or not PEM of a private key.
    #[error("not a private key in PEM (`PRIVATE KEY`, `EC PRIVATE KEY` or `RSA PRIVATE KEY`)")]
    NotPem,
    /// The key cannot sign a JWS.
    #[error("this type of key cannot sign the cluster's challenge; use Ed25519, ECDSA P-256 or RSA")]
    CannotSign,
    /// The key has an unsupported type or size.
    #[error(
        "unsupported type of private key, neither ECDSA P-256, P-384, P-521, Ed25519 nor RSA of 2048 bits or more"
    )]
    Unsupported,
}

/// A private key and its public half in the encodings that Teleport uses.
pub(crate) struct KeyPair {
    private_pem: String,
    private_der: PrivateKeyDer<'static>,
    spki_der: Vec<u8>,
    ssh: ssh_key::PublicKey,
}

impl KeyPair {
    /// Generates an ECDSA P-256 key.
    pub(crate) fn generate() -> Result<Self, KeyError> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        Self::from_pkcs8(document.map_err(|_| KeyError::Generate)?.as_ref())
    }

    /// Generates an Ed25519 key.
    pub(crate) fn generate_ed25519() -> Result<Self, KeyError> {
        // Version 1 of PKCS#8 has no public key, which some programs do not expect.
        let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new());
        Self::from_pkcs8(document.map_err(|_| KeyError::Generate)?.as_ref())
    }

    /// Generates an RSA key of 2048 bits. Takes 0.1 s or longer, so call it on a blocking thread.
    pub(crate) fn generate_rsa() -> Result<Self, KeyError> {
        let key = rsa::KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Generate)?;
        let document: Pkcs8V1Der<'_> = key.as_der().map_err(|_| KeyError::Generate)?;
        Self::from_pkcs8(document.as_ref())
    }

    fn from_pkcs8(document: &[u8]) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from(document.to_vec());
        Self::new(pem_encode("PRIVATE KEY", document), der.into())
    }

    /// Reads a private key in PEM, and keeps the PEM unchanged.
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

    /// Returns the private key in PEM, as it is stored: `PRIVATE KEY` (PKCS#8) for generated keys.
    pub(crate) fn private_pem(&self) -> &str {
        &self.private_pem
    }

    pub(crate) fn private_der(&self) -> PrivateKeyDer<'static> {
        self.private_der.clone_key()
    }

    /// Returns the DER-encoded `SubjectPublicKeyInfo`, to compare with a certificate's.
    pub(crate) fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// Returns the public key in PEM (`PUBLIC KEY`), for `public_tls_key` of a join and field 23 of `UserCertsRequest`.
    pub(crate) fn public_pem(&self) -> String {
        pem_encode("PUBLIC KEY", &self.spki_der)
    }

    pub(crate) fn ssh_key(&self) -> &KeyData {
        self.ssh.key_data()
    }

    /// Returns the public key in the encoding of the SSH protocol.
    pub(crate) fn ssh_wire(&self) -> Result<Vec<u8>, KeyError> {
        self.ssh.to_bytes().map_err(|_| KeyError::Unsupported)
    }

    /// Returns the authorized_keys line (`ecdsa-sha2-nistp256 AAAA…`) with a newline and without a comment.
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

/// The object identifier of Ed25519; x509-parser does not parse keys of this type.
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
        let generated = KeyPair::generate().unwrap();
        let read = KeyPair::from_pem(generated.private_pem()).unwrap();
        assert!(generated.private_pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(generated.public_pem().starts_with("-----BEGIN PUBLIC KEY-----\n"));
        assert_eq!(generated.spki_der(), read.spki_der());
        let line = generated.ssh_line().unwrap();
        assert!(line.starts_with("ecdsa-sha2-nistp256 AAAA"), "{line}");
        assert!(line.ends_with('\n') && line.split_whitespace().count() == 2, "no comment: {line:?}");
    }

    #[test]
    fn an_ed25519_key_can_be_generated() {
        let generated = KeyPair::generate_ed25519().unwrap();
        assert!(generated.private_pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(generated.ssh_line().unwrap().starts_with("ssh-ed25519 AAAA"));
        let read = KeyPair::from_pem(generated.private_pem()).unwrap();
        assert_eq!(generated.spki_der(), read.spki_der());
    }

    #[test]
    fn an_rsa_key_can_be_generated() {
        let generated = KeyPair::generate_rsa().unwrap();
        assert!(generated.private_pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(generated.ssh_line().unwrap().starts_with("ssh-rsa AAAA"));
    }

    #[test]
    fn a_key_of_the_go_agent_has_the_recorded_public_line() {
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
