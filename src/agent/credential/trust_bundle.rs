//! Reads the X.509 CAs of another trust domain from its SPIFFE trust bundle, which is a JWKS document.
//!
//! Each CA is one key with use `x509-svid` and one certificate in `x5c`. Keys with other uses are ignored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::x509::certificate;

/// A bundle cannot be read. The error contains no part of the bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TrustBundleError {
    /// The document is not JSON, or not a JWKS.
    #[error("not a JWKS document")]
    NotJwks,
    /// A key with use `x509-svid` does not have exactly one certificate.
    #[error("key {0} has the use x509-svid, but not exactly one certificate")]
    NoCertificate(usize),
}

#[derive(Deserialize)]
struct Document {
    keys: Option<Vec<Key>>,
}

#[derive(Deserialize)]
struct Key {
    #[serde(rename = "use")]
    usage: Option<String>,
    x5c: Option<Vec<String>>,
}

/// Returns the X.509 CAs of a bundle in DER, in the order of the document. The list may be empty.
pub(crate) fn x509_authorities(document: &str) -> Result<Vec<Vec<u8>>, TrustBundleError> {
    let document: Document = serde_json::from_str(document).map_err(|_| TrustBundleError::NotJwks)?;
    let keys = document.keys.unwrap_or_default().into_iter().enumerate();
    let for_x509 = keys.filter(|(_, key)| key.usage.as_deref() == Some("x509-svid"));
    for_x509
        .map(|(index, key)| ca_certificate(&key).ok_or(TrustBundleError::NoCertificate(index + 1)))
        .collect()
}

fn ca_certificate(key: &Key) -> Option<Vec<u8>> {
    let [base64] = key.x5c.as_deref()? else { return None };
    let der = STANDARD.decode(base64).ok()?;
    certificate(&der).ok()?;
    Some(der)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::service::svid::sample;

    #[test]
    fn only_keys_for_x509_are_read() {
        let der = sample::x509(&[sample::ID]).1.x509_svid.unwrap().cert;
        let x5c = json!([STANDARD.encode(&der)]);
        let bundle = json!({
            "keys": [
                { "use": "jwt-svid", "kty": "EC", "kid": "a" },
                { "use": "x509-svid", "kty": "EC", "x5c": x5c },
                { "kty": "OKP", "x5c": ["unused"] },
            ],
            "spiffe_sequence": 1,
        });
        assert_eq!(x509_authorities(&bundle.to_string()), Ok(vec![der.clone()]));
        for none in ["{}", r#"{"keys":null}"#, r#"{"keys":[]}"#] {
            assert_eq!(x509_authorities(none), Ok(vec![]));
        }
        for document in ["", "[", "null", r#"{"keys":7}"#, r#"{"keys":[7]}"#] {
            assert_eq!(x509_authorities(document), Err(TrustBundleError::NotJwks), "{document}");
        }
        let mut trailing_byte = der;
        trailing_byte.push(0);
        let trailing_byte = json!([STANDARD.encode(&trailing_byte)]);
        for x5c in
            [json!([]), json!([x5c[0], x5c[0]]), json!(["!"]), json!(["AAAA"]), trailing_byte, json!(null)]
        {
            let bundle = json!({ "keys": [{ "use": "x509-svid", "x5c": x5c }] }).to_string();
            assert_eq!(x509_authorities(&bundle), Err(TrustBundleError::NoCertificate(1)), "{bundle}");
        }
    }
}
