//! The keys of a role that is taken on with somebody else's identity token, as a pod of EKS does: one request to STS. One I/O edge.

use std::path::PathBuf;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::super::metadata_client::{Asked, Way, address};
use super::super::{Jwt, ProofError, Wanted, file};
use super::KEYS;
use super::keys::{Keys, Region};
use crate::agent::platform::options::{Clock, Environment};

const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const ROLE: &str = "AWS_ROLE_ARN";
const SESSION: &str = "AWS_ROLE_SESSION_NAME";
const ENDPOINT: &str = "AWS_ENDPOINT_URL_STS";

const ROLE_KEYS: Wanted = Wanted {
    what: KEYS.what,
    needs: "the role of AWS_ROLE_ARN has to trust the issuer of the token in AWS_WEB_IDENTITY_TOKEN_FILE, and its subject",
};

/// What the environment says of it.
pub(super) struct WebIdentity {
    token_file: PathBuf,
    role: String,
    session: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "AssumeRoleWithWebIdentityResponse")]
    response: AnswerResponse,
}

#[derive(Deserialize)]
struct AnswerResponse {
    #[serde(rename = "AssumeRoleWithWebIdentityResult")]
    result: AnswerResult,
}

#[derive(Deserialize)]
struct AnswerResult {
    #[serde(rename = "Credentials")]
    credentials: Credentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
}

impl WebIdentity {
    /// None where the environment names no token.
    pub(super) fn new(environment: &Environment) -> Result<Option<Self>, ProofError> {
        let Some(token_file) = environment.get(TOKEN_FILE) else { return Ok(None) };
        let needs = "AWS_WEB_IDENTITY_TOKEN_FILE is for a role";
        let role =
            environment.get(ROLE).ok_or_else(|| ProofError::NotSet { name: ROLE.to_owned(), needs })?;
        let session = environment.get(SESSION).unwrap_or("tbot");
        Ok(Some(Self { token_file: token_file.into(), role: role.to_owned(), session: session.to_owned() }))
    }

    /// The role's keys, as the STS of `region` gives them.
    pub(super) async fn keys(
        self,
        region: &Region,
        environment: &Environment,
        clock: &Clock,
    ) -> Result<Keys, ProofError> {
        let Self { token_file, role, session } = self;
        let text = file::read(&token_file, ROLE_KEYS).await?;
        let token = Jwt::new(&text, "identity token", token_file.display())?;
        let usual = format!("https://{}/", region.sts_host());
        let url = address(environment.get(ENDPOINT).unwrap_or(&usual));
        let url = url.map_err(|problem| ProofError::Address { name: ENDPOINT, problem })?;
        let asked = Asked::new(url, Way::World, environment, clock, ROLE_KEYS)?;
        let body = Serializer::new(String::new())
            .append_pair("Action", "AssumeRoleWithWebIdentity")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", &role)
            .append_pair("RoleSessionName", &session)
            .append_pair("WebIdentityToken", token.expose())
            .finish();
        let request = asked
            .client()
            .post(asked.base().clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(body);
        let Answer { response } = asked.send_for(request, ROLE_KEYS).await?;
        let Credentials { access_key_id, secret_access_key, session_token } = response.result.credentials;
        Keys::new(&access_key_id, &secret_access_key, Some(&session_token), &asked.place())
    }
}
