//! Generates P-256 keys for signing and for TLS servers, and parses the public keys of clients, which come as
//! authorized_keys lines or PEM. Knows nothing about certificates.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ssh_key::public::{EcdsaPublicKey, KeyData};
use x509_cert::der::asn1::{BitString, Null, SequenceOf, UintRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Any, Decode as _, Encode as _, pem as der_pem};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::error::Error;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Returns random bytes from the crypto library.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Crypto("generate random bytes"))?;
    Ok(bytes)
}

/// Encodes bytes in lower-case hex, as in join tokens and server names.
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

    /// Returns an ECDSA signature over the SHA-256 digest of `message`, in ASN.1 encoding.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature =
            self.0.sign(&SystemRandom::new(), message).map_err(|_| Error::Crypto("sign a certificate"))?;
        Ok(signature.as_ref().to_vec())
    }
}

/// Converts an SSH public key (RSA, ECDSA P-256 or Ed25519) to a SubjectPublicKeyInfo.
pub(crate) fn spki_from_ssh(key: &KeyData) -> Result<SubjectPublicKeyInfoOwned, Error> {
    let (oid, parameters, bits) = match key {
        KeyData::Rsa(rsa) => {
            let positive = |int: &ssh_key::Mpint| int.as_positive_bytes().unwrap_or_default().to_vec();
            let (n, e) = (positive(&rsa.n), positive(&rsa.e));
            // An RSAPublicKey of PKCS#1 is a sequence of two integers.
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

/// Returns the content of a PEM block.
pub(crate) fn der_from_pem(pem: &[u8]) -> Result<Vec<u8>, Error> {
    let (_, der) = der_pem::decode_vec(pem).map_err(x509_cert::der::Error::from)?;
    Ok(der)
}

/// Returns the key or certificate of a line in the encoding of the SSH protocol, which the line has in base64.
pub(crate) fn wire_from_line(line: &[u8]) -> Result<Vec<u8>, Error> {
    let line = String::from_utf8_lossy(line);
    let base64 = line.split_whitespace().nth(1).unwrap_or_default();
    BASE64_STANDARD.decode(base64).map_err(|_| ssh_key::Error::FormatEncoding.into())
}

/// Parses a PEM public key. Like Teleport, accepts a SubjectPublicKeyInfo under the label `PUBLIC KEY`, and either
/// PKCS#1 or a mislabelled SubjectPublicKeyInfo under `RSA PUBLIC KEY`.
pub(crate) fn spki_from_pem(pem: &[u8]) -> Result<SubjectPublicKeyInfoOwned, Error> {
    let (label, der) = der_pem::decode_vec(pem).map_err(x509_cert::der::Error::from)?;
    match SubjectPublicKeyInfoOwned::from_der(&der) {
        Err(_) if label == "RSA PUBLIC KEY" => Ok(SubjectPublicKeyInfoOwned {
            algorithm: AlgorithmIdentifierOwned { oid: RSA, parameters: Some(Any::encode_from(&Null)?) },
            subject_public_key: BitString::from_bytes(&der)?,
        }),
        spki => Ok(spki?),
    }
}

/// Returns a random UUID (version 4).
pub(crate) fn uuid() -> Result<String, Error> {
    let mut bytes: [u8; 16] = random()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let [a, b, c, d, e] = [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]].map(hex);
    Ok(format!("{a}-{b}-{c}-{d}-{e}"))
}
