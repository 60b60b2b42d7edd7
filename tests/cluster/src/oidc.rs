//! OIDC issuers of ID tokens, such as a CI system or a cloud, and the verification of their tokens: signature (ES256),
//! issuer, audience and expiry. Knows nothing about bots.

use std::time::SystemTime;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;

use crate::clock::unix_seconds;
use crate::error::Error;
use crate::jwt::JwtKey;

/// Signs ID tokens with its own key.
pub struct OidcIssuer {
    name: String,
    key: JwtKey,
}

impl OidcIssuer {
    /// Creates an issuer with a new key. `name` is a URL such as `https://token.actions.example`.
    ///
    /// # Errors
    ///
    /// Returns an error if the key cannot be generated.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        Ok(Self { name: name.into(), key: JwtKey::generate()? })
    }

    /// Returns a token for `audience` that expires at `expires`.
    ///
    /// # Errors
    ///
    /// Returns an error if the token cannot be signed.
    pub fn token(&self, audience: &str, expires: SystemTime) -> Result<String, Error> {
        let claims = json!({ "iss": self.name, "aud": audience, "exp": unix_seconds(expires) });
        self.key.sign(None, &claims)
    }
}

/// The issuer and audience of the tokens that a join accepts.
#[derive(Clone, Debug)]
pub(crate) struct TrustedIssuer {
    name: String,
    public_key: Vec<u8>,
    audience: String,
}

/// The reason why an ID token is rejected. It never contains the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdTokenError {
    #[error("is not a signed token")]
    NotSigned,
    #[error("is not in base64url")]
    Encoding,
    #[error("is not signed with ES256")]
    Algorithm,
    #[error("is not signed by the issuer")]
    Signature,
    #[error("lacks the required claims")]
    Claims,
    #[error("is from another issuer")]
    Issuer,
    #[error("is for another audience")]
    Audience,
    #[error("has expired")]
    Expired,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    exp: u64,
}

impl TrustedIssuer {
    pub(crate) fn new(issuer: &OidcIssuer, audience: &str) -> Self {
        Self {
            name: issuer.name.clone(),
            public_key: issuer.key.public_point().to_vec(),
            audience: audience.to_owned(),
        }
    }

    /// Verifies `token` at the time `now`.
    pub(crate) fn verify(&self, token: &str, now: SystemTime) -> Result<(), IdTokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(IdTokenError::NotSigned)?;
        let (header, claims) = signed.split_once('.').ok_or(IdTokenError::NotSigned)?;
        if parse::<Header>(header)?.alg != "ES256" {
            return Err(IdTokenError::Algorithm);
        }
        let signature = decode(signature)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.public_key)
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| IdTokenError::Signature)?;
        let claims = parse::<Claims>(claims)?;
        if claims.iss != self.name {
            Err(IdTokenError::Issuer)
        } else if claims.aud != self.audience {
            Err(IdTokenError::Audience)
        } else if claims.exp <= unix_seconds(now) {
            Err(IdTokenError::Expired)
        } else {
            Ok(())
        }
    }
}

fn decode(part: &str) -> Result<Vec<u8>, IdTokenError> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| IdTokenError::Encoding)
}

fn parse<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, IdTokenError> {
    serde_json::from_slice(&decode(part)?).map_err(|_| IdTokenError::Claims)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn only_unexpired_tokens_of_the_issuer_for_the_audience_are_accepted() {
        let hour = UNIX_EPOCH + Duration::from_secs(3600);
        let (issuer, other) =
            (OidcIssuer::new("https://ci").unwrap(), OidcIssuer::new("https://ci").unwrap());
        let trusted = TrustedIssuer::new(&issuer, "cluster");
        let good = issuer.token("cluster", hour).unwrap();
        assert_eq!(trusted.verify(&good, UNIX_EPOCH), Ok(()));
        assert_eq!(trusted.verify(&good, hour), Err(IdTokenError::Expired));
        let verify = |token: String| trusted.verify(&token, UNIX_EPOCH).unwrap_err();
        assert_eq!(verify(issuer.token("other", hour).unwrap()), IdTokenError::Audience);
        assert_eq!(verify(other.token("cluster", hour).unwrap()), IdTokenError::Signature);
        assert_eq!(verify(String::new()), IdTokenError::NotSigned);

        // The claims of one token with the signature of another.
        let (_, signature) = good.rsplit_once('.').unwrap();
        let longer = issuer.token("cluster", hour + Duration::from_secs(1)).unwrap();
        let (claims, _) = longer.rsplit_once('.').unwrap();
        assert_eq!(verify(format!("{claims}.{signature}")), IdTokenError::Signature);
    }
}
