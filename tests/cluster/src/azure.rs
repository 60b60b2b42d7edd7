//! An Azure virtual machine: the documents that its metadata service returns, and their verification by a cluster.
//!
//! The attested document is a JWT with the nonce as its audience. Azure signs it with PKCS #7 instead, but agents do not
//! parse it. The cluster does not look up the machine that the access token belongs to.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::json;

use crate::error::Error;
use crate::oidc::{IdTokenError, OidcIssuer, TrustedIssuer};

/// The audience of access tokens.
const RESOURCE: &str = "https://management.azure.com/";

/// A virtual machine, with the key that signs its documents.
pub struct AzureMachine(OidcIssuer);

/// The reason why the documents of a machine are rejected. It never contains them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AzureError {
    #[error("the attested document is malformed")]
    Malformed,
    #[error("the attested document is not in PKCS #7")]
    Encoding,
    #[error("the attested document, whose audience must be the challenge, {0}")]
    Document(IdTokenError),
    #[error("the access token {0}")]
    AccessToken(IdTokenError),
}

impl AzureMachine {
    /// Creates a machine with a new key.
    ///
    /// # Errors
    ///
    /// Returns an error if the key cannot be generated.
    pub fn new() -> Result<Self, Error> {
        OidcIssuer::new("https://sts.windows.test/tenant").map(Self)
    }

    /// Returns the attested document with `nonce`, valid until `expires`.
    ///
    /// # Errors
    ///
    /// Returns an error if the document cannot be signed.
    pub fn attested_document(&self, nonce: &str, expires: SystemTime) -> Result<String, Error> {
        Ok(json!({ "encoding": "pkcs7", "signature": self.0.token(nonce, expires)? }).to_string())
    }

    /// Returns an access token of the machine's managed identity, valid until `expires`.
    ///
    /// # Errors
    ///
    /// Returns an error if the token cannot be signed.
    pub fn access_token(&self, expires: SystemTime) -> Result<String, Error> {
        self.0.token(RESOURCE, expires)
    }

    /// Verifies that an attested document for `challenge` and an access token belong to this machine.
    pub(crate) fn verify(
        &self,
        document: &[u8],
        access_token: &str,
        challenge: &str,
        now: SystemTime,
    ) -> Result<(), AzureError> {
        let document: AttestedDocument =
            serde_json::from_slice(document).map_err(|_| AzureError::Malformed)?;
        if document.encoding != "pkcs7" {
            return Err(AzureError::Encoding);
        }
        TrustedIssuer::new(&self.0, challenge)
            .verify(&document.signature, now)
            .map_err(AzureError::Document)?;
        TrustedIssuer::new(&self.0, RESOURCE).verify(access_token, now).map_err(AzureError::AccessToken)
    }
}

#[derive(Deserialize)]
struct AttestedDocument {
    encoding: String,
    signature: String,
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn only_documents_of_the_machine_for_the_challenge_are_accepted() {
        let hour = UNIX_EPOCH + Duration::from_secs(3600);
        let (machine, other) = (AzureMachine::new().unwrap(), AzureMachine::new().unwrap());
        let document = |by: &AzureMachine, nonce: &str| by.attested_document(nonce, hour).unwrap();
        let token = |by: &AzureMachine| by.access_token(hour).unwrap();
        let verify = |document: String, token: String| {
            machine.verify(document.as_bytes(), &token, "nonce", UNIX_EPOCH)
        };
        assert_eq!(verify(document(&machine, "nonce"), token(&machine)), Ok(()));
        for (document, token, error) in [
            (document(&machine, "another"), token(&machine), AzureError::Document(IdTokenError::Audience)),
            (document(&other, "nonce"), token(&other), AzureError::Document(IdTokenError::Signature)),
            (document(&machine, "nonce"), token(&other), AzureError::AccessToken(IdTokenError::Signature)),
            ("{}".to_owned(), String::new(), AzureError::Malformed),
        ] {
            assert_eq!(verify(document, token), Err(error));
        }
    }
}
