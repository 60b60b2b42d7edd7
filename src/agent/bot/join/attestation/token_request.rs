//! Sends the configured HTTP request for an ID token, for the join method `generic_oidc`.

use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, HeaderName};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::error::{AttestationError, RequestContext};
use super::jwt::Jwt;
use super::metadata_client::{MetadataClient, ProxyPolicy, secret_header};
use crate::agent::platform::{Clock, Environment};
use crate::config::TokenHttpRequest;

const HINT: &str = "check onboarding.generic_oidc.http_request";
const URL: &str = "onboarding.generic_oidc.http_request.request.url";
const METHOD: &str = "onboarding.generic_oidc.http_request.request.method";
const HEADERS: &str = "onboarding.generic_oidc.http_request.request.headers";
const JSON_PATH: &str = "onboarding.generic_oidc.http_request.result.json_path";

/// A configured request for an ID token.
pub(super) struct TokenRequest {
    pub(super) config: TokenHttpRequest,
    /// The time after which the request is given up.
    pub(super) timeout: Duration,
}

impl TokenRequest {
    /// Sends the request, and returns the ID token in the response.
    pub(super) async fn send(
        &self,
        environment: &Environment,
        clock: &Clock,
    ) -> Result<Jwt, AttestationError> {
        let context = RequestContext::id_token(HINT);
        let in_setting = |item| RequestContext { item, hint: HINT };
        let json_path = self.config.json_path();
        let json_path =
            json_path.map_err(|error| in_setting("JSONPath").malformed(JSON_PATH, error.message()))?;
        let client = self.client(environment, clock).await?;
        let body = client.send(self.request(&client)?, context).await?;
        let Some(json_path) = json_path else {
            let token =
                std::str::from_utf8(&body).map_err(|_| client.malformed(context, "it is not UTF-8"))?;
            return Jwt::parse(token, context, client.response_location());
        };
        let document: Value =
            serde_json::from_slice(&body).map_err(|_| client.malformed(context, "it is not JSON"))?;
        match json_path.select(&document) {
            Some(Value::String(token)) => Jwt::parse(token, context, client.response_location()),
            Some(_) => {
                Err(client.malformed(context, "result.json_path selects a value that is not a string"))
            }
            None => Err(client.malformed(context, "result.json_path selects nothing in it")),
        }
    }

    async fn client(
        &self,
        environment: &Environment,
        clock: &Clock,
    ) -> Result<MetadataClient, AttestationError> {
        let url = self.config.request.url();
        let url = url
            .map_err(|error| AttestationError::InvalidAddress { variable: URL, problem: error.message() })?;
        MetadataClient::new(url, ProxyPolicy::Direct, environment, clock, RequestContext::id_token(HINT))
            .await
    }

    fn request(&self, client: &MetadataClient) -> Result<RequestBuilder, AttestationError> {
        let invalid =
            |item, location: &str| RequestContext { item, hint: HINT }.malformed(location, "it is not valid");
        let method = self.config.request.method();
        let method = method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        let method = method.ok_or_else(|| invalid("HTTP method", METHOD))?;
        let has_body = matches!(method, Method::POST | Method::PUT | Method::PATCH);
        let mut request = client.http().request(method, client.base().clone()).timeout(self.timeout);
        for (name, value) in self.config.request.headers() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("header", HEADERS))?;
            let context = RequestContext { item: "header", hint: HINT };
            request = request.header(name, secret_header(value, context, HEADERS)?);
        }
        if has_body {
            // Servers require it, even if the body is empty.
            request = request.header(CONTENT_LENGTH, 0);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An unusable proxy is an error only for a client that would use it.
    #[tokio::test]
    async fn the_proxies_of_the_environment_are_ignored() {
        let config = serde_json::json!({ "request": { "url": "https://issuer.example.com/" } });
        let config = serde_json::from_value(config).unwrap();
        let request = TokenRequest { config, timeout: Duration::from_secs(1) };
        let proxy = "socks5://proxy.example.com:1";
        let environment = [("HTTPS_PROXY", proxy), ("ALL_PROXY", proxy)].into_iter().collect();
        assert!(request.client(&environment, &Clock::system()).await.is_ok());
    }
}
