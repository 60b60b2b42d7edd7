//! A P-256 key that signs tokens (JWS, ES256), and its public half in the forms that others want. Depends on aws-lc-rs; knows
//! no claims.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use x509_cert::der::pem::{LineEnding, encode_string};

use crate::error::Error;

pub(crate) struct JwtKey(EcdsaKeyPair);

impl JwtKey {
    pub(crate) fn generate() -> Result<Self, Error> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        key.map(Self).map_err(|_| Error::Crypto("generate a P-256 key"))
    }

    /// A token that says so and is signed under this key, which `kid` names where it is given.
    pub(crate) fn sign(&self, kid: Option<&str>, claims: &Value) -> Result<String, Error> {
        let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let mut head = json!({ "alg": "ES256", "typ": "JWT" });
        if let Some(kid) = kid {
            head["kid"] = kid.into();
        }
        let signed = format!("{}.{}", encode(&head), encode(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.map_err(|_| Error::Crypto("sign a token"))?;
        Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The uncompressed point.
    pub(crate) fn public_point(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// `PUBLIC KEY` in PEM.
    pub(crate) fn public_pem(&self) -> Result<String, Error> {
        let der = self.0.public_key().as_der().map_err(|_| Error::Crypto("encode a P-256 public key"))?;
        Ok(encode_string("PUBLIC KEY", LineEnding::LF, der.as_ref()).map_err(x509_cert::der::Error::from)?)
    }

    /// A name that follows from the key.
    pub(crate) fn id(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, self.public_point()))
    }
}

/// The members of a JWK that hold an uncompressed point of P-256.
pub(crate) fn jwk(point: &[u8]) -> Value {
    let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
    json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
}
