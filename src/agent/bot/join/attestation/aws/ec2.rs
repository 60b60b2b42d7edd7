//! Obtains the credentials of an EC2 instance's role, and the instance's region. Uses only version 2 of the instance
//! metadata service (IMDSv2).

use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, HeaderValue};
use url::Url;

use super::credentials::{AWS_CREDENTIALS, AwsCredentials, CredentialsResponse};
use super::region::{AWS_REGION, Region};
use crate::agent::bot::join::attestation::endpoint_url::parse_metadata_url;
use crate::agent::bot::join::attestation::error::{AttestationError, RequestContext};
use crate::agent::bot::join::attestation::metadata_client::{MetadataClient, ProxyPolicy, secret_header};
use crate::agent::platform::{Clock, Environment};

const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const DEFAULT_ENDPOINT: &str = "http://169.254.169.254";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
/// The lifetime of a session with the metadata service, in seconds. A lookup takes less.
const SESSION_TTL: &str = "60";

/// A session with the metadata service of an EC2 instance.
pub(super) struct Ec2Metadata {
    client: MetadataClient,
    session: HeaderValue,
}

impl Ec2Metadata {
    /// Opens a session to obtain what `context` names.
    ///
    /// # Errors
    ///
    /// Returns an error if the environment disables the metadata service, or if the service does not respond.
    pub(super) async fn open(
        environment: &Environment,
        clock: &Clock,
        context: RequestContext,
    ) -> Result<Self, AttestationError> {
        let disabled = environment.get("AWS_EC2_METADATA_DISABLED");
        if disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(context.missing());
        }
        let url = parse_metadata_url(environment.get(ENDPOINT).unwrap_or(DEFAULT_ENDPOINT));
        let url = url.map_err(|problem| AttestationError::InvalidAddress { variable: ENDPOINT, problem })?;
        let client = MetadataClient::new(url, ProxyPolicy::Direct, environment, clock, context).await?;
        let request = client.http().request(Method::PUT, client.url_with_path("/latest/api/token"));
        let request =
            request.header("x-aws-ec2-metadata-token-ttl-seconds", SESSION_TTL).header(CONTENT_LENGTH, 0);
        let token = client.send(request, context).await?;
        let token = String::from_utf8_lossy(&token);
        let session = secret_header(token.trim(), context, &client.response_location())?;
        Ok(Self { client, session })
    }

    /// Returns the credentials of the instance's role.
    pub(super) async fn credentials(&self) -> Result<AwsCredentials, AttestationError> {
        let roles = self.client.send(self.get(self.client.url_with_path(ROLES)), AWS_CREDENTIALS).await?;
        let roles = String::from_utf8_lossy(&roles);
        let role = roles.lines().next().map(str::trim).filter(|role| !role.is_empty());
        let role = role.ok_or_else(|| AWS_CREDENTIALS.missing())?;
        let mut url = self.client.url_with_path(ROLES);
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(role);
        }
        let response: CredentialsResponse = self.client.send_for_json(self.get(url), AWS_CREDENTIALS).await?;
        AwsCredentials::from_response(&response, &self.client.response_location())
    }

    /// Returns the region of the instance.
    pub(super) async fn region(&self) -> Result<Region, AttestationError> {
        let url = self.client.url_with_path("/latest/meta-data/placement/region");
        let region = self.client.send(self.get(url), AWS_REGION).await?;
        Region::parse(&String::from_utf8_lossy(&region), &self.client.response_location())
    }

    fn get(&self, url: Url) -> reqwest::RequestBuilder {
        self.client.http().request(Method::GET, url).header("x-aws-ec2-metadata-token", self.session.clone())
    }
}
