//! A machine of Azure: what its metadata service says of it, and what a cluster checks of that. Depends on [`crate::oidc`].
//!
//! The document is signed as an identity token is, with the nonce for an audience, where Azure's is in PKCS #7: the agent
//! reads neither. The machine that the access token is for is not looked up.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::json;

use crate::error::Error;
use crate::oidc::{Issuer, Trusted};

/// Whom access tokens are for.
const RESOURCE: &str = "https://management.azure.com/";

/// What vouches for a machine.
pub struct AzureMachine(Issuer);

impl AzureMachine {
    /// A machine that is vouched for by a fresh key.
    pub fn new() -> Result<Self, Error> {
        Issuer::new("https://sts.windows.test/tenant").map(Self)
    }

    /// The attested document with this nonce, good until `expires`.
    pub fn document(&self, nonce: &str, expires: SystemTime) -> Result<String, Error> {
        Ok(json!({ "encoding": "pkcs7", "signature": self.0.token(nonce, expires)? }).to_string())
    }

    /// An access token of its managed identity, good until `expires`.
    pub fn access_token(&self, expires: SystemTime) -> Result<String, Error> {
        self.0.token(RESOURCE, expires)
    }
}

#[derive(Deserialize)]
struct Document {
    encoding: String,
    signature: String,
}

/// What is wrong with what a machine has sent, which should be `machine` and know the challenge. It is not repeated.
pub(crate) fn check(
    machine: &AzureMachine,
    (document, access_token): (&[u8], &str),
    challenge: &str,
    now: SystemTime,
) -> Result<(), String> {
    let document: Document =
        serde_json::from_slice(document).map_err(|_| "the attested document is not one".to_owned())?;
    if document.encoding != "pkcs7" {
        return Err("the attested document is of another encoding".to_owned());
    }
    let AzureMachine(issuer) = machine;
    Trusted::new(issuer, challenge)
        .check(&document.signature, now)
        .map_err(|problem| format!("the attested document, with the challenge for an audience, {problem}"))?;
    Trusted::new(issuer, RESOURCE)
        .check(access_token, now)
        .map_err(|problem| format!("the access token {problem}"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn only_the_machine_s_own_document_for_the_challenge_is_taken() {
        let hour = UNIX_EPOCH + Duration::from_secs(3600);
        let (machine, other) = (AzureMachine::new().unwrap(), AzureMachine::new().unwrap());
        let said = |by: &AzureMachine, nonce: &str| {
            (by.document(nonce, hour).unwrap(), by.access_token(hour).unwrap())
        };
        let check = |(document, token): &(String, String)| {
            check(&machine, (document.as_bytes(), token), "nonce", UNIX_EPOCH)
        };
        assert_eq!(check(&said(&machine, "nonce")), Ok(()));
        let refused = |said: &(String, String)| check(said).unwrap_err();
        assert!(refused(&said(&machine, "another")).contains("is for another audience"));
        assert!(refused(&said(&other, "nonce")).contains("is not signed by the issuer"));
        let mixed = (said(&machine, "nonce").0, said(&other, "nonce").1);
        assert!(refused(&mixed).contains("the access token is not signed"));
        assert!(refused(&("{}".to_owned(), String::new())).contains("is not one"));
    }
}
