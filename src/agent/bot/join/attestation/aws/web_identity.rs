//! Obtains the credentials of a role by assuming it with an ID token (a web identity), as pods on EKS do. Sends one
//! request to STS.

use std::path::PathBuf;

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::credentials::{AWS_CREDENTIALS, AwsCredentials};
use super::region::StsEndpoint;
use crate::agent::bot::join::attestation::endpoint_url::parse_credential_url;
use crate::agent::bot::join::attestation::error::{AttestationError, RequestContext};
use crate::agent::bot::join::attestation::local;
use crate::agent::bot::join::attestation::metadata_client::{MetadataClient, ProxyPolicy};
use crate::agent::platform::{Clock, Environment, Hint};

const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const ROLE: &str = "AWS_ROLE_ARN";
const SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
const STS_ENDPOINT: &str = "AWS_ENDPOINT_URL_STS";

const TRUST_HINT: &str = "the role in AWS_ROLE_ARN must trust the issuer and the subject of the token in \
                          AWS_WEB_IDENTITY_TOKEN_FILE";
const ROLE_CREDENTIALS: RequestContext = RequestContext { item: AWS_CREDENTIALS.item, hint: TRUST_HINT };

/// The environment's settings for assuming a role with an ID token.
pub(super) struct WebIdentity {
    token_file: PathBuf,
    role: String,
    session_name: String,
}

#[derive(Deserialize)]
struct StsResponse {
    #[serde(rename = "AssumeRoleWithWebIdentityResponse")]
    response: AssumeRoleResponse,
}

#[derive(Deserialize)]
struct AssumeRoleResponse {
    #[serde(rename = "AssumeRoleWithWebIdentityResult")]
    result: AssumeRoleResult,
}

#[derive(Deserialize)]
struct AssumeRoleResult {
    #[serde(rename = "Credentials")]
    credentials: StsCredentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StsCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
}

impl WebIdentity {
    /// Reads the settings, or returns `None` if the environment names no token file.
    pub(super) fn from_environment(environment: &Environment) -> Result<Option<Self>, AttestationError> {
        let Some(token_file) = environment.get(TOKEN_FILE) else { return Ok(None) };
        let hint = Hint::new("AWS_WEB_IDENTITY_TOKEN_FILE is set, which requires a role to assume");
        let not_set = || AttestationError::NotSet { variable: ROLE.to_owned(), hint: hint.clone() };
        let role = environment.get(ROLE).ok_or_else(not_set)?.to_owned();
        let session_name = environment.get(SESSION_NAME).unwrap_or("tbot").to_owned();
        Ok(Some(Self { token_file: token_file.into(), role, session_name }))
    }

    /// Requests the role's credentials from `endpoint`, unless the environment names another one.
    pub(super) async fn credentials(
        self,
        endpoint: &StsEndpoint,
        environment: &Environment,
        clock: &Clock,
    ) -> Result<AwsCredentials, AttestationError> {
        let Self { token_file, role, session_name } = self;
        let token = local::id_token_from_file(token_file, TRUST_HINT).await?;
        let default_endpoint = format!("https://{}/", endpoint.host);
        let url = parse_credential_url(environment.get(STS_ENDPOINT).unwrap_or(&default_endpoint));
        let url =
            url.map_err(|problem| AttestationError::InvalidAddress { variable: STS_ENDPOINT, problem })?;
        let proxy_policy = ProxyPolicy::FromEnvironment;
        let client = MetadataClient::new(url, proxy_policy, environment, clock, ROLE_CREDENTIALS).await?;
        let body = Serializer::new(String::new())
            .append_pair("Action", "AssumeRoleWithWebIdentity")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", &role)
            .append_pair("RoleSessionName", &session_name)
            .append_pair("WebIdentityToken", token.expose())
            .finish();
        let request = client
            .http()
            .request(Method::POST, client.base().clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(body);
        let StsResponse { response } = client.send_for_json(request, ROLE_CREDENTIALS).await?;
        let StsCredentials { access_key_id, secret_access_key, session_token } = response.result.credentials;
        let location = client.response_location();
        AwsCredentials::new(&access_key_id, &secret_access_key, Some(&session_token), &location)
    }
}
