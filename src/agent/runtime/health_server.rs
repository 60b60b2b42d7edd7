//! Serves the agent's health at `diag_addr`: `/livez`, `/readyz`, `/wait` and `/metrics` over HTTP/1.1.
//!
//! The responses have the same format as those of Teleport's `tbot`, so that programs written for it can read them. The reason
//! of a failure is the message that is in the log, which contains no secret.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::connections::ACCEPT_RETRY;
use super::health::{Health, HealthStatus, ServiceState};
use super::metrics;
use crate::agent::net::http_body::{self, HttpBody};
use crate::agent::net::http_server::{self, Requests, ResponseFuture};
use crate::agent::net::listener::bind_tcp;
use crate::agent::platform::Hint;
use crate::agent::platform::reminders::RecurringWarnings;
use crate::config::ListenAddress;

/// The name of this server in the log and in errors.
pub(super) const HEALTH_SERVER: &str = "health server";

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The timeout of one request and its response. Does not apply while `/wait` waits.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The number of connections that are served at the same time.
const MAX_CONNECTIONS: usize = 32;
/// The number of these that may wait, so that they leave connections for probes.
const MAX_WAITING: usize = 16;

/// The server cannot listen at `diag_addr`.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on diag_addr {address}")]
pub struct HealthServerError {
    address: ListenAddress,
    #[source]
    error: io::Error,
}

impl HealthServerError {
    /// Returns advice for the operator.
    #[must_use]
    pub fn hint(&self) -> Hint {
        Hint::new("set diag_addr to a free host:port of this machine")
    }
}

/// A server that listens but does not serve yet.
#[derive(Debug)]
pub(crate) struct HealthServer(TcpListener);

impl HealthServer {
    /// Listens on an address, or on all addresses of the machine if the host is missing.
    pub(crate) async fn bind(address: &ListenAddress) -> Result<Self, HealthServerError> {
        bind_tcp(address)
            .await
            .map(Self)
            .map_err(|error| HealthServerError { address: address.clone(), error })
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.0.local_addr().ok()
    }

    /// Serves until the future is dropped, which closes every connection.
    pub(crate) async fn serve(self, health: Arc<Health>, warnings: RecurringWarnings) {
        let waiting = Arc::new(Semaphore::new(MAX_WAITING));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.0.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(connection(stream, Arc::clone(&health), Arc::clone(&waiting)));
                    }
                    // The process may be out of file descriptors. Retrying at once would be a busy loop.
                    Err(error) => {
                        warnings.warn(HEALTH_SERVER, format_args!("cannot accept connections: {error}"));
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// Serves one request. The connection is closed if the client closes it or is too slow.
async fn connection(stream: TcpStream, health: Arc<Health>, waiting: Arc<Semaphore>) {
    let is_waiting = AtomicBool::new(false);
    let respond = |request: Request<Incoming>| -> ResponseFuture<'_> {
        let (health, waiting, is_waiting) = (&health, &waiting, &is_waiting);
        Box::pin(async move {
            let resource = Resource::requested(request.method(), request.uri().path(), health);
            if let Resource::Wait(services) = &resource {
                let Ok(_permit) = waiting.try_acquire() else {
                    let message = "too many clients are waiting\n".to_owned();
                    return respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, message);
                };
                is_waiting.store(true, Ordering::Relaxed);
                health.first_attempts(|name| services.includes(name)).await;
                is_waiting.store(false, Ordering::Relaxed);
            }
            resource.response(health)
        })
    };
    let never = pin!(std::future::pending());
    let served = http_server::serve(Box::new(stream), Requests::One, &respond, never);
    tokio::pin!(served);
    // The client notices an error or a timeout.
    while tokio::time::timeout(REQUEST_TIMEOUT, &mut served).await.is_err() {
        if !is_waiting.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// The services that a response is about.
enum Selection {
    All,
    One(String),
}

impl Selection {
    fn includes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::One(selected) => selected == name,
        }
    }
}

/// The requested resource.
enum Resource {
    Liveness,
    Metrics,
    Readiness(Selection),
    /// The readiness after the first attempts.
    Wait(Selection),
    UnknownService,
    UnknownPath,
    UnknownMethod,
}

impl Resource {
    fn requested(method: &Method, path: &str, health: &Health) -> Self {
        if method != Method::GET && method != Method::HEAD {
            return Self::UnknownMethod;
        }
        let one = |name: &str, resource: fn(Selection) -> Self| {
            let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
            let exists = health.services().any(|(service, _)| service == name);
            if exists { resource(Selection::One(name)) } else { Self::UnknownService }
        };
        match path {
            "/livez" => Self::Liveness,
            "/metrics" => Self::Metrics,
            "/readyz" => Self::Readiness(Selection::All),
            "/wait" => Self::Wait(Selection::All),
            path => match (path.strip_prefix("/readyz/"), path.strip_prefix("/wait/")) {
                (Some(name), _) => one(name, Self::Readiness),
                (_, Some(name)) => one(name, Self::Wait),
                _ => Self::UnknownPath,
            },
        }
    }

    fn response(&self, health: &Health) -> Response<HttpBody> {
        match self {
            Self::Liveness if health.is_alive() => respond(StatusCode::OK, TEXT, "ok\n".to_owned()),
            Self::Liveness => respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, "stuck\n".to_owned()),
            Self::Metrics => respond(StatusCode::OK, PROMETHEUS, metrics::render(health)),
            Self::Readiness(services) | Self::Wait(services) => readiness(health, services),
            Self::UnknownService => {
                respond_json(StatusCode::NOT_FOUND, &json!({ "error": "there is no service with this name" }))
            }
            Self::UnknownPath => respond(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()),
            Self::UnknownMethod => {
                let message = "only GET and HEAD are supported\n".to_owned();
                let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, message);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
        }
    }
}

/// Returns the status of one service, or of all with the overall status, which is ready if every service is ready.
fn readiness(health: &Health, selection: &Selection) -> Response<HttpBody> {
    let (now, mut overall, mut services) = (health.now(), HealthStatus::Healthy, Map::new());
    for (name, state) in health.services().filter(|(name, _)| selection.includes(name)) {
        overall = overall.max(state.status(now));
        services.insert(name.to_owned(), service_status(&state, now));
    }
    let status = if overall.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = match selection {
        Selection::All => {
            json!({ "status": overall.as_str(), "pid": std::process::id(), "services": services })
        }
        Selection::One(name) => services.remove(name).unwrap_or_default(),
    };
    respond_json(status, &body)
}

/// Returns the status of a service. `reason` is missing if it works, and `updated_at` before its first attempt has ended.
fn service_status(state: &ServiceState, now: SystemTime) -> Value {
    let mut status = json!({ "status": state.status(now).as_str() });
    if let Some(reason) = state.reason() {
        status["reason"] = json!(reason);
    }
    if let Some(time) = state.updated_at.and_then(|time| Timestamp::try_from(time).ok()) {
        status["updated_at"] = json!(time.to_string());
    }
    status
}

fn respond_json(status: StatusCode, body: &Value) -> Response<HttpBody> {
    respond(status, JSON, format!("{body}\n"))
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<HttpBody> {
    let mut response = Response::new(http_body::complete(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
