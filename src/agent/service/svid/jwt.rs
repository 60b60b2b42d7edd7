//! Checks a JWT for a workload: its form, subject, audiences and expiry. Its recipients verify the signature.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{SvidError, check_validity, is_spiffe_id};
use crate::agent::teleport::messages::Credential;

/// A JWT and its expiry. `Debug` omits the token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct JwtSvid {
    pub(crate) token: String,
    pub(crate) not_after: SystemTime,
}

impl JwtSvid {
    /// Checks the token that was issued for these audiences.
    pub(crate) fn new(
        credential: Credential,
        audiences: &[String],
        now: SystemTime,
    ) -> Result<Self, SvidError> {
        let Credential { spiffe_id, jwt_svid, .. } = credential;
        let token = jwt_svid.ok_or(SvidError::Missing("token"))?.jwt;
        let claims = claims(&token)?;
        let sub = claims.get("sub").and_then(Value::as_str);
        if !is_spiffe_id(&spiffe_id) || sub != Some(spiffe_id.as_str()) {
            return Err(SvidError::OtherId);
        }
        if let Some(missing) = audiences.iter().find(|audience| !has_audience(&claims, audience)) {
            return Err(SvidError::OtherAudience(missing.clone()));
        }
        let not_after = expiry(&claims).ok_or(SvidError::Token("has no expiry"))?;
        check_validity(now, not_after, now)?;
        Ok(Self { token, not_after })
    }
}

impl fmt::Debug for JwtSvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtSvid").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// Returns the claims of a signed token: three parts in base64url, of which the first two are JSON objects.
fn claims(token: &str) -> Result<Map<String, Value>, SvidError> {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let (Some(Some(header)), Some(Some(claims)), Some(Some(signature)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SvidError::Token("does not consist of three parts in base64url"));
    };
    let object = |part: &[u8]| serde_json::from_slice::<Map<String, Value>>(part);
    let header = object(&header).map_err(|_| SvidError::Token("has no header"))?;
    let algorithm = header.get("alg").and_then(Value::as_str);
    if signature.is_empty() || algorithm.is_none_or(|name| name.eq_ignore_ascii_case("none")) {
        return Err(SvidError::Token("is not signed"));
    }
    object(&claims).map_err(|_| SvidError::Token("has no claims"))
}

/// Returns true if the token is for the audience. `aud` is a string or a list of strings.
fn has_audience(claims: &Map<String, Value>, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(value)) => value == audience,
        Some(Value::Array(values)) => values.iter().any(|value| value == audience),
        _ => false,
    }
}

/// Returns the expiry, rounded down to whole seconds.
fn expiry(claims: &Map<String, Value>) -> Option<SystemTime> {
    let exp = claims.get("exp")?;
    let since_epoch = match exp.as_u64() {
        Some(seconds) => Duration::from_secs(seconds),
        None => Duration::try_from_secs_f64(exp.as_f64()?.floor()).ok()?,
    };
    SystemTime::UNIX_EPOCH.checked_add(since_epoch)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::service::svid::sample::ID;
    use crate::agent::teleport::messages::JwtSvidCredential;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn token(header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        format!("{}.{}.c2ln", encode(header), encode(claims))
    }

    fn check(token: String) -> Result<JwtSvid, SvidError> {
        let jwt_svid = Some(JwtSvidCredential { jwt: token });
        let credential = Credential { spiffe_id: ID.to_owned(), jwt_svid, ..Credential::default() };
        JwtSvid::new(credential, &["a".to_owned(), "b".to_owned()], NOW)
    }

    #[test]
    fn a_token_is_kept_unchanged_and_omitted_from_debug_output() {
        let token = token(&json!({ "alg": "ES256" }), &json!({ "sub": ID, "aud": ["b", "a"], "exp": 60.5 }));
        let svid = check(token.clone()).unwrap();
        assert_eq!((&svid.token, svid.not_after), (&token, NOW + Duration::from_secs(60)));
        assert!(!format!("{svid:?}").contains(&token[..8]));
    }

    #[test]
    fn invalid_tokens_are_refused() {
        let signed = json!({ "alg": "ES256" });
        let good = json!({ "sub": ID, "aud": ["a", "b"], "exp": 60 });
        let with = |key: &str, value: Value| {
            let mut claims = good.clone();
            claims[key] = value;
            check(token(&signed, &claims)).unwrap_err()
        };
        assert_eq!(with("sub", json!("spiffe://dev.test/other")), SvidError::OtherId);
        assert_eq!(with("aud", json!(["a"])), SvidError::OtherAudience("b".to_owned()));
        assert_eq!(with("aud", json!("b")), SvidError::OtherAudience("a".to_owned()));
        assert_eq!(with("exp", json!(0)), SvidError::Expired);
        for exp in [json!(null), json!("60"), json!(-1), json!(1e300), json!(u64::MAX)] {
            assert_eq!(with("exp", exp), SvidError::Token("has no expiry"));
        }
        assert_eq!(
            check(token(&json!({ "alg": "None" }), &good)).unwrap_err(),
            SvidError::Token("is not signed")
        );
        for malformed in
            ["", "a.b", "e30.e30.", "e30.e30.c2ln", "e30.e30.c2ln.c2ln", "e30.W10.c2ln", "e30=.e30.c2ln"]
        {
            assert!(matches!(check(malformed.to_owned()), Err(SvidError::Token(_))), "{malformed}");
        }
    }
}
