//! The diagnostics listener of `diag_addr`: `/livez`, `/readyz`, `/metrics` over HTTP/1.1. One I/O edge.
//!
//! It tells the names of services and how they fare, and nothing of why: that is in the log.

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

use crate::agent::platform::options::Clock;
use crate::agent::runtime::health::{Facts, Health, Status};
use crate::agent::runtime::metrics;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// One request and its answer take no longer.
const EXCHANGE: Duration = Duration::from_secs(10);
/// Further connections wait to be accepted.
const CONNECTIONS: usize = 32;

/// Why the listener cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on diag_addr {address}: {error}; set diag_addr to a free host:port of this machine")]
pub struct DiagError {
    address: String,
    error: io::Error,
}

/// Listens, and serves nothing yet.
#[derive(Debug)]
pub(crate) struct Listener(TcpListener);

impl Listener {
    /// Takes `host:port`; without a host, every address of the machine.
    pub(crate) async fn bind(address: &str) -> Result<Self, DiagError> {
        let bound = match address.strip_prefix(':') {
            // Where there is IPv6, this takes IPv4, too.
            Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
                Ok(listener) => Ok(listener),
                Err(_) => TcpListener::bind(format!("0.0.0.0:{port}")).await,
            },
            None => TcpListener::bind(address).await,
        };
        bound.map(Self).map_err(|error| DiagError { address: address.to_owned(), error })
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.0.local_addr().ok()
    }

    /// Serves until dropped, which ends every connection.
    pub(crate) async fn serve(self, health: Arc<Health>, clock: Clock) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.0.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(connection(stream, Arc::clone(&health), clock.clone()));
                    }
                    // Out of file handles, for example: going on at once would only turn in a circle.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn connection(stream: TcpStream, health: Arc<Health>, clock: Clock) {
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &health, clock.now());
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let served = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    // However it ends, whoever asked sees it.
    let _ = tokio::time::timeout(EXCHANGE, served).await;
}

fn answer(method: &Method, path: &str, health: &Health, now: SystemTime) -> Response<Full<Bytes>> {
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
            let facts = service.and_then(|service| health.services().find(|(name, _)| *name == service));
            facts.map_or_else(
                || respond(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()),
                |(_, facts)| report(facts.status(now).is_ready(), &of_service(&facts, now)),
            )
        }
    }
}

/// Ready when every service is.
fn readiness(health: &Health, now: SystemTime) -> Response<Full<Bytes>> {
    let (mut services, mut overall) = (Map::new(), Status::Healthy);
    for (name, facts) in health.services() {
        overall = worse(overall, facts.status(now));
        services.insert(name.to_owned(), of_service(&facts, now));
    }
    report(overall.is_ready(), &json!({ "status": overall.as_str(), "services": services }))
}

const fn worse(one: Status, other: Status) -> Status {
    match (one, other) {
        (Status::Unhealthy, _) | (_, Status::Unhealthy) => Status::Unhealthy,
        (Status::Initializing, _) | (_, Status::Initializing) => Status::Initializing,
        (Status::Failing, _) | (_, Status::Failing) => Status::Failing,
        (Status::Healthy, Status::Healthy) => Status::Healthy,
    }
}

fn of_service(facts: &Facts, now: SystemTime) -> Value {
    json!({ "status": facts.status(now).as_str() })
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
