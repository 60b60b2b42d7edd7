//! Obtains the attestation that a join presents together with the token's name: evidence of where the agent runs. It is
//! either an ID token that a third party issued, or a cloud's response to the cluster's challenge.
//!
//! Everything that does not depend on the challenge is obtained before the agent contacts the cluster, and again for
//! each join. Attestations are never stored, and appear in no log line and in no error.

mod aws;
mod azure;
mod azure_issuers;
mod challenge;
mod endpoint_url;
mod error;
mod id_token_request;
mod jwt;
mod local;
#[cfg(test)]
mod malformed_input;
mod metadata_client;
mod source;
mod token_command;
mod token_request;

use crate::agent::platform::{Clock, Environment};
use crate::config::{JoinMethod, Onboarding};
use aws::AwsAttestation;
pub(super) use azure::AzureAttestation;
pub(super) use challenge::Challenge;
use error::RequestContext;
pub use error::{AttestationError, CommandProblem};
pub(crate) use jwt::Jwt;
use source::AttestationSource;

/// The evidence that a join presents together with the name of the token.
pub(crate) enum Attestation {
    /// An ID token, sent unchanged.
    IdToken(Jwt),
    /// Everything that is needed to respond to the cluster's challenge.
    Cloud(Box<CloudAttestation>),
}

/// An attestation that responds to a challenge.
pub(crate) enum CloudAttestation {
    Aws(AwsAttestation),
    Azure(AzureAttestation),
}

/// Obtains the attestations of one join method.
pub(crate) struct Attestor {
    source: AttestationSource,
    environment: Environment,
    clock: Clock,
}

impl Attestor {
    /// Returns `None` if `method` uses no attestation or is not supported.
    pub(crate) fn new(
        method: JoinMethod,
        onboarding: &Onboarding,
        environment: &Environment,
        clock: &Clock,
    ) -> Option<Self> {
        let source = AttestationSource::for_method(method.supported()?, onboarding)?;
        Some(Self { source, environment: environment.clone(), clock: clock.clone() })
    }

    /// Obtains a fresh attestation. Cancel safe.
    pub(crate) async fn attest(&self) -> Result<Attestation, AttestationError> {
        let Self { source, environment, clock } = self;
        let id_token = match source {
            AttestationSource::Variable { name, hint } => {
                local::id_token_from_variable(environment, name, hint)
            }
            AttestationSource::File { path, variable, default, hint } => {
                let fallback = || environment.get(variable).unwrap_or(default).into();
                local::id_token_from_file(path.clone().unwrap_or_else(fallback), hint).await
            }
            AttestationSource::Request(request) => request.send(environment, clock).await,
            AttestationSource::Command(command) => command.run(environment).await,
            AttestationSource::ConfiguredRequest(request) => request.send(environment, clock).await,
            AttestationSource::NotConfigured { hint } => Err(RequestContext::id_token(hint).missing()),
            AttestationSource::Aws => {
                let aws = AwsAttestation::new(environment, clock).await?;
                return Ok(Attestation::Cloud(CloudAttestation::Aws(aws).into()));
            }
            AttestationSource::Azure { client_id } => {
                let azure = AzureAttestation::new(client_id.as_deref(), environment, clock).await?;
                return Ok(Attestation::Cloud(CloudAttestation::Azure(azure).into()));
            }
        };
        id_token.map(Attestation::IdToken)
    }
}
