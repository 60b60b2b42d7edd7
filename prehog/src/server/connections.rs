//! Accepts connections, limited in total and per client, and closes idle and slow ones. Depends on hyper and the limits.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use connectrpc::ConnectError;
use http::header::{CONNECTION, HeaderValue};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::admission::Peer;
use super::options::Options;
use super::response_body::ResponseBody;
use crate::limits::{ClientLimit, ClientNetwork, ClientPermit, TrustedProxies};
use crate::metrics::{Limit, Metrics};

/// How many rejected connections get an error response at a time. Further ones are closed without a response.
const MAX_REJECTIONS: usize = 256;
/// How long sending an error response to a rejected connection may take, including the time until the client closes it.
const REJECTION_TIMEOUT: Duration = Duration::from_secs(2);
/// Once half of all connections are taken, the limit per client is divided by this number, so that many more clients are
/// needed to take the other half.
const BUSY_DIVISOR: u32 = 8;
/// The maximum lifetime of a connection. The client then opens another one.
const MAX_LIFETIME: Duration = Duration::from_secs(300);
/// How long a connection of a trusted proxy may be idle: longer than load balancers keep connections, up to 10 minutes. A request
/// that a proxy sends while its connection is closed fails, and a proxy must not repeat it.
const PROXY_IDLE_TIMEOUT: Duration = Duration::from_secs(660);
/// How long pending requests may take at the end of the lifetime of a connection; longer than the timeout of a request.
const LIFETIME_GRACE: Duration = Duration::from_secs(30);
/// How long pending requests may take when the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// The size of the read buffer of a connection, and so the maximum size of a request header.
const BUFFER_SIZE: usize = 32 * 1024;
/// The maximum number of concurrent requests on an HTTP/2 connection.
const MAX_STREAMS: u32 = 32;

/// Accepts and serves the connections of a listener, within limits.
#[derive(Clone)]
pub struct Connections {
    limit: Arc<Semaphore>,
    max: usize,
    max_per_client: u32,
    client_limit: Arc<ClientLimit>,
    rejections: Arc<Semaphore>,
    trusted_proxies: TrustedProxies,
    header_timeout: Duration,
    metrics: Arc<Metrics>,
}

/// How long a connection may be idle, and how long it may be open.
struct Timeouts {
    idle: Duration,
    lifetime: Duration,
}

/// The permit of an open connection, released when it is dropped.
struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
    _client_permit: Option<ClientPermit>,
    metrics: Arc<Metrics>,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}

impl Connections {
    /// Creates the limits from the options.
    pub fn new(options: &Options, metrics: Arc<Metrics>) -> Self {
        // A semaphore cannot count higher, and no process has as many connections.
        let max = options.max_connections.min(Semaphore::MAX_PERMITS);
        Self {
            limit: Arc::new(Semaphore::new(max)),
            max,
            max_per_client: options.max_connections_per_client,
            client_limit: ClientLimit::new(options.max_connections_per_client),
            rejections: Arc::new(Semaphore::new(MAX_REJECTIONS)),
            trusted_proxies: options.trusted_proxies.clone(),
            header_timeout: options.header_timeout,
            metrics,
        }
    }

    /// Serves connections until `stop` changes. Then waits until the open connections have ended, and closes those that
    /// take too long.
    pub async fn run(self, listener: TcpListener, router: Router, mut stop: watch::Receiver<()>) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                _ = stop.changed() => break,
            };
            match accepted {
                Ok((stream, peer)) => match self.try_acquire(peer) {
                    Some(permit) => {
                        let timeouts = self.timeouts(peer);
                        let served = serve(stream, peer, router.clone(), timeouts, stop.clone());
                        connections.spawn(async move {
                            served.await;
                            drop(permit);
                        });
                    }
                    None => {
                        self.metrics.count_rejected(Limit::Connections);
                        self.reject(stream);
                    }
                },
                // Most likely the process has no free file descriptor until another connection ends.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        drop(listener);
        let ended = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(SHUTDOWN_GRACE, ended).await;
        // Closes those that took too long.
        connections.shutdown().await;
    }

    fn try_acquire(&self, peer: SocketAddr) -> Option<ConnectionPermit> {
        let permit = Arc::clone(&self.limit).try_acquire_owned().ok()?;
        let client_permit = match self.trusted_proxies.contains(peer.ip()) {
            true => None,
            false => Some(
                self.client_limit.try_acquire_below(self.client_share(), ClientNetwork::from(peer.ip()))?,
            ),
        };
        self.metrics.connections.inc();
        let metrics = Arc::clone(&self.metrics);
        Some(ConnectionPermit { _permit: permit, _client_permit: client_permit, metrics })
    }

    fn timeouts(&self, peer: SocketAddr) -> Timeouts {
        if self.trusted_proxies.contains(peer.ip()) {
            Timeouts { idle: PROXY_IDLE_TIMEOUT.max(self.header_timeout), lifetime: Duration::MAX }
        } else {
            Timeouts { idle: self.header_timeout, lifetime: MAX_LIFETIME }
        }
    }

    /// Returns how many connections a client may have now.
    fn client_share(&self) -> u32 {
        if self.limit.available_permits() >= self.max / 2 {
            self.max_per_client
        } else {
            (self.max_per_client / BUSY_DIVISOR).max(1)
        }
    }

    /// Responds to a request on a connection over the limit with an error.
    fn reject(&self, stream: TcpStream) {
        let Ok(permit) = Arc::clone(&self.rejections).try_acquire_owned() else { return };
        tokio::spawn(async move {
            // Errors are ignored, as in `serve`.
            let _ = tokio::time::timeout(REJECTION_TIMEOUT, respond_with_rejection(stream)).await;
            drop(permit);
        });
    }
}

/// Responds to the first request of a connection, then reads what the client still sends: to close a connection with unread
/// data would reset it, possibly before the client has read the response.
async fn respond_with_rejection(stream: TcpStream) -> io::Result<()> {
    let stream = stream.into_std()?;
    let mut unread = TcpStream::from_std(stream.try_clone()?)?;
    let service = service_fn(|request: Request<Incoming>| async move {
        let error = ConnectError::resource_exhausted("too many connections; try again later");
        let mut response = error.into_http_response(request.headers()).into_response();
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Ok::<_, Infallible>(response)
    });
    let stream = TokioIo::new(TcpStream::from_std(stream)?);
    // An error ends the connection, too.
    let _ = builder(REJECTION_TIMEOUT).serve_connection(stream, service).await;
    let mut buffer = [0; 1024];
    while unread.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Serves a connection until it ends, is idle for too long, reaches its maximum lifetime, or the server stops. In the last
/// two cases, pending requests are finished first.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    timeouts: Timeouts,
    mut stop: watch::Receiver<()>,
) {
    // Only an optimisation for small responses.
    let _ = stream.set_nodelay(true);
    let (requests, mut pending) = watch::channel(0_usize);
    let requests = Arc::new(requests);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        let response = router.clone().oneshot(request.map(Body::new));
        let pending = PendingRequest::new(&requests);
        async move { Ok::<_, Infallible>(response.await?.map(|body| ResponseBody::new(body, pending))) }
    });
    // Errors of a connection are not logged: they could contain something about the client, which can connect again.
    let builder = builder(timeouts.idle);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => return,
        () = wait_until_idle(&mut pending, timeouts.idle) => return,
        () = tokio::time::sleep(timeouts.lifetime) => {}
        _ = stop.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    // If the server stops, `Connections::run` ends this earlier.
    let _ = tokio::time::timeout(LIFETIME_GRACE, connection).await;
}

/// Waits until no request has been pending for `timeout`. hyper itself closes idle HTTP/1.1 connections, but neither those
/// that never sent anything nor HTTP/2 connections that respond to pings.
async fn wait_until_idle(pending: &mut watch::Receiver<usize>, timeout: Duration) {
    loop {
        let is_idle = pending.wait_for(|requests| *requests == 0).await.is_ok();
        match tokio::time::timeout(timeout, pending.changed()).await {
            Err(_) => return,
            Ok(Ok(())) if is_idle => {}
            // The service is dropped, so the connection is about to end.
            Ok(_) => std::future::pending().await,
        }
    }
}

/// Counts a request as pending until it is dropped, with the body of its response.
struct PendingRequest(Arc<watch::Sender<usize>>);

impl PendingRequest {
    fn new(requests: &Arc<watch::Sender<usize>>) -> Self {
        requests.send_modify(|requests| *requests += 1);
        Self(Arc::clone(requests))
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}

fn builder(idle_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(idle_timeout).max_buf_size(BUFFER_SIZE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(u32::try_from(BUFFER_SIZE).unwrap_or(u32::MAX))
        .initial_connection_window_size(2 * u32::try_from(BUFFER_SIZE).unwrap_or(u32::MAX))
        .max_header_list_size(16 * 1024)
        .max_send_buf_size(BUFFER_SIZE)
        .keep_alive_interval(idle_timeout)
        .keep_alive_timeout(idle_timeout);
    builder
}
