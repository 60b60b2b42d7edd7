//! Obtains the credentials of a container's role (ECS, EKS) from the endpoint that the environment names.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use url::Url;

use super::credentials::{AWS_CREDENTIALS, AwsCredentials, CredentialsResponse};
use crate::agent::bot::join::attestation::endpoint_url::parse_container_url;
use crate::agent::bot::join::attestation::error::AttestationError;
use crate::agent::bot::join::attestation::local;
use crate::agent::bot::join::attestation::metadata_client::{MetadataClient, ProxyPolicy, secret_header};
use crate::agent::platform::{Clock, Environment};

const RELATIVE_URI: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
/// The server of [`RELATIVE_URI`].
const ECS: &str = "http://169.254.170.2";

/// Returns the credentials of the container's role, or `None` if the environment names no container endpoint.
pub(super) async fn credentials(
    environment: &Environment,
    clock: &Clock,
) -> Result<Option<AwsCredentials>, AttestationError> {
    let Some(url) = endpoint(environment)? else { return Ok(None) };
    let proxy_policy =
        if url.scheme() == "https" { ProxyPolicy::FromEnvironment } else { ProxyPolicy::Direct };
    let client = MetadataClient::new(url, proxy_policy, environment, clock, AWS_CREDENTIALS).await?;
    let mut request = client.http().request(Method::GET, client.base().clone());
    if let Some(authorization) = authorization(environment).await? {
        request = request.header(AUTHORIZATION, authorization);
    }
    let response: CredentialsResponse = client.send_for_json(request, AWS_CREDENTIALS).await?;
    AwsCredentials::from_response(&response, &client.response_location()).map(Some)
}

fn endpoint(environment: &Environment) -> Result<Option<Url>, AttestationError> {
    let (variable, url) = if let Some(path) = environment.get(RELATIVE_URI) {
        // Without the leading slash, the value could change the host.
        let url = Some(path).filter(|path| path.starts_with('/'));
        let url = url.and_then(|path| Url::parse(&format!("{ECS}{path}")).ok());
        (RELATIVE_URI, url.ok_or("it is not a path that begins with /"))
    } else if let Some(url) = environment.get(FULL_URI) {
        (FULL_URI, parse_container_url(url))
    } else {
        return Ok(None);
    };
    url.map(Some).map_err(|problem| AttestationError::InvalidAddress { variable, problem })
}

async fn authorization(environment: &Environment) -> Result<Option<HeaderValue>, AttestationError> {
    if let Some(path) = environment.get(TOKEN_FILE) {
        let token = local::read_file(path.as_ref(), AWS_CREDENTIALS).await?;
        return secret_header(token.trim(), AWS_CREDENTIALS, TOKEN_FILE).map(Some);
    }
    environment.get(TOKEN).map(|token| secret_header(token, AWS_CREDENTIALS, TOKEN)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_on_the_machines_own_link_or_uses_https() {
        let endpoint = |name: &str, value: &str| {
            let environment = [(name, value)].into_iter().collect();
            match endpoint(&environment) {
                Ok(url) => Ok(url.map(String::from)),
                Err(AttestationError::InvalidAddress { variable, .. }) => Err(variable),
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(endpoint("OTHER", "a"), Ok(None));
        let on_ecs = "http://169.254.170.2/v2/credentials/a?b=c".to_owned();
        assert_eq!(endpoint(RELATIVE_URI, "/v2/credentials/a?b=c"), Ok(Some(on_ecs)));
        for invalid in ["v2/credentials", "@a.example/", ":1/"] {
            assert_eq!(endpoint(RELATIVE_URI, invalid), Err(RELATIVE_URI), "{invalid}");
        }
        for valid in
            ["http://169.254.170.23/v1/credentials", "http://[fd00:ec2::23]/v1", "https://a.example/b"]
        {
            assert_eq!(endpoint(FULL_URI, valid), Ok(Some(valid.to_owned())));
        }
        for invalid in ["http://a.example/b", "http://10.0.0.1/", "ftp://127.0.0.1/", "a"] {
            assert_eq!(endpoint(FULL_URI, invalid), Err(FULL_URI), "{invalid}");
        }
    }
}
