//! Issuers of identity tokens, as a CI system or a cloud has one, and what a cluster checks of such a token: signature
//! (ES256), issuer, audience, end. Depends on [`crate::jwt`] and serde; knows no bot.

use std::time::SystemTime;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;

use crate::clock::unix_seconds;
use crate::error::Error;
use crate::jwt::JwtKey;

/// Signs identity tokens under its own key.
pub struct Issuer {
    name: String,
    key: JwtKey,
}

impl Issuer {
    /// An issuer of this name, `https://token.actions.example`, with a fresh key.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        Ok(Self { name: name.into(), key: JwtKey::generate()? })
    }

    /// A token for `audience` that ends at `expires`.
    pub fn token(&self, audience: &str, expires: SystemTime) -> Result<String, Error> {
        let claims = json!({ "iss": self.name, "aud": audience, "exp": unix_seconds(expires) });
        self.key.sign(None, &claims)
    }
}

/// Whose tokens for whom a join is allowed with.
#[derive(Clone, Debug)]
pub(crate) struct Trusted {
    issuer: String,
    public_key: Vec<u8>,
    audience: String,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    exp: u64,
}

impl Trusted {
    pub(crate) fn new(issuer: &Issuer, audience: &str) -> Self {
        Self {
            issuer: issuer.name.clone(),
            public_key: issuer.key.public_point().to_vec(),
            audience: audience.to_owned(),
        }
    }

    /// What is wrong with `token`. It is not repeated.
    pub(crate) fn check(&self, token: &str, now: SystemTime) -> Result<(), &'static str> {
        let (signed, signature) = token.rsplit_once('.').ok_or("is not a signed token")?;
        let (head, claims) = signed.split_once('.').ok_or("is not a signed token")?;
        if parse::<Head>(head)?.alg != "ES256" {
            return Err("is signed with another algorithm than ES256");
        }
        let signature = decode(signature)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.public_key)
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| "is not signed by the issuer")?;
        let claims = parse::<Claims>(claims)?;
        if claims.iss != self.issuer {
            Err("is of another issuer")
        } else if claims.aud != self.audience {
            Err("is for another audience")
        } else if claims.exp <= unix_seconds(now) {
            Err("has expired")
        } else {
            Ok(())
        }
    }
}

fn decode(part: &str) -> Result<Vec<u8>, &'static str> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| "is not in base64url")
}

fn parse<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, &'static str> {
    serde_json::from_slice(&decode(part)?).map_err(|_| "has no such claims")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn only_the_issuer_s_own_token_for_the_audience_is_taken_before_it_ends() {
        let hour = UNIX_EPOCH + Duration::from_secs(3600);
        let (issuer, other) = (Issuer::new("https://ci").unwrap(), Issuer::new("https://ci").unwrap());
        let trusted = Trusted::new(&issuer, "cluster");
        let good = issuer.token("cluster", hour).unwrap();
        assert_eq!(trusted.check(&good, UNIX_EPOCH), Ok(()));
        assert_eq!(trusted.check(&good, hour), Err("has expired"));
        let check = |token: String| trusted.check(&token, UNIX_EPOCH).unwrap_err();
        assert_eq!(check(issuer.token("other", hour).unwrap()), "is for another audience");
        assert_eq!(check(other.token("cluster", hour).unwrap()), "is not signed by the issuer");
        assert_eq!(check(String::new()), "is not a signed token");

        // The claims of one token under the signature of another.
        let (_, signature) = good.rsplit_once('.').unwrap();
        let longer = issuer.token("cluster", hour + Duration::from_secs(1)).unwrap();
        let (claims, _) = longer.rsplit_once('.').unwrap();
        assert_eq!(check(format!("{claims}.{signature}")), "is not signed by the issuer");
    }
}
