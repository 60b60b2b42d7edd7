//! Sends HTTP requests: a client for the proxy's web API, and the HTTP client for every other server.
//!
//! Redirects are not followed, and a response's body is read up to a limit.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, ClientBuilder, IntoUrl, Method, Proxy, RequestBuilder, StatusCode};

use super::connection_error::{ConnectionError, failed_request};
use super::http_proxy::HttpProxy;
use super::resolver::HttpResolver;
use super::route::Route;
use super::tls::{self, TlsError};
use super::upgrade_variable;
use crate::agent::platform::lock::lock;
use crate::agent::platform::tasks::run_blocking;
use crate::agent::platform::{Environment, Hint};
use crate::config::Address;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest response. A Kubernetes Secret contains up to 1 MiB, and more in base64.
const MAX_BODY: usize = 4 << 20;

/// A request failed without a usable response.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connection, TLS or HTTP failed, or the response was too large.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

impl HttpError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Tls(error) => error.hint(),
            Self::Connection(error) => error.hint(),
        }
    }
}

/// An HTTP response of any status.
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    /// The host of the header `Location`.
    pub(crate) location_host: Option<String>,
}

/// An HTTP client for one server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct HttpClient {
    client: Client,
    route: Arc<Route>,
}

impl HttpClient {
    /// Creates a client that uses the route's HTTP proxy and follows no redirects.
    pub(crate) fn new(tls: rustls::ClientConfig, route: &Route) -> Result<Self, HttpError> {
        let failed = |error: reqwest::Error| HttpError::from(ConnectionError::new(error));
        let client = client_builder(tls, route.http_proxy())
            .map_err(failed)?
            .user_agent(concat!("tbot/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(failed)?;
        Ok(Self { client, route: Arc::new(route.clone()) })
    }

    /// Starts a request. [`HttpClient::send`] sends it.
    pub(crate) fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends a request and reads the response's body up to the limit.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<HttpResponse, HttpError> {
        match send(request).await {
            Err(error) if error.is_connect() && self.route.http_proxy().is_some() => {
                // The error does not say which of the two connections failed, nor the HTTP proxy's response.
                let explanation = tokio::time::timeout(CONNECT_TIMEOUT, self.route.connect_tcp()).await;
                Err(match explanation {
                    Ok(Err(at_http_proxy)) => ConnectionError::new(at_http_proxy).into(),
                    Ok(Ok(_)) | Err(_) => failed_request(error).into(),
                })
            }
            Err(error) => Err(failed_request(error).into()),
            Ok(Some(response)) => Ok(response),
            Ok(None) => Err(ConnectionError::new("the response is larger than 4 MiB").into()),
        }
    }
}

/// A client for the web API of one proxy. Clones share the root certificates.
#[derive(Clone)]
pub(crate) struct WebClient {
    route: Route,
    environment: Environment,
    base_url: String,
    with_roots: Arc<Mutex<LoadedRoots>>,
}

/// The root certificates that were read.
#[derive(Default)]
struct LoadedRoots {
    /// `None` until they are first needed.
    result: Option<Result<WithRoots, HttpError>>,
    /// Whether they were read since the last [`WebClient::reload_roots`].
    is_new: bool,
}

/// The parts of a client that contain root certificates. Cheap to clone.
#[derive(Clone)]
struct WithRoots {
    client: HttpClient,
    tls: Arc<rustls::ClientConfig>,
}

impl WithRoots {
    fn load(route: &Route, environment: &Environment) -> Result<Self, HttpError> {
        let tls = tls::web(environment, route.insecure(), route.clock())?;
        Ok(Self { client: HttpClient::new(tls.clone(), route)?, tls: Arc::new(tls) })
    }
}

impl WebClient {
    /// Creates a client. Without root certificates, every request fails. They are read when the first request needs them, unless
    /// [`Self::reload_roots`] has read them before.
    pub(crate) fn new(route: &Route, environment: &Environment) -> Self {
        Self {
            with_roots: Arc::default(),
            base_url: format!("https://{}", route.address()),
            route: route.clone(),
            environment: environment.clone(),
        }
    }

    /// Creates a client for the web API of another proxy.
    pub(crate) async fn for_other(&self, address: &Address) -> Result<Self, HttpError> {
        let client = self.at(address)?;
        client.reload_roots().await?;
        Ok(client)
    }

    /// Creates a client for another proxy, without root certificates until they are needed.
    pub(super) fn at(&self, address: &Address) -> Result<Self, ConnectionError> {
        let (insecure, clock) = (self.route.insecure(), self.route.clock().clone());
        let route = Route::new(address.clone(), &self.environment, insecure, clock);
        Ok(Self::new(&route.map_err(ConnectionError::new)?, &self.environment))
    }

    /// Returns whether the environment says that connections need the upgrade.
    pub(super) fn needs_upgrade(&self) -> Option<bool> {
        // An agent does not start if the variable is not valid.
        upgrade_variable::needs_upgrade(&self.environment, self.route.address()).ok().flatten()
    }

    /// Reads the root certificates again, because an agent runs longer than they stay the same. Does nothing if they were read
    /// since the last call, as at the start of the agent. If there are none at the moment, keeps the previous ones and returns the
    /// error.
    pub(crate) async fn reload_roots(&self) -> Result<(), HttpError> {
        if std::mem::take(&mut self.lock_roots().is_new) {
            return Ok(());
        }
        let (route, environment) = (self.route.clone(), self.environment.clone());
        let loaded = run_blocking(move || WithRoots::load(&route, &environment)).await?;
        self.lock_roots().result = Some(Ok(loaded));
        Ok(())
    }

    fn lock_roots(&self) -> MutexGuard<'_, LoadedRoots> {
        lock(&self.with_roots)
    }

    pub(super) fn route(&self) -> &Route {
        &self.route
    }

    fn with_roots(&self) -> Result<WithRoots, HttpError> {
        let LoadedRoots { result, is_new } = &mut *self.lock_roots();
        let load = || {
            let loaded = WithRoots::load(&self.route, &self.environment);
            *is_new = loaded.is_ok();
            loaded
        };
        result.get_or_insert_with(load).clone()
    }

    /// Returns the TLS configuration for everything that the proxy serves with its web certificate.
    pub(crate) fn tls(&self) -> Result<Arc<rustls::ClientConfig>, HttpError> {
        Ok(self.with_roots()?.tls)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<HttpResponse, HttpError> {
        let client = self.with_roots()?.client;
        client.send(client.request(Method::GET, format!("{}{path}", self.base_url))).await
    }

    /// Posts `body` as `application/json`, which the join endpoint requires, and waits up to `limit` for the response.
    pub(crate) async fn post_json(
        &self,
        path: &str,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<HttpResponse, HttpError> {
        let client = self.with_roots()?.client;
        let request = client.request(Method::POST, format!("{}{path}", self.base_url)).timeout(limit);
        client.send(request.header(CONTENT_TYPE, "application/json").body(body)).await
    }
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
        .no_proxy()
        .dns_resolver(HttpResolver);
    let Some(http_proxy) = http_proxy else { return Ok(builder) };
    let mut proxy = Proxy::all(http_proxy.uri().to_string())?;
    if let Some(authorization) = http_proxy.authorization() {
        proxy = proxy.custom_http_auth(authorization.clone());
    }
    Ok(builder.proxy(proxy))
}

/// Sends a request and reads the response's body. Returns `None` if it is larger than the limit.
async fn send(request: RequestBuilder) -> Result<Option<HttpResponse>, reqwest::Error> {
    let mut response = request.send().await?;
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let location = location.and_then(|location| response.url().join(location).ok());
    let location_host = location.and_then(|location| location.host_str().map(str::to_owned));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(HttpResponse { status: response.status(), body, location_host }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::platform::Clock;

    /// The roots that the start of the agent has read are used by the first renewal. Each later one reads them again.
    #[tokio::test]
    async fn root_certificates_are_read_once_per_renewal() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("roots.pem");
        let key = rcgen::KeyPair::generate().unwrap();
        let root = rcgen::CertificateParams::new([]).unwrap().self_signed(&key).unwrap();
        std::fs::write(&file, root.pem()).unwrap();
        let environment: Environment = [("SSL_CERT_FILE", &file)].into_iter().collect();
        let route = Route::new(Address::new("t.example", 443), &environment, false, Clock::system()).unwrap();
        let web = WebClient::new(&route, &environment);

        let at_the_start = web.tls().unwrap();
        web.reload_roots().await.unwrap();
        assert!(Arc::ptr_eq(&at_the_start, &web.tls().unwrap()));
        web.reload_roots().await.unwrap();
        let again = web.tls().unwrap();
        assert!(!Arc::ptr_eq(&at_the_start, &again));

        std::fs::remove_file(&file).unwrap();
        web.reload_roots().await.unwrap_err();
        assert!(Arc::ptr_eq(&again, &web.tls().unwrap()), "the previous roots are kept");
    }
}
