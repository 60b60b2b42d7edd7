//! Keys: the P-256 keys that sign and serve, and the public keys of callers in either of their spellings.
//! Depends on aws-lc-rs and the DER types; knows no certificate.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use ssh_key::public::{EcdsaPublicKey, KeyData};
use x509_cert::der::asn1::{BitString, Null, SequenceOf, UintRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Any, Decode as _, Encode as _, pem};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::error::Error;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Random bytes from the crypto provider.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Crypto("draw random bytes"))?;
    Ok(bytes)
}

/// Lower-case hex, as tokens and server names spell bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A P-256 key that signs X.509 certificates or serves TLS.
pub(crate) struct TlsKey(EcdsaKeyPair);

impl TlsKey {
    pub(crate) fn generate() -> Result<Self, Error> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map(Self)
            .map_err(|_| Error::Crypto("generate a P-256 key"))
    }

    pub(crate) fn pkcs8(&self) -> Result<Vec<u8>, Error> {
        let der = self.0.to_pkcs8v1().map_err(|_| Error::Crypto("encode a P-256 key"))?;
        Ok(der.as_ref().to_vec())
    }

    pub(crate) fn spki(&self) -> Result<SubjectPublicKeyInfoOwned, Error> {
        let der = self.0.public_key().as_der().map_err(|_| Error::Crypto("encode a P-256 public key"))?;
        Ok(SubjectPublicKeyInfoOwned::from_der(der.as_ref())?)
    }

    /// An ASN.1 ECDSA signature over SHA-256.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature =
            self.0.sign(&SystemRandom::new(), message).map_err(|_| Error::Crypto("sign a certificate"))?;
        Ok(signature.as_ref().to_vec())
    }
}

/// A SubjectPublicKeyInfo for the same key that an authorized_keys line holds: RSA, ECDSA P-256 or Ed25519.
pub(crate) fn spki_of_ssh(key: &KeyData) -> Result<SubjectPublicKeyInfoOwned, Error> {
    let (oid, parameters, bits) = match key {
        KeyData::Rsa(rsa) => {
            let positive = |int: &ssh_key::Mpint| int.as_positive_bytes().unwrap_or_default().to_vec();
            let (n, e) = (positive(&rsa.n), positive(&rsa.e));
            // PKCS#1: a sequence of two integers.
            let mut pair = SequenceOf::<UintRef<'_>, 2>::new();
            pair.add(UintRef::new(&n)?)?;
            pair.add(UintRef::new(&e)?)?;
            (RSA, Some(Any::encode_from(&Null)?), pair.to_der()?)
        }
        KeyData::Ecdsa(EcdsaPublicKey::NistP256(point)) => {
            (EC, Some(Any::encode_from(&P256)?), point.as_bytes().to_vec())
        }
        KeyData::Ed25519(ed25519) => (ED25519, None, ed25519.0.to_vec()),
        other => return Err(ssh_key::Error::AlgorithmUnsupported { algorithm: other.algorithm() }.into()),
    };
    let algorithm = AlgorithmIdentifierOwned { oid, parameters };
    Ok(SubjectPublicKeyInfoOwned { algorithm, subject_public_key: BitString::from_bytes(&bits)? })
}

/// A SubjectPublicKeyInfo from PEM. Teleport takes it under the label `PUBLIC KEY`, and under `RSA PUBLIC KEY` either
/// as PKCS#1 or, mislabelled, as itself.
pub(crate) fn spki_of_pem(text: &[u8]) -> Result<SubjectPublicKeyInfoOwned, Error> {
    let (label, der) = pem::decode_vec(text).map_err(x509_cert::der::Error::from)?;
    match SubjectPublicKeyInfoOwned::from_der(&der) {
        Err(_) if label == "RSA PUBLIC KEY" => Ok(SubjectPublicKeyInfoOwned {
            algorithm: AlgorithmIdentifierOwned { oid: RSA, parameters: Some(Any::encode_from(&Null)?) },
            subject_public_key: BitString::from_bytes(&der)?,
        }),
        spki => Ok(spki?),
    }
}

/// A random UUID, version 4.
pub(crate) fn uuid() -> Result<String, Error> {
    let mut bytes: [u8; 16] = random()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let [a, b, c, d, e] = [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]].map(hex);
    Ok(format!("{a}-{b}-{c}-{d}-{e}"))
}
