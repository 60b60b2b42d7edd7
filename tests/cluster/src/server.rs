//! The one port: accepts, routes by ClientHello, and takes every call through the same stations: log, faults, answer,
//! log. Depends on hyper and tokio; the answers are elsewhere.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::server::Acceptor;
use serde::Serialize as _;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::LazyConfigAcceptor;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::faults::Verdict;
use crate::identity::Caller;
use crate::join_service::{self, Opened};
use crate::log::{Call, Outcome};
use crate::tls::Route;
use crate::{Failure, Shared, auth, method};

/// The proxy reads no longer body.
const MAX_BODY: usize = 10 * 1024 * 1024;
/// Before the message of a gRPC body: one byte of flags, four of length.
const GRPC_PREFIX: usize = 5;

/// What is known of a connection before its first request.
pub(crate) struct Peer {
    addr: SocketAddr,
    route: Route,
    /// The client certificate, when it is one that auth accepts.
    caller: Result<Caller, Failure>,
    /// Ends the connection without an answer.
    pub(crate) cut: Notify,
}

/// Accepts until dropped. Every connection lives inside this future, so dropping it closes them all.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, addr)) = accepted else { continue };
                // Answers are small: without this each one waits for the client's delayed acknowledgement. A connection
                // that it fails on is slower, and no worse.
                let _ = socket.set_nodelay(true);
                connections.spawn(connection(shared.clone(), socket, addr));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(shared: Arc<Shared>, socket: TcpStream, addr: SocketAddr) {
    let mut down = shared.faults.down();
    tokio::select! {
        // Asked first: while the cluster is down, not even a ClientHello is read.
        biased;
        _ = down.wait_for(|down| *down) => {}
        _ = talk(shared, socket, addr) => {}
    }
}

/// Serves one connection. It ends in silence however it ends: the client sees its side of it.
async fn talk(shared: Arc<Shared>, socket: TcpStream, addr: SocketAddr) -> Option<()> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), socket).await.ok()?;
    let (route, config) = shared.tls().route(&start.client_hello())?;
    let stream = start.into_stream(config).await.ok()?;
    let caller = caller(stream.get_ref().1.peer_certificates().unwrap_or_default());
    let peer = Arc::new(Peer { addr, route, caller, cut: Notify::new() });
    let service = {
        let peer = peer.clone();
        service_fn(move |request| {
            let (shared, peer) = (shared.clone(), peer.clone());
            async move {
                Ok::<_, Infallible>(match peer.route {
                    Route::Join => join_station(shared, peer, request).await,
                    Route::Web | Route::Auth => station(&shared, &peer, request).await,
                })
            }
        })
    };
    let server = auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        _ = server.serve_connection(TokioIo::new(stream), service) => {}
        () = peer.cut.notified() => {}
    }
    Some(())
}

/// Auth takes a leaf and nothing else.
fn caller(chain: &[rustls::pki_types::CertificateDer<'_>]) -> Result<Caller, Failure> {
    match chain {
        [leaf] => Ok(Caller::from_der(leaf)?),
        [] => Err(Failure::access_denied()),
        _ => {
            let text = "access denied: intermediaries are not supported";
            Err(Failure::new(Code::PermissionDenied, text))
        }
    }
}

/// How an answer, and above all a refusal, is spelled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Http,
    Grpc,
}

/// Takes one stream, whose messages come as it goes, through the same stations.
async fn join_station(shared: Arc<Shared>, peer: Arc<Peer>, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let call = entry(&peer, Dialect::Grpc, &parts, &Bytes::new());
    let method = call.method.clone();
    let place = shared.log.begin(call);
    let verdict = shared.faults.before(&method).await;
    join_service::answer(shared, peer, Opened { place, verdict }, Request::from_parts(parts, body)).await
}

/// Takes one call through its stations.
async fn station(shared: &Shared, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let dialect = dialect(&parts);
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return http_failure(&Failure::new(Code::InvalidArgument, "http: request body too large"));
    };
    let body = body.to_bytes();
    let call = entry(peer, dialect, &parts, &body);
    let method = call.method.clone();
    let place = shared.log.begin(call);
    let verdict = shared.faults.before(&method).await;
    let response = match &verdict {
        Verdict::Refuse(failure) => refuse(dialect, failure),
        Verdict::Answer | Verdict::Lose | Verdict::Stream(_) => {
            answer(shared, peer, dialect, &method, parts, body).await
        }
    };
    if matches!(verdict, Verdict::Lose) {
        shared.log.end(place, Outcome::ReplyLost);
        peer.cut.notify_one();
        return std::future::pending().await;
    }
    shared.log.end(place, outcome(&response));
    response
}

fn dialect(parts: &Parts) -> Dialect {
    let content_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if content_type.starts_with(b"application/grpc") { Dialect::Grpc } else { Dialect::Http }
}

/// The log's entry for a call.
fn entry(peer: &Peer, dialect: Dialect, parts: &Parts, body: &Bytes) -> Call {
    let path = parts.uri.path().to_owned();
    let method = match (dialect, peer.route) {
        (Dialect::Grpc, _) => path.clone(),
        (Dialect::Http, Route::Auth) => format!("{} {path}", parts.method),
        (Dialect::Http, Route::Web | Route::Join) => method::of_web(&format!("{} {path}", parts.method)),
    };
    let (request, summary) = match dialect {
        Dialect::Grpc => {
            let message = body.slice(GRPC_PREFIX.min(body.len())..);
            let summary = auth::summary(&path, &message);
            (message, summary)
        }
        Dialect::Http => (body.clone(), String::from_utf8_lossy(body).into_owned()),
    };
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Call {
        method,
        path,
        user: peer.caller.as_ref().ok().map(|caller| caller.username.clone()),
        summary,
        request,
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        outcome: Outcome::Pending,
    }
}

async fn answer(
    shared: &Shared,
    peer: &Peer,
    dialect: Dialect,
    method: &str,
    parts: Parts,
    body: Bytes,
) -> Response<Body> {
    match (peer.route, dialect) {
        (Route::Web | Route::Join, Dialect::Http) => http(web(shared, method, &parts, &body)),
        // The web server knows no gRPC; this is what made the Go agent's first calls fail (recorded).
        (Route::Web | Route::Join, Dialect::Grpc) => {
            let mut response = Response::new(Body::new(Full::from("access denied")));
            *response.status_mut() = StatusCode::FORBIDDEN;
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            response
        }
        (Route::Auth, dialect) => {
            let admitted = peer.caller.clone().and_then(|caller| {
                shared.state().admit(&caller.username)?;
                Ok(caller)
            });
            match (admitted, dialect) {
                (Err(failure), dialect) => refuse(dialect, &failure),
                (Ok(caller), Dialect::Http) => http(rest(shared, &caller, method, &body)),
                (Ok(caller), Dialect::Grpc) => {
                    let request = Request::from_parts(parts, Full::new(body));
                    auth::answer(shared, &caller, peer.addr, request).await
                }
            }
        }
    }
}

fn web(shared: &Shared, method: &str, parts: &Parts, body: &[u8]) -> Result<Value, Failure> {
    match method {
        method::FIND => Ok(shared.find()),
        method::WEB_PING => Ok(shared.web_ping()),
        method::JOIN => shared.web_join(&parts.headers, body),
        _ => Err(Failure::new(Code::NotFound, format!("{method} is not found"))),
    }
}

/// The REST half of auth, or what is left of it.
fn rest(shared: &Shared, caller: &Caller, method: &str, body: &[u8]) -> Result<Value, Failure> {
    match method {
        method::REMOTE_CLUSTERS => Ok(shared.remote_clusters()),
        method::HOST_CERTS => shared.host_cert(caller, body),
        _ => Err(Failure::new(Code::NotFound, format!("{method} is not found"))),
    }
}

fn http(result: Result<Value, Failure>) -> Response<Body> {
    match result {
        Ok(value) => json_response(StatusCode::OK, value.to_string()),
        Err(failure) => http_failure(&failure),
    }
}

fn refuse(dialect: Dialect, failure: &Failure) -> Response<Body> {
    match dialect {
        Dialect::Http => http_failure(failure),
        Dialect::Grpc => Status::from(failure.clone()).into_http(),
    }
}

/// A refusal over HTTP, indented with four spaces like the recorded one. The outcome for the log rides along.
fn http_failure(failure: &Failure) -> Response<Body> {
    let value = json!({ "error": { "message": failure.message } });
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"    "));
    let text = match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => value.to_string(),
    };
    let mut response = json_response(failure.http_status(), text);
    response.extensions_mut().insert(failure.clone());
    response
}

fn json_response(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn outcome(response: &Response<Body>) -> Outcome {
    if let Some(failure) = response.extensions().get::<Failure>() {
        return Outcome::Refused(failure.code, failure.message.clone());
    }
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => {
            Outcome::Refused(status.code(), status.message().to_owned())
        }
        _ if response.status() != StatusCode::OK => {
            Outcome::Refused(Code::PermissionDenied, response.status().to_string())
        }
        _ => Outcome::Answered,
    }
}
