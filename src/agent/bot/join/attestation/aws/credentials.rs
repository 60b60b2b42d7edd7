//! Validates AWS credentials: accepts only characters that are safe in the headers of a request. Pure.

use serde::Deserialize;

use crate::agent::bot::join::attestation::error::{AttestationError, MAX_BYTES, RequestContext};

pub(super) const AWS_CREDENTIALS: RequestContext = RequestContext {
    item: "AWS credentials",
    hint: "onboarding.join_method iam needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, a profile with \
           an access key, or the role of an EC2 instance, an ECS task or an EKS pod (a container on EC2 also needs a \
           metadata hop limit of 2)",
};

const INVALID_ID: &str = "the access key id must consist of letters and digits";
const INVALID_SECRET: &str =
    "the secret key and the session token must consist of printable ASCII characters";
const CREDENTIALS_TOO_LARGE: &str = "they are larger than 64 KiB";

/// An access key, with a session token if it is temporary. Has no `Debug`, so that it cannot be printed.
pub(super) struct AwsCredentials {
    id: String,
    secret: String,
    session_token: Option<String>,
}

/// The response of the metadata services of ECS, EKS and EC2.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CredentialsResponse {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
}

impl AwsCredentials {
    /// Creates credentials that are safe in the headers of the signed request. `location` says in an error where they
    /// come from.
    pub(super) fn new(
        id: &str,
        secret: &str,
        session_token: Option<&str>,
        location: &str,
    ) -> Result<Self, AttestationError> {
        let malformed = |problem| AWS_CREDENTIALS.malformed(location, problem);
        let is_printable = |value: &str| value.bytes().all(|byte| byte.is_ascii_graphic());
        let (id, secret) = (id.trim(), secret.trim());
        let session_token = session_token.map(str::trim).filter(|token| !token.is_empty());
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(malformed(INVALID_ID));
        }
        if secret.is_empty() || !is_printable(secret) || !session_token.is_none_or(is_printable) {
            return Err(malformed(INVALID_SECRET));
        }
        if id.len() + secret.len() + session_token.map_or(0, str::len) > MAX_BYTES {
            return Err(malformed(CREDENTIALS_TOO_LARGE));
        }
        let owned = str::to_owned;
        Ok(Self { id: owned(id), secret: owned(secret), session_token: session_token.map(owned) })
    }

    pub(super) fn from_response(
        response: &CredentialsResponse,
        location: &str,
    ) -> Result<Self, AttestationError> {
        Self::new(&response.access_key_id, &response.secret_access_key, response.token.as_deref(), location)
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    pub(super) fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// Returns id, secret and session token.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        [self.id(), self.secret()].into_iter().chain(self.session_token())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_are_unsafe_in_headers_are_refused_and_not_repeated() {
        for (id, secret, token, expected) in [
            ("", "hunter2", None, INVALID_ID),
            ("AKID/hunter2", "hunter2", None, INVALID_ID),
            ("AKID", "", None, INVALID_SECRET),
            ("AKID", "hunter2\r\nhunter2", None, INVALID_SECRET),
            ("AKID", "hunter2", Some("hunter2\r\nHost: hunter2"), INVALID_SECRET),
            ("AKID", "hunter2", Some("hünter2"), INVALID_SECRET),
            ("AKID", &"hunter2".repeat(10_000), None, CREDENTIALS_TOO_LARGE),
        ] {
            let error = AwsCredentials::new(id, secret, token, "test").err().unwrap();
            assert!(!error.to_string().contains("unter2"), "{error}");
            let AttestationError::Malformed { item, location, problem } = error else { panic!("{error}") };
            assert_eq!((item, location.as_str(), problem), (AWS_CREDENTIALS.item, "test", expected));
        }
        let credentials = AwsCredentials::new(" AKID\n", "a/b+c", Some(""), "test").ok().unwrap();
        assert_eq!(credentials.values().collect::<Vec<_>>(), ["AKID", "a/b+c"]);
    }
}
