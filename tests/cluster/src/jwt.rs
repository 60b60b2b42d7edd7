//! Signs JWTs with a P-256 key (ES256) and encodes its public key as PEM and JWK. Knows nothing about claims.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use x509_cert::der::pem::{LineEnding, encode_string};

use crate::error::Error;

/// A P-256 key that signs JWTs.
pub(crate) struct JwtKey(EcdsaKeyPair);

impl JwtKey {
    pub(crate) fn generate() -> Result<Self, Error> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        key.map(Self).map_err(|_| Error::Crypto("generate a P-256 key"))
    }

    /// Returns a signed token with these claims. The header contains `kid` if it is given.
    pub(crate) fn sign(&self, kid: Option<&str>, claims: &Value) -> Result<String, Error> {
        let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let mut header = json!({ "alg": "ES256", "typ": "JWT" });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.map_err(|_| Error::Crypto("sign a token"))?;
        Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Returns the public key as an uncompressed point.
    pub(crate) fn public_point(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// Returns the public key as a PEM block `PUBLIC KEY`.
    pub(crate) fn public_pem(&self) -> Result<String, Error> {
        let der = self.0.public_key().as_der().map_err(|_| Error::Crypto("encode a P-256 public key"))?;
        Ok(encode_string("PUBLIC KEY", LineEnding::LF, der.as_ref()).map_err(x509_cert::der::Error::from)?)
    }

    /// Returns the key id: the base64url SHA-256 digest of the public key.
    pub(crate) fn key_id(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, self.public_point()))
    }
}

/// Returns the JWK of a P-256 public key that is given as an uncompressed point.
pub(crate) fn jwk(point: &[u8]) -> Value {
    let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
    json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
}
