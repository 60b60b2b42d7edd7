//! JSON over HTTPS: the proxy's own web pages with the web PKI, and the client that others are asked with. One I/O edge.
//!
//! Redirects are not followed, and an answer's body is read up to a limit.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Proxy, StatusCode};

use crate::agent::net::route::Route;
use crate::agent::net::tls::{self, TlsError};
use crate::agent::platform::error_text::chain;
use crate::agent::platform::options::Environment;

const CONNECT: Duration = Duration::from_secs(10);
const CALL: Duration = Duration::from_secs(30);
/// A full Secret of Kubernetes is 1 MiB, and more in base64.
const LARGEST_ANSWER: usize = 4 << 20;

/// A web request that got no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WebError {
    /// TLS settings.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connection, TLS or HTTP failed.
    #[error("{0}")]
    Failed(String),
}

/// An HTTP answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

/// Asks one proxy.
#[derive(Clone)]
pub(crate) struct Web {
    client: Client,
    base: String,
    tls: rustls::ClientConfig,
}

impl Web {
    pub(crate) fn new(route: &Route, environment: &Environment) -> Result<Self, WebError> {
        let tls = tls::web(environment, route.insecure(), route.clock())?;
        let client = client(tls.clone(), route)?;
        Ok(Self { client, base: format!("https://{}", route.address()), tls })
    }

    /// Whom the pages are believed by: what else the proxy serves by its web certificate is, too.
    pub(crate) fn tls(&self) -> &rustls::ClientConfig {
        &self.tls
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, WebError> {
        send(self.client.get(format!("{}{path}", self.base))).await
    }

    /// Posts `body` as `application/json`, which the join endpoint insists on.
    pub(crate) async fn post_json(&self, path: &str, body: Vec<u8>) -> Result<Answer, WebError> {
        let request = self.client.post(format!("{}{path}", self.base));
        send(request.header(CONTENT_TYPE, "application/json").body(body)).await
    }
}

/// A client that goes this way and follows no redirects.
pub(crate) fn client(tls: rustls::ClientConfig, route: &Route) -> Result<Client, WebError> {
    let failed = |error: reqwest::Error| WebError::Failed(chain(&error));
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("tbot/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .timeout(CALL)
        .no_proxy();
    if let Some(intercept) = route.http_proxy() {
        let mut proxy = Proxy::all(intercept.uri().to_string()).map_err(failed)?;
        if let Some(authorization) = intercept.basic_auth() {
            proxy = proxy.custom_http_auth(authorization.clone());
        }
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(failed)
}

/// One exchange; the answer is read up to the limit.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> Result<Answer, WebError> {
    let failed = |error: reqwest::Error| WebError::Failed(chain(&error.without_url()));
    let mut response = request.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(WebError::Failed("the answer is larger than 4 MiB".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status: response.status(), body })
}
