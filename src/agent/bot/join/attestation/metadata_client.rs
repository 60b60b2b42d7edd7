//! Sends HTTP requests to a server that issues an attestation or a part of one: a CI system, a cloud's metadata server,
//! or AWS STS. Follows no redirects. [`endpoint_url`](super::endpoint_url) decides which URLs are acceptable.

use reqwest::RequestBuilder;
use reqwest::header::HeaderValue;
use serde::de::DeserializeOwned;
use url::Url;

use super::error::{AttestationError, RequestContext};
use crate::agent::net::connection_error::ConnectionError;
use crate::agent::net::route::Route;
use crate::agent::net::tls;
use crate::agent::net::web::{HttpClient, HttpError};
use crate::agent::platform::tasks::run_blocking;
use crate::agent::platform::{Clock, Environment, Hint};
use crate::config::Address;

/// Whether requests go through an HTTP proxy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ProxyPolicy {
    /// Uses the HTTP proxy that the environment configures, if any.
    FromEnvironment,
    /// Uses no proxy: for metadata servers, which must be on the machine's own link, and for the configured request of
    /// `generic_oidc`, which goes directly to its server.
    Direct,
}

/// The problem of a JSON response in which a field is missing or has the wrong type.
pub(super) const UNEXPECTED_JSON: &str = "it is not the expected JSON object";

/// An HTTP client for one server. Over https it accepts only certificates that the system trusts.
pub(crate) struct MetadataClient {
    http: HttpClient,
    base: Url,
    /// Host and port, for errors.
    host: String,
}

impl MetadataClient {
    /// Creates a client for the server of `base`. `context` is for errors.
    pub(super) async fn new(
        base: Url,
        proxy_policy: ProxyPolicy,
        environment: &Environment,
        clock: &Clock,
        context: RequestContext,
    ) -> Result<Self, AttestationError> {
        let address = Address::new(
            base.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']'),
            base.port_or_known_default().unwrap_or_default(),
        );
        let host = address.to_string();
        match http_client(&base, address, proxy_policy, environment, clock).await {
            Ok(http) => Ok(Self { http, base, host }),
            Err(error) => Err(context.no_response(&host, error)),
        }
    }

    /// Returns the base URL with another path.
    pub(super) fn url_with_path(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn http(&self) -> &HttpClient {
        &self.http
    }

    /// Sends `request` and returns the body of a successful response.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no response, or if its status is not a success. The error never contains the body,
    /// which may repeat secrets of the request.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        context: RequestContext,
    ) -> Result<Vec<u8>, AttestationError> {
        let response =
            self.http.send(request).await.map_err(|error| context.no_response(&self.host, error))?;
        if response.status.is_success() {
            return Ok(response.body);
        }
        let RequestContext { item, hint } = context;
        Err(AttestationError::Refused {
            item,
            host: self.host.clone(),
            status: response.status.as_u16(),
            hint: Hint::new(hint),
        })
    }

    /// Sends `request` and parses the body of a successful response as JSON.
    pub(super) async fn send_for_json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        context: RequestContext,
    ) -> Result<T, AttestationError> {
        let body = self.send(request, context).await?;
        serde_json::from_slice(&body).map_err(|error| {
            self.malformed(context, if error.is_data() { UNEXPECTED_JSON } else { "it is not JSON" })
        })
    }

    /// Returns the location of a value in a response of this server, for errors.
    pub(super) fn response_location(&self) -> String {
        format!("the response from {}", self.host)
    }

    pub(super) fn malformed(&self, context: RequestContext, problem: &'static str) -> AttestationError {
        context.malformed(self.response_location(), problem)
    }
}

async fn http_client(
    base: &Url,
    address: Address,
    proxy_policy: ProxyPolicy,
    environment: &Environment,
    clock: &Clock,
) -> Result<HttpClient, HttpError> {
    let no_proxy = Environment::default();
    let proxies = match proxy_policy {
        ProxyPolicy::FromEnvironment => environment,
        ProxyPolicy::Direct => &no_proxy,
    };
    let route = Route::new(address, proxies, false, clock.clone()).map_err(ConnectionError::new)?;
    let tls = if base.scheme() == "https" {
        // Reading the root certificates would block the agent's other tasks.
        let (environment, clock) = (environment.clone(), clock.clone());
        run_blocking(move || tls::web(&environment, false, &clock)).await?
    } else {
        tls::without_roots(clock)?
    };
    HttpClient::new(tls, &route)
}

/// Returns a header value that is marked as sensitive, so that logs omit it. `location` says in an error where `value`
/// comes from.
pub(super) fn secret_header(
    value: &str,
    context: RequestContext,
    location: &str,
) -> Result<HeaderValue, AttestationError> {
    let mut header = HeaderValue::from_str(value)
        .map_err(|_| context.malformed(location, "it is not a valid HTTP header value"))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::super::endpoint_url::metadata_url_from_host;
    use super::*;

    /// An unusable proxy is an error only for a client that would use it.
    #[tokio::test]
    async fn a_direct_client_ignores_the_proxy_of_the_environment() {
        let environment = [("HTTPS_PROXY", "socks5://a.example:1"), ("ALL_PROXY", "socks5://a.example:1")];
        let environment = environment.into_iter().collect();
        for (policy, is_usable) in [(ProxyPolicy::Direct, true), (ProxyPolicy::FromEnvironment, false)] {
            let url = metadata_url_from_host("169.254.169.254", "/").unwrap();
            let context = RequestContext::id_token("");
            let client = MetadataClient::new(url, policy, &environment, &Clock::system(), context).await;
            assert_eq!(client.is_ok(), is_usable);
        }
    }
}
