//! Signs data as a compact JWS (RFC 7515), with the algorithm that belongs to the type of the key.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use ssh_key::public::{EcdsaPublicKey, KeyData};

use super::keys::{KeyError, KeyPair};

impl KeyPair {
    /// Returns a compact JWS whose payload is exactly `payload`.
    ///
    /// # Errors
    ///
    /// Returns [`KeyError::CannotSign`] unless the key is Ed25519, ECDSA P-256 or RSA.
    pub(crate) fn sign_jws(&self, payload: &[u8]) -> Result<String, KeyError> {
        let algorithm = self.jws_algorithm()?;
        let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = match algorithm {
            "ES256" => self.sign_p256(signed.as_bytes())?,
            "EdDSA" => self.sign(SignatureScheme::ED25519, signed.as_bytes())?,
            _ => self.sign(SignatureScheme::RSA_PKCS1_SHA256, signed.as_bytes())?,
        };
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Returns the `alg` of a JWS by this key.
    pub(crate) fn jws_algorithm(&self) -> Result<&'static str, KeyError> {
        match self.ssh_key() {
            KeyData::Ed25519(_) => Ok("EdDSA"),
            KeyData::Ecdsa(EcdsaPublicKey::NistP256(_)) => Ok("ES256"),
            KeyData::Rsa(_) => Ok("RS256"),
            _ => Err(KeyError::CannotSign),
        }
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&self.private_der());
        let signer = key.ok().and_then(|key| key.choose_scheme(&[scheme])).ok_or(KeyError::CannotSign)?;
        signer.sign(message).map_err(|_| KeyError::CannotSign)
    }

    /// Signs with two numbers of fixed length, as JWS requires. rustls encodes them in ASN.1.
    fn sign_p256(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let der = self.private_der();
        let key = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_der());
        let signature = key.map_err(|_| KeyError::CannotSign)?.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| KeyError::CannotSign)?.as_ref().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
        VerificationAlgorithm,
    };
    use x509_parser::prelude::FromDer as _;
    use x509_parser::x509::SubjectPublicKeyInfo;

    use super::*;

    /// The challenge of a server is a document that must not be encoded again.
    const PAYLOAD: &[u8] = br#"{"nonce":"a b","aud":"dev.test"}"#;

    fn verify(key: &KeyPair, jws: &str, algorithm: &'static dyn VerificationAlgorithm) {
        let (signed, signature) = jws.rsplit_once('.').unwrap();
        let (_, spki) = SubjectPublicKeyInfo::from_der(key.spki_der()).unwrap();
        let public = UnparsedPublicKey::new(algorithm, spki.subject_public_key.data.as_ref().to_vec());
        public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    }

    #[test]
    fn each_type_of_key_signs_with_its_algorithm() {
        let cases: [(KeyPair, &str, &'static dyn VerificationAlgorithm); 3] = [
            (KeyPair::generate_ed25519().unwrap(), "EdDSA", &ED25519),
            (KeyPair::generate().unwrap(), "ES256", &ECDSA_P256_SHA256_FIXED),
            (KeyPair::generate_rsa().unwrap(), "RS256", &RSA_PKCS1_2048_8192_SHA256),
        ];
        for (key, name, algorithm) in cases {
            let jws = key.sign_jws(PAYLOAD).unwrap();
            let parts: Vec<_> = jws.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
            assert_eq!(parts.len(), 3);
            let header: serde_json::Value = serde_json::from_slice(&parts[0]).unwrap();
            assert_eq!(header, serde_json::json!({ "alg": name, "typ": "JWT" }));
            assert_eq!(parts[1], PAYLOAD);
            verify(&key, &jws, algorithm);
        }
    }
}
