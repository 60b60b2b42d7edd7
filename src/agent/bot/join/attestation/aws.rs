//! The proof of AWS: a request to STS that this agent signs and the cluster sends, to see who signed it. Finds keys and a region
//! where the SDKs of AWS do, in their order: environment, web identity, profile, container, EC2. Source: protocol facts,
//! section 2.6.
//!
//! What the SDKs know of profiles beyond keys (SSO, assumed roles, processes) is refused by name where it is configured:
//! whoever set it up does not mean the next source in the row, which is another identity.

mod keys;
mod machine;
mod profile;
mod sigv4;
mod web_identity;

use std::time::SystemTime;

use super::{Challenge, ProofError, Wanted};
use crate::agent::platform::options::{Clock, Environment};
use crate::agent::platform::tasks::run_blocking;
use keys::{Keys, Region};
use machine::Ec2;
use profile::Profile;
use web_identity::WebIdentity;

const KEYS: Wanted = Wanted {
    what: "AWS credentials",
    needs: "onboarding.join_method iam needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, a profile with \
            keys, or the role of an EC2 instance, an ECS task or an EKS pod (for a container on EC2, the instance's metadata \
            needs a hop limit of 2)",
};

const REGION: Wanted = Wanted {
    what: "AWS region",
    needs: "onboarding.join_method iam needs AWS_REGION in the environment, a profile with a region, or an EC2 instance",
};

/// Who signs, and for which region's STS.
pub(crate) struct Aws {
    keys: Keys,
    region: Region,
}

impl Aws {
    pub(super) async fn find(environment: &Environment, clock: &Clock) -> Result<Self, ProofError> {
        let (keys, region) = (environment_keys(environment)?, environment_region(environment)?);
        // Who needs nothing of a profile does not care whether it can be read.
        let profile = if keys.is_some() && region.is_some() {
            Profile::default()
        } else {
            let environment = environment.clone();
            run_blocking(move || Profile::read(&environment)).await?
        };
        let region = region.map_or_else(|| profile.region(), |region| Ok(Some(region)))?;
        let mut ec2 = None;
        let keys = if let Some(keys) = keys {
            keys
        } else if let Some(web_identity) = WebIdentity::new(environment)? {
            let region = region.as_ref().ok_or_else(|| REGION.missing())?;
            web_identity.keys(region, environment, clock).await?
        } else if let Some(keys) = profile.keys()? {
            keys
        } else if let Some(keys) = machine::container_keys(environment, clock).await? {
            keys
        } else {
            ec2.insert(Ec2::open(environment, clock, KEYS).await?).keys().await?
        };
        let region = match region {
            Some(region) => region,
            None => {
                let ec2 = match ec2 {
                    Some(ec2) => ec2,
                    None => Ec2::open(environment, clock, REGION).await?,
                };
                ec2.region().await?
            }
        };
        Ok(Self { keys, region })
    }

    /// The signed request, as it stands on the wire.
    pub(crate) fn sts_request(&self, challenge: &Challenge, now: SystemTime) -> Result<String, jiff::Error> {
        sigv4::get_caller_identity(challenge, &self.region, &self.keys, now)
    }

    /// What gives access, or names who has it.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.keys.all()
    }
}

fn environment_keys(environment: &Environment) -> Result<Option<Keys>, ProofError> {
    let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    match (environment.get(id), environment.get(secret)) {
        (Some(key), Some(secret)) => {
            Keys::new(key, secret, environment.get("AWS_SESSION_TOKEN"), id).map(Some)
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(not_set(secret)),
        (None, Some(_)) => Err(not_set(id)),
    }
}

fn not_set(name: &str) -> ProofError {
    let needs = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set together, or neither";
    ProofError::NotSet { name: name.to_owned(), needs }
}

fn environment_region(environment: &Environment) -> Result<Option<Region>, ProofError> {
    let name = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find(|name| environment.get(name).is_some());
    name.and_then(|name| Some(Region::new(environment.get(name)?, name))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let environment = variables.iter().copied().collect();
        let keys = environment_keys(&environment).map_err(|error| error.to_string())?;
        Ok(keys.map(|keys| keys.all().collect::<Vec<_>>().join(" ")))
    }

    #[test]
    fn the_environment_gives_a_whole_key_or_none() {
        let (id, secret) = (("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hunter2"));
        let token = ("AWS_SESSION_TOKEN", "session");
        assert_eq!(keys(&[]), Ok(None));
        assert_eq!(keys(&[token]), Ok(None));
        assert_eq!(keys(&[id, secret]).unwrap().unwrap(), "AKID hunter2");
        assert_eq!(keys(&[id, secret, token]).unwrap().unwrap(), "AKID hunter2 session");
        assert!(keys(&[id]).unwrap_err().starts_with("AWS_SECRET_ACCESS_KEY is not set"));
        let refused = keys(&[secret]).unwrap_err();
        assert!(refused.starts_with("AWS_ACCESS_KEY_ID is not set") && !refused.contains("hunter2"));
    }

    #[test]
    fn the_first_region_that_is_set_is_taken() {
        let region = |variables: &[(&str, &str)]| {
            let environment = variables.iter().copied().collect();
            environment_region(&environment).map(|region| region.map(|r| r.as_str().to_owned()))
        };
        let (first, second) = (("AWS_REGION", "eu-west-1"), ("AWS_DEFAULT_REGION", "us-east-1"));
        assert_eq!(region(&[]).unwrap(), None);
        assert_eq!(region(&[second]).unwrap().as_deref(), Some("us-east-1"));
        assert_eq!(region(&[first, second]).unwrap().as_deref(), Some("eu-west-1"));
        let refused = region(&[("AWS_REGION", "a.example/")]).unwrap_err().to_string();
        assert!(refused.starts_with("AWS_REGION holds no AWS region: "), "{refused}");
    }
}
