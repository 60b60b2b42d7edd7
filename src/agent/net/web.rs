//! Sends HTTP requests: a client for the proxy's web API, and the HTTP client for every other server.
//!
//! Redirects are not followed, and a response's body is read up to a limit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, ClientBuilder, Proxy, StatusCode};

use super::connection_error::ConnectionError;
use super::http_proxy::HttpProxy;
use super::route::Route;
use super::tls::{self, TlsError};
use crate::agent::platform::tasks::run_blocking;
use crate::agent::platform::{Environment, Hint};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest response. A Kubernetes Secret contains up to 1 MiB, and more in base64.
const MAX_BODY: usize = 4 << 20;

/// A request failed without a usable response.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connection, TLS or HTTP failed, or the response was too large.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

impl WebError {
    /// Returns what the operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Tls(error) => error.hint(),
            Self::Connection(_) => None,
        }
    }
}

/// An HTTP response of any status.
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

/// A client for the web API of one proxy. Clones share the root certificates.
#[derive(Clone)]
pub(crate) struct WebClient {
    route: Route,
    environment: Environment,
    base_url: String,
    with_roots: Arc<Mutex<WithRoots>>,
}

/// The parts of a client that contain root certificates. Cheap to clone.
#[derive(Clone)]
struct WithRoots {
    client: Client,
    tls: Arc<rustls::ClientConfig>,
}

impl WithRoots {
    fn load(route: &Route, environment: &Environment) -> Result<Self, WebError> {
        let tls = tls::web(environment, route.insecure(), route.clock())?;
        Ok(Self { client: client(tls.clone(), route)?, tls: Arc::new(tls) })
    }
}

impl WebClient {
    pub(crate) fn new(route: &Route, environment: &Environment) -> Result<Self, WebError> {
        Ok(Self {
            with_roots: Arc::new(Mutex::new(WithRoots::load(route, environment)?)),
            base_url: format!("https://{}", route.address()),
            route: route.clone(),
            environment: environment.clone(),
        })
    }

    /// Reads the root certificates again, because an agent runs longer than they stay the same. If there are none at
    /// the moment, keeps the previous ones and returns the error.
    pub(crate) async fn reload_roots(&self) -> Result<(), WebError> {
        let (route, environment) = (self.route.clone(), self.environment.clone());
        let loaded = run_blocking(move || WithRoots::load(&route, &environment)).await?;
        *self.with_roots.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    fn with_roots(&self) -> WithRoots {
        self.with_roots.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the TLS configuration for everything that the proxy serves with its web certificate.
    pub(crate) fn tls(&self) -> Arc<rustls::ClientConfig> {
        self.with_roots().tls
    }

    pub(crate) async fn get(&self, path: &str) -> Result<HttpResponse, WebError> {
        send(self.with_roots().client.get(format!("{}{path}", self.base_url))).await
    }

    /// Posts `body` as `application/json`, which the join endpoint requires.
    pub(crate) async fn post_json(&self, path: &str, body: Vec<u8>) -> Result<HttpResponse, WebError> {
        let request = self.with_roots().client.post(format!("{}{path}", self.base_url));
        send(request.header(CONTENT_TYPE, "application/json").body(body)).await
    }
}

/// Returns a client that uses the route's HTTP proxy and follows no redirects.
pub(crate) fn client(tls: rustls::ClientConfig, route: &Route) -> Result<Client, WebError> {
    let failed = |error: reqwest::Error| WebError::from(ConnectionError::new(error));
    client_builder(tls, route.http_proxy())
        .map_err(failed)?
        .user_agent(concat!("tbot/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .build()
        .map_err(failed)
}

/// Returns a builder of clients that use this HTTP proxy, or none, and follow no redirects.
///
/// # Errors
///
/// Returns an error if the proxy's URL cannot be used.
pub fn client_builder(
    tls: rustls::ClientConfig,
    http_proxy: Option<&HttpProxy>,
) -> Result<ClientBuilder, reqwest::Error> {
    // Without a proxy from the caller, reqwest must not choose one from the environment.
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    let Some(http_proxy) = http_proxy else { return Ok(builder) };
    let mut proxy = Proxy::all(http_proxy.uri().to_string())?;
    if let Some(authorization) = http_proxy.intercept().basic_auth() {
        proxy = proxy.custom_http_auth(authorization.clone());
    }
    Ok(builder.proxy(proxy))
}

/// Sends a request and reads the response's body up to the limit.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> Result<HttpResponse, WebError> {
    let failed = |error: reqwest::Error| ConnectionError::new(error.without_url());
    let mut response = request.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(ConnectionError::new("the response is larger than 4 MiB").into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(HttpResponse { status: response.status(), body })
}
