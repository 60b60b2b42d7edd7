//! Creates the attestation of AWS: a request to STS (`GetCallerIdentity`) that the agent signs. The cluster sends it to
//! STS to learn who signed it.
//!
//! Looks for credentials and a region in the same sources and the same order as the AWS SDKs: environment, web
//! identity, profile, container, EC2. If a profile uses a feature that is not supported here (SSO, assumed roles,
//! processes), the agent returns an error that names it. It does not continue with the next source, because that would
//! be a different identity from the one that the operator configured.

mod container;
mod credentials;
mod ec2;
mod profile;
mod region;
mod sigv4;
mod web_identity;

use std::time::SystemTime;

use super::challenge::Challenge;
use super::error::AttestationError;
use crate::agent::platform::error_text::error_line;
use crate::agent::platform::tasks::run_blocking;
use crate::agent::platform::{Clock, Environment, Hint};
use credentials::{AWS_CREDENTIALS, AwsCredentials};
use ec2::Ec2Metadata;
use profile::Profile;
use region::{AWS_REGION, Region, StsEndpoint};
use web_identity::WebIdentity;

/// Set to `true`, this variable selects FIPS endpoints, as for the AWS SDKs.
const USE_FIPS_ENDPOINT: &str = "AWS_USE_FIPS_ENDPOINT";

/// The credentials that sign the request, and the endpoint that receives it.
pub(crate) struct AwsAttestation {
    credentials: AwsCredentials,
    endpoint: StsEndpoint,
}

impl AwsAttestation {
    /// Finds credentials and a region. If there is no region, uses the default one.
    pub(super) async fn new(environment: &Environment, clock: &Clock) -> Result<Self, AttestationError> {
        let credentials = credentials_from_environment(environment)?;
        let region = region_from_environment(environment)?;
        // Not read if nothing is needed from it, so that an unreadable profile does not matter.
        let profile = if credentials.is_some() && region.is_some() {
            Profile::default()
        } else {
            let environment = environment.clone();
            run_blocking(move || Profile::read(&environment)).await?
        };
        let region = region.map_or_else(|| profile.region(), |region| Ok(Some(region)))?;
        let is_fips =
            environment.get(USE_FIPS_ENDPOINT).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let endpoint = if is_fips { StsEndpoint::fips } else { StsEndpoint::new };
        let mut ec2 = None;
        let credentials = if let Some(credentials) = credentials {
            credentials
        } else if let Some(web_identity) = WebIdentity::from_environment(environment)? {
            let endpoint = endpoint(or_region_of_instance(region, None, environment, clock).await?);
            let credentials = web_identity.credentials(&endpoint, environment, clock).await?;
            return Ok(Self { credentials, endpoint });
        } else if let Some(credentials) = profile.credentials()? {
            credentials
        } else if let Some(credentials) = container::credentials(environment, clock).await? {
            credentials
        } else {
            ec2.insert(Ec2Metadata::open(environment, clock, AWS_CREDENTIALS).await?).credentials().await?
        };
        let endpoint = endpoint(or_region_of_instance(region, ec2, environment, clock).await?);
        Ok(Self { credentials, endpoint })
    }

    /// Returns the signed request in HTTP/1.1 wire format.
    ///
    /// # Errors
    ///
    /// Returns an error if `now` is outside the range of [`jiff::Timestamp`].
    pub(crate) fn sts_request(&self, challenge: &Challenge, now: SystemTime) -> Result<String, jiff::Error> {
        sigv4::sign_get_caller_identity(challenge, &self.endpoint, &self.credentials, now)
    }

    /// Returns every value to redact in messages: the secrets, and the access key id, which identifies their owner.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.credentials.values()
    }
}

/// Returns `known`, or else the region of this EC2 instance, or the default region if the metadata service does not return one, for example because this
/// machine is not an EC2 instance.
async fn or_region_of_instance(
    known: Option<Region>,
    session: Option<Ec2Metadata>,
    environment: &Environment,
    clock: &Clock,
) -> Result<Region, AttestationError> {
    if let Some(known) = known {
        return Ok(known);
    }
    let default = |error: &AttestationError| {
        let region = Region::default();
        tracing::debug!("using the AWS region {}: {}", region.as_str(), error_line(error, None));
        region
    };
    let session = match session {
        Some(session) => session,
        None => match Ec2Metadata::open(environment, clock, AWS_REGION).await {
            Ok(session) => session,
            Err(error @ AttestationError::InvalidAddress { .. }) => return Err(error),
            Err(error) => return Ok(default(&error)),
        },
    };
    match session.region().await {
        // An EC2 instance has a region, which may be in another partition than the default one.
        Err(error) if !error.is_transient() => Ok(default(&error)),
        result => result,
    }
}

fn credentials_from_environment(
    environment: &Environment,
) -> Result<Option<AwsCredentials>, AttestationError> {
    let (id_variable, secret_variable) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    match (environment.get(id_variable), environment.get(secret_variable)) {
        (Some(id), Some(secret)) => {
            AwsCredentials::new(id, secret, environment.get("AWS_SESSION_TOKEN"), id_variable).map(Some)
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(not_set(secret_variable)),
        (None, Some(_)) => Err(not_set(id_variable)),
    }
}

fn not_set(variable: &str) -> AttestationError {
    let hint = Hint::new("set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither");
    AttestationError::NotSet { variable: variable.to_owned(), hint }
}

fn region_from_environment(environment: &Environment) -> Result<Option<Region>, AttestationError> {
    let name = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find(|name| environment.get(name).is_some());
    name.and_then(|name| Some(Region::parse(environment.get(name)?, name))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_must_provide_a_complete_access_key_or_none() {
        let credentials = |variables: &[(&str, &str)]| {
            let credentials = credentials_from_environment(&variables.iter().copied().collect());
            credentials
                .map(|option| option.map(|credentials| credentials.values().collect::<Vec<_>>().join(" ")))
        };
        let (id, secret) = (("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hunter2"));
        let token = ("AWS_SESSION_TOKEN", "session");
        assert_eq!(credentials(&[]).unwrap(), None);
        assert_eq!(credentials(&[token]).unwrap(), None);
        assert_eq!(credentials(&[id, secret]).unwrap().unwrap(), "AKID hunter2");
        assert_eq!(credentials(&[id, secret, token]).unwrap().unwrap(), "AKID hunter2 session");
        for (set, missing) in [(id, secret), (secret, id)] {
            let error = credentials(&[set]).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
            let AttestationError::NotSet { variable, .. } = error else { panic!("{error}") };
            assert_eq!(variable, missing.0);
        }
    }

    #[test]
    fn aws_region_takes_precedence_over_aws_default_region() {
        let region = |variables: &[(&str, &str)]| {
            let region = region_from_environment(&variables.iter().copied().collect());
            region.map(|region| region.map(|region| region.as_str().to_owned()))
        };
        let (first, second) = (("AWS_REGION", "eu-west-1"), ("AWS_DEFAULT_REGION", "us-east-1"));
        assert_eq!(region(&[]).unwrap(), None);
        assert_eq!(region(&[second]).unwrap().as_deref(), Some("us-east-1"));
        assert_eq!(region(&[first, second]).unwrap().as_deref(), Some("eu-west-1"));
        let error = region(&[("AWS_REGION", "a.example/")]).unwrap_err();
        let AttestationError::Malformed { location, .. } = error else { panic!("{error}") };
        assert_eq!(location, "AWS_REGION");
    }
}
