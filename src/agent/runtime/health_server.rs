//! Serves the agent's health at `diag_addr`: `/livez`, `/readyz` and `/metrics` over HTTP/1.1.
//!
//! Reports the names and states of services, but never the reason for a failure, which is in the log.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::health::{Health, HealthStatus, ServiceState};
use super::metrics;
use crate::agent::platform::{Clock, Hint};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The timeout of one request and its response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The number of connections that are served at the same time.
const MAX_CONNECTIONS: usize = 32;

/// The server cannot listen at `diag_addr`.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on diag_addr {address}")]
pub struct HealthServerError {
    address: String,
    #[source]
    error: io::Error,
}

impl HealthServerError {
    /// Returns what the operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        Some(Hint::new("set diag_addr to a free host:port of this machine"))
    }
}

/// A server that listens but does not serve yet.
#[derive(Debug)]
pub(crate) struct HealthServer(TcpListener);

impl HealthServer {
    /// Listens on `host:port`, or on all addresses of the machine if the host is missing.
    pub(crate) async fn bind(address: &str) -> Result<Self, HealthServerError> {
        let listener = match address.strip_prefix(':') {
            // If the machine has IPv6, this also accepts IPv4 connections.
            Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
                Ok(listener) => Ok(listener),
                Err(_) => TcpListener::bind(format!("0.0.0.0:{port}")).await,
            },
            None => TcpListener::bind(address).await,
        };
        listener.map(Self).map_err(|error| HealthServerError { address: address.to_owned(), error })
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.0.local_addr().ok()
    }

    /// Serves until the future is dropped, which closes every connection.
    pub(crate) async fn serve(self, health: Arc<Health>, clock: Clock) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.0.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(connection(stream, Arc::clone(&health), clock.clone()));
                    }
                    // The process may be out of file descriptors. Retrying at once would be a busy loop.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn connection(stream: TcpStream, health: Arc<Health>, clock: Clock) {
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let response = handle(request.method(), request.uri().path(), &health, clock.now());
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let served = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    // The client notices an error or a timeout.
    let _ = tokio::time::timeout(REQUEST_TIMEOUT, served).await;
}

fn handle(method: &Method, path: &str, health: &Health, now: SystemTime) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        let mut refused = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/livez" if health.is_alive() => respond(StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/livez" => respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, "stuck\n".to_owned()),
        "/readyz" => readiness(health, now),
        "/metrics" => respond(StatusCode::OK, PROMETHEUS, metrics::render(health, now)),
        path => {
            let service = path.strip_prefix("/readyz/");
            let state = service.and_then(|service| health.services().find(|(name, _)| *name == service));
            state.map_or_else(
                || respond(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()),
                |(_, state)| report(state.status(now).is_ready(), &service_status(&state, now)),
            )
        }
    }
}

/// Returns the overall status, which is ready if every service is ready.
fn readiness(health: &Health, now: SystemTime) -> Response<Full<Bytes>> {
    let (mut services, mut overall) = (Map::new(), HealthStatus::Healthy);
    for (name, state) in health.services() {
        overall = worse(overall, state.status(now));
        services.insert(name.to_owned(), service_status(&state, now));
    }
    report(overall.is_ready(), &json!({ "status": overall.as_str(), "services": services }))
}

const fn worse(one: HealthStatus, other: HealthStatus) -> HealthStatus {
    match (one, other) {
        (HealthStatus::Unhealthy, _) | (_, HealthStatus::Unhealthy) => HealthStatus::Unhealthy,
        (HealthStatus::Initializing, _) | (_, HealthStatus::Initializing) => HealthStatus::Initializing,
        (HealthStatus::Failing, _) | (_, HealthStatus::Failing) => HealthStatus::Failing,
        (HealthStatus::Healthy, HealthStatus::Healthy) => HealthStatus::Healthy,
    }
}

fn service_status(state: &ServiceState, now: SystemTime) -> Value {
    json!({ "status": state.status(now).as_str() })
}

fn report(is_ready: bool, body: &Value) -> Response<Full<Bytes>> {
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    respond(status, JSON, format!("{body}\n"))
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
