//! Requests an ID token over HTTP, from the CI system that runs the job or the cloud that runs the machine.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue};
use serde_json::Value;
use url::Url;

use super::endpoint_url::{metadata_url_from_host, parse_credential_url};
use super::error::{AttestationError, RequestContext};
use super::jwt::Jwt;
use super::metadata_client::{MetadataClient, ProxyPolicy, UNEXPECTED_JSON, secret_header};
use crate::agent::platform::{Clock, Environment, Hint};

/// A request for an ID token: its endpoint, its parameters, and how to read the response.
pub(super) struct IdTokenRequest {
    /// `GET`, or `POST` with an empty body.
    pub(super) http_method: Method,
    pub(super) endpoint: TokenEndpoint,
    /// Parameters to append to the query of the endpoint's URL.
    pub(super) query: &'static [(&'static str, &'static str)],
    /// The environment variable that contains the bearer token of the request.
    pub(super) bearer_variable: Option<&'static str>,
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) response: TokenResponse,
    /// What to do if the endpoint is missing or refuses the request.
    pub(super) hint: &'static str,
}

/// The endpoint that issues an ID token.
pub(super) enum TokenEndpoint {
    /// The URL in this environment variable.
    Variable(&'static str),
    /// A cloud's metadata server, at the host in `variable`, or at `default` if that is not set.
    Metadata { variable: &'static str, default: &'static str, path: &'static str },
}

/// The form of the response.
pub(super) enum TokenResponse {
    /// A JSON object that contains the token in this field.
    JsonField(&'static str),
    /// The token itself.
    Body,
}

impl IdTokenRequest {
    /// Sends the request and returns the ID token.
    pub(super) async fn send(
        &self,
        environment: &Environment,
        clock: &Clock,
    ) -> Result<Jwt, AttestationError> {
        let context = RequestContext::id_token(self.hint);
        let url = self.url(environment)?;
        let authorization =
            self.bearer_variable.map(|name| self.authorization(environment, name)).transpose()?;
        let proxy_policy = match self.endpoint {
            TokenEndpoint::Variable(_) => ProxyPolicy::FromEnvironment,
            TokenEndpoint::Metadata { .. } => ProxyPolicy::Direct,
        };
        let client = MetadataClient::new(url, proxy_policy, environment, clock, context).await?;
        let mut request = client.http().request(self.http_method.clone(), client.base().clone());
        if self.http_method == Method::POST {
            request = request.header(CONTENT_LENGTH, 0);
        }
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        match self.response {
            TokenResponse::Body => {
                let body = client.send(request, context).await?;
                Jwt::parse(&String::from_utf8_lossy(&body), context, client.response_location())
            }
            TokenResponse::JsonField(name) => {
                let object: Value = client.send_for_json(request, context).await?;
                let token = object.get(name).and_then(Value::as_str);
                let token = token.ok_or_else(|| client.malformed(context, UNEXPECTED_JSON))?;
                Jwt::parse(token, context, client.response_location())
            }
        }
    }

    fn url(&self, environment: &Environment) -> Result<Url, AttestationError> {
        let (variable, url) = match self.endpoint {
            TokenEndpoint::Variable(variable) => {
                let url = environment.get(variable).ok_or_else(|| self.not_set(variable))?;
                (variable, parse_credential_url(url))
            }
            TokenEndpoint::Metadata { variable, default, path } => {
                (variable, metadata_url_from_host(environment.get(variable).unwrap_or(default), path))
            }
        };
        let mut url = url.map_err(|problem| AttestationError::InvalidAddress { variable, problem })?;
        url.query_pairs_mut().extend_pairs(self.query);
        Ok(url)
    }

    fn authorization(&self, environment: &Environment, name: &str) -> Result<HeaderValue, AttestationError> {
        let token = environment.get(name).ok_or_else(|| self.not_set(name))?;
        secret_header(&format!("Bearer {token}"), RequestContext::id_token(self.hint), name)
    }

    fn not_set(&self, name: &str) -> AttestationError {
        AttestationError::NotSet { variable: name.to_owned(), hint: Hint::new(self.hint) }
    }
}
