//! Serves the cluster's two ports: accepts connections, selects the server by ClientHello, and takes every call
//! through the same steps: log it, apply faults, process it, and log the outcome. Other modules process the calls.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::server::Acceptor;
use serde::Serialize as _;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::byte_stream::BoxedByteStream;
use crate::call_log::{Call, Outcome};
use crate::connection::Connection;
use crate::connection_upgrade::PendingUpgrade;
use crate::error::ApiError;
use crate::faults::CallAction;
use crate::identity::Caller;
use crate::join_service::ChallengeJoin;
use crate::join_stream::{self, LoggedCall};
use crate::join_v1::JoinV1;
use crate::proto::{RegisterUsingAzureMethodRequest, RegisterUsingIamMethodRequest};
use crate::shared::Shared;
use crate::tls::Backend;
use crate::{anonymous, auth_service, method, ssh_service, tunnel};

/// The maximum size of a request body.
const MAX_BODY_LEN: usize = 10 * 1024 * 1024;
/// The length of the prefix of a gRPC message: one byte of flags and four of length.
const GRPC_PREFIX_LEN: usize = 5;

/// A port of the cluster.
#[derive(Clone, Copy)]
pub(crate) enum Port {
    /// The port of the proxy, behind which the auth server is reached as well.
    Proxy,
    /// The auth server's own port.
    Auth,
    /// The port of the proxy for SSH.
    Ssh,
}

/// Accepts connections until dropped. This future owns every connection, so dropping it closes them all.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener, port: Port) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, addr)) = accepted else { continue };
                // Responses are small; without this, each one waits for the client's delayed acknowledgement. A failure
                // only makes the connection slower.
                let _ = socket.set_nodelay(true);
                connections.spawn(serve_while_up(shared.clone(), socket, addr, port));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves a connection until it ends or the cluster goes down.
async fn serve_while_up(shared: Arc<Shared>, socket: TcpStream, addr: SocketAddr, port: Port) {
    let _in_progress = shared.in_progress.enter();
    let mut down = shared.faults.watch_down();
    tokio::select! {
        // Polled first, so that not even a ClientHello is read while the cluster is down.
        biased;
        _ = down.wait_for(|down| *down) => {}
        _ = async {
            match port {
                Port::Proxy => serve_connection(shared, socket, addr).await,
                Port::Auth => serve_direct(shared, socket, addr).await,
                Port::Ssh => serve_ssh(shared, socket, addr).await,
            }
        } => {}
    }
}

/// Serves a connection, and the one that it carries after an upgrade, until it ends. Errors are ignored, because the client
/// sees them as well.
async fn serve_connection(shared: Arc<Shared>, socket: TcpStream, addr: SocketAddr) -> Option<()> {
    let upgrade = serve_stream(shared.clone(), Box::new(socket), addr, false).await?;
    let (stream, carry) = upgrade.stream().await.ok()?;
    tokio::join!(serve_stream(shared, stream, addr, true), carry);
    Some(())
}

/// Serves what arrives on `stream` until it ends. Returns the upgrade, if one was requested.
async fn serve_stream(
    shared: Arc<Shared>,
    stream: BoxedByteStream,
    addr: SocketAddr,
    is_upgraded: bool,
) -> Option<PendingUpgrade> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.ok()?;
    let serves_ssh = shared.has_tls_routing.load(Ordering::Relaxed);
    let (backend, config) = shared.tls().select(&start.client_hello(), is_upgraded, serves_ssh)?;
    let stream = start.into_stream(config).await.ok()?;
    if backend == Backend::ReverseTunnel {
        shared.reverse_tunnels.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    serve_calls(shared, stream, addr, backend).await
}

/// Serves a connection to the auth server's own port until it ends.
async fn serve_direct(shared: Arc<Shared>, socket: TcpStream, addr: SocketAddr) -> Option<()> {
    let stream: BoxedByteStream = Box::new(socket);
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.ok()?;
    let config = shared.tls().direct(&start.client_hello());
    let stream = start.into_stream(config).await.ok()?;
    let is_anonymous = stream.get_ref().1.peer_certificates().is_none();
    let backend = if is_anonymous { Backend::Anonymous } else { Backend::Auth };
    serve_calls(shared, stream, addr, backend).await.map(drop)
}

/// Serves a connection to the proxy's port for SSH until it ends.
async fn serve_ssh(shared: Arc<Shared>, socket: TcpStream, addr: SocketAddr) -> Option<()> {
    let stream: BoxedByteStream = Box::new(socket);
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.ok()?;
    let stream = start.into_stream(shared.tls().ssh()).await.ok()?;
    serve_calls(shared, stream, addr, Backend::Ssh).await.map(drop)
}

/// Serves the calls on a connection until it ends. Returns the upgrade, if one was requested.
async fn serve_calls(
    shared: Arc<Shared>,
    stream: TlsStream<BoxedByteStream>,
    addr: SocketAddr,
    backend: Backend,
) -> Option<PendingUpgrade> {
    let client_chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let connection = Arc::new(Connection::new(addr, backend, client_chain));
    let routes = connection.caller.as_ref().map(|caller| &caller.routes).ok();
    if backend == Backend::Resource || backend == Backend::Web && routes.is_some_and(|to| to.app.is_some()) {
        tunnel::forward(&shared, &connection, stream).await;
        return None;
    }
    let service = {
        let (shared, connection) = (shared, connection.clone());
        service_fn(move |request| {
            let (shared, connection) = (shared.clone(), connection.clone());
            // A call over HTTP/2 runs in a separate task, which may outlive its connection.
            let in_progress = shared.in_progress.enter();
            async move {
                let _in_progress = in_progress;
                let is_join_backend =
                    matches!(connection.backend, Backend::Join | Backend::Auth | Backend::Anonymous);
                if connection.backend == Backend::Ssh && request.uri().path() == method::PROXY_SSH {
                    return Ok(serve_ssh_stream(shared, connection, request).await);
                }
                Ok::<_, Infallible>(if is_join_backend && method::is_join_stream(request.uri().path()) {
                    serve_join_stream(shared, connection, request).await
                } else {
                    serve_call(&shared, &connection, request).await
                })
            }
        })
    };
    let server = auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service) => {}
        () = connection.abort.notified() => return None,
    }
    connection.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The protocol of a call, which determines how its response is encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http,
    Grpc,
}

/// Serves a stream of the join service, whose messages arrive after the call has been logged.
async fn serve_join_stream(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let call = log_entry(&connection, Protocol::Grpc, &parts, &Bytes::new());
    let method = call.method.clone();
    let index = shared.log.begin(call);
    let action = shared.faults.before_call(&method).await;
    let refusal = if !shared.offers(&method) {
        Some(ApiError::new(Code::Unimplemented, format!("servers of this version do not serve {method}")))
    } else if connection.backend == Backend::Auth {
        connection.admit(&shared).err()
    } else {
        None
    };
    if let Some(error) = refusal {
        shared.log.end(index, Outcome::Refused(error.code, error.message.clone()));
        return refuse(Protocol::Grpc, &error);
    }
    let call = LoggedCall { index, action };
    let request = Request::from_parts(parts, body);
    match method.as_str() {
        method::JOIN_V1 => join_stream::serve::<JoinV1>(shared, connection, call, request).await,
        method::REGISTER_USING_IAM => {
            join_stream::serve::<ChallengeJoin<RegisterUsingIamMethodRequest>>(
                shared, connection, call, request,
            )
            .await
        }
        _ => {
            join_stream::serve::<ChallengeJoin<RegisterUsingAzureMethodRequest>>(
                shared, connection, call, request,
            )
            .await
        }
    }
}

/// Serves a connection to a node.
async fn serve_ssh_stream(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let index = shared.log.begin(log_entry(&connection, Protocol::Grpc, &parts, &Bytes::new()));
    let action = shared.faults.before_call(method::PROXY_SSH).await;
    ssh_service::serve(shared, connection, index, action, Request::from_parts(parts, body)).await
}

/// Serves a call: logs it, applies faults, processes it and logs the outcome.
async fn serve_call(shared: &Shared, connection: &Connection, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let protocol = protocol(&parts);
    let Ok(body) = Limited::new(body, MAX_BODY_LEN).collect().await else {
        return http_error(&ApiError::invalid_argument("http: request body too large"));
    };
    let body = body.to_bytes();
    let call = log_entry(connection, protocol, &parts, &body);
    let method = call.method.clone();
    let index = shared.log.begin(call);
    let action = shared.faults.before_call(&method).await;
    let response = match &action {
        CallAction::Refuse(error) => refuse(protocol, error),
        CallAction::Process
        | CallAction::DropResponse
        | CallAction::StallResponse
        | CallAction::BreakStream(_) => process(shared, connection, protocol, &method, parts, body).await,
    };
    match action {
        CallAction::DropResponse => {
            shared.log.end(index, Outcome::ResponseDropped);
            connection.abort.notify_one();
            std::future::pending().await
        }
        CallAction::StallResponse => {
            shared.log.end(index, Outcome::ResponseDropped);
            let never = tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>();
            response.map(|_| Body::new(StreamBody::new(never)))
        }
        CallAction::Process | CallAction::Refuse(_) | CallAction::BreakStream(_) => {
            shared.log.end(index, outcome(&response));
            response
        }
    }
}

fn protocol(parts: &Parts) -> Protocol {
    let content_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if content_type.starts_with(b"application/grpc") { Protocol::Grpc } else { Protocol::Http }
}

/// Returns the log entry of a call.
fn log_entry(connection: &Connection, protocol: Protocol, parts: &Parts, body: &Bytes) -> Call {
    let path = parts.uri.path().to_owned();
    let method = match (protocol, connection.backend) {
        (Protocol::Grpc, _) => path.clone(),
        (Protocol::Http, Backend::Auth | Backend::Anonymous) => format!("{} {path}", parts.method),
        (
            Protocol::Http,
            Backend::Web | Backend::Join | Backend::ReverseTunnel | Backend::Resource | Backend::Ssh,
        ) => method::from_web_request(&format!("{} {path}", parts.method)),
    };
    let (request, summary) = match protocol {
        Protocol::Grpc => {
            let message = body.slice(GRPC_PREFIX_LEN.min(body.len())..);
            let summary = auth_service::summary(&path, &message);
            (message, summary)
        }
        Protocol::Http => (body.clone(), String::from_utf8_lossy(body).into_owned()),
    };
    let to_string = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Call {
        method,
        path,
        user: connection.caller.as_ref().ok().map(|caller| caller.username.clone()),
        summary,
        request,
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), to_string(value))).collect(),
        outcome: Outcome::Pending,
    }
}

/// Processes a call and returns its response.
async fn process(
    shared: &Shared,
    connection: &Connection,
    protocol: Protocol,
    method: &str,
    mut parts: Parts,
    body: Bytes,
) -> Response<Body> {
    match (connection.backend, protocol) {
        (Backend::Web, Protocol::Http) if method == method::CONNECTION_UPGRADE => {
            match shared.connection_upgrade(&mut parts) {
                Ok((response, upgrade)) => {
                    *connection.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
                    response
                }
                Err(error) => http_error(&error),
            }
        }
        (Backend::Join, Protocol::Grpc) => {
            let request = Request::from_parts(parts, Full::new(body));
            auth_service::serve_join(shared, None, request).await
        }
        (
            Backend::Web | Backend::Join | Backend::ReverseTunnel | Backend::Resource | Backend::Ssh,
            Protocol::Http,
        ) => http_response(web(shared, method, &parts, &body)),
        // The web server does not support gRPC. As recorded, this is how the Go agent's first calls fail.
        (Backend::Web | Backend::ReverseTunnel | Backend::Resource, Protocol::Grpc) => {
            let mut response = Response::new(Body::new(Full::from("access denied")));
            *response.status_mut() = StatusCode::FORBIDDEN;
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            response
        }
        (Backend::Ssh, Protocol::Grpc) => {
            refuse(protocol, &ApiError::new(Code::Unimplemented, format!("unknown method {method}")))
        }
        (Backend::Anonymous, Protocol::Http) => http_response(anonymous::rest(shared, method, &parts, &body)),
        (Backend::Anonymous, Protocol::Grpc) => {
            let request = Request::from_parts(parts, Full::new(body));
            anonymous::serve(shared, connection.peer_addr, request).await
        }
        (Backend::Auth, protocol) => match (connection.admit(shared), protocol) {
            (Err(error), protocol) => refuse(protocol, &error),
            (Ok(caller), Protocol::Http) => http_response(rest(shared, &caller, method, &body)),
            (Ok(caller), Protocol::Grpc) => {
                let request = Request::from_parts(parts, Full::new(body));
                auth_service::serve(shared, &caller, connection.peer_addr, request).await
            }
        },
    }
}

fn web(shared: &Shared, method: &str, parts: &Parts, body: &[u8]) -> Result<Value, ApiError> {
    match method {
        _ if !shared.offers(method) => Err(ApiError::not_found("path not found")),
        method::FIND => Ok(shared.find()),
        method::WEB_PING => Ok(shared.web_ping()),
        method::JOIN => shared.web_join(&parts.headers, body),
        _ => Err(ApiError::not_found(format!("{method} is not found"))),
    }
}

/// Serves the auth server's REST API, of which Teleport retains a few calls.
fn rest(shared: &Shared, caller: &Caller, method: &str, body: &[u8]) -> Result<Value, ApiError> {
    match method {
        _ if !shared.offers(method) => Err(ApiError::not_found("path not found")),
        method::REMOTE_CLUSTERS => Ok(shared.remote_clusters()),
        method::HOST_CERTS => shared.host_cert(caller, body),
        _ => Err(ApiError::not_found(format!("{method} is not found"))),
    }
}

fn http_response(result: Result<Value, ApiError>) -> Response<Body> {
    match result {
        Ok(value) => json_response(StatusCode::OK, value.to_string()),
        Err(error) => http_error(&error),
    }
}

fn refuse(protocol: Protocol, error: &ApiError) -> Response<Body> {
    match protocol {
        Protocol::Http => http_error(error),
        Protocol::Grpc => Status::from(error.clone()).into_http(),
    }
}

/// Returns a refusal over HTTP, indented with four spaces as recorded. The response carries `error` as an extension,
/// from which the log takes the outcome.
fn http_error(error: &ApiError) -> Response<Body> {
    let value = json!({ "error": { "message": error.message } });
    let mut body = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut body, PrettyFormatter::with_indent(b"    "));
    let body = match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8_lossy(&body).into_owned(),
        Err(_) => value.to_string(),
    };
    let mut response = json_response(error.http_status(), body);
    response.extensions_mut().insert(error.clone());
    response
}

fn json_response(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns the outcome that a response represents.
fn outcome(response: &Response<Body>) -> Outcome {
    if let Some(error) = response.extensions().get::<ApiError>() {
        return Outcome::Refused(error.code, error.message.clone());
    }
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => {
            Outcome::Refused(status.code(), status.message().to_owned())
        }
        _ if !matches!(response.status(), StatusCode::OK | StatusCode::SWITCHING_PROTOCOLS) => {
            Outcome::Refused(Code::PermissionDenied, response.status().to_string())
        }
        _ => Outcome::Succeeded,
    }
}
