//! Responds to a cluster's challenge with a cloud's evidence of where the agent runs.

use std::time::SystemTime;

use super::attestation::{AzureAttestation, Challenge, CloudAttestation};
use super::error::JoinError;

/// The evidence that contains the challenge.
pub(super) enum ChallengeResponse<'a> {
    /// A signed request to STS, in the format of HTTP/1.1.
    Aws(String),
    Azure {
        /// The response of the metadata service: a document that Azure signed.
        document: Vec<u8>,
        azure: &'a AzureAttestation,
    },
}

impl<'a> ChallengeResponse<'a> {
    pub(super) async fn new(
        cloud: &'a CloudAttestation,
        challenge: String,
        now: SystemTime,
    ) -> Result<Self, JoinError> {
        let challenge =
            Challenge::new(challenge).map_err(|problem| JoinError::MalformedResponse(problem.to_owned()))?;
        match cloud {
            CloudAttestation::Aws(aws) => {
                let signed = aws.sts_request(&challenge, now);
                let invalid =
                    |error: jiff::Error| JoinError::InvalidRequest(format!("this machine's clock: {error}"));
                signed.map(Self::Aws).map_err(invalid)
            }
            CloudAttestation::Azure(azure) => {
                Ok(Self::Azure { document: azure.document(&challenge).await?, azure })
            }
        }
    }

    /// Returns the signature of an STS request, which is as good as the credentials while it is valid.
    pub(super) fn signature(&self) -> Option<String> {
        let Self::Aws(request) = self else { return None };
        let (_, rest) = request.split_once("Signature=")?;
        rest.split('\r').next().map(str::to_owned)
    }
}
