//! Accepts connections, at most so many at a time and of one source, and ends those that idle or dawdle. Depends on
//! hyper and the limits.

use std::convert::Infallible;
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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::Options;
use super::guard::Peer;
use crate::limits::{Held, Source, SourceLimit, TrustedProxies};
use crate::metrics::{Metrics, Turned};

/// Connections over the limit that are told so, at a time; the ones over that are closed without a word.
const TOLD: usize = 64;
/// How long it may take to tell one.
const TELLING: Duration = Duration::from_secs(2);
/// How long a connection lives; a sender opens another one.
const LONGEST_LIFE: Duration = Duration::from_secs(300);
/// How long what is under way may take when a connection has lived that long: longer than any request may.
const LAST_REQUEST: Duration = Duration::from_secs(30);
/// How long what is under way may take when the server stops.
const LAST_CALL: Duration = Duration::from_secs(5);
/// The largest head, and what is read ahead of a connection.
const READ_AHEAD: usize = 32 * 1024;
/// Requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 32;

/// Accepts and serves the connections of a listener, within its limits.
#[derive(Clone)]
pub struct Connections {
    all: Arc<Semaphore>,
    each: Arc<SourceLimit>,
    told: Arc<Semaphore>,
    proxies: TrustedProxies,
    head_timeout: Duration,
    metrics: Arc<Metrics>,
}

/// A connection's place, free again when it is dropped.
struct Place {
    _all: OwnedSemaphorePermit,
    _each: Option<Held>,
    metrics: Arc<Metrics>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connections.down();
    }
}

impl Connections {
    /// The limits of these options.
    pub fn new(options: &Options, metrics: Arc<Metrics>) -> Self {
        Self {
            all: Arc::new(Semaphore::new(options.connections)),
            each: SourceLimit::new(options.connections_each),
            told: Arc::new(Semaphore::new(TOLD)),
            proxies: options.trusted_proxies.clone(),
            head_timeout: options.head_timeout,
            metrics,
        }
    }

    /// Serves connections until it is told to stop and those that are open have ended, or were cut off.
    pub async fn run(self, listener: TcpListener, router: Router, mut stop: watch::Receiver<()>) {
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = open.join_next() => continue,
                _ = stop.changed() => break,
            };
            match accepted {
                Ok((stream, peer)) => match self.place(peer) {
                    Some(place) => {
                        let served = serve(stream, peer, router.clone(), self.head_timeout, stop.clone());
                        open.spawn(async move {
                            served.await;
                            drop(place);
                        });
                    }
                    None => {
                        self.metrics.turn(Turned::Connections);
                        self.tell(stream);
                    }
                },
                // Out of files, most likely: some are free when connections end.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        drop(listener);
        let _ = tokio::time::timeout(LAST_CALL, async { while open.join_next().await.is_some() {} }).await;
        // What takes longer than that is cut off.
        open.shutdown().await;
    }

    fn place(&self, peer: SocketAddr) -> Option<Place> {
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let each = match self.proxies.contain(peer.ip()) {
            true => None,
            false => Some(self.each.take(Source::from(peer.ip()))?),
        };
        self.metrics.connections.up();
        Some(Place { _all: all, _each: each, metrics: Arc::clone(&self.metrics) })
    }

    /// Tells a connection that there is no place for it.
    fn tell(&self, stream: TcpStream) {
        let Ok(permit) = Arc::clone(&self.told).try_acquire_owned() else { return };
        let service = service_fn(|request: Request<Incoming>| async move {
            let error = ConnectError::resource_exhausted("too many connections; try again later");
            let mut answer = error.into_http_response(request.headers()).into_response();
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            Ok::<_, Infallible>(answer)
        });
        let connection = builder(TELLING).serve_connection(TokioIo::new(stream), service).into_owned();
        tokio::spawn(async move {
            // One that fails is the sender's to open again, as below.
            let _ = tokio::time::timeout(TELLING, connection).await;
            drop(permit);
        });
    }
}

/// Serves a connection until it ends, idles for too long, has lived for long enough, or the server stops. The last two let
/// what is under way come to its end.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    head_timeout: Duration,
    mut stop: watch::Receiver<()>,
) {
    // Answers are small and whole; without it they still arrive.
    let _ = stream.set_nodelay(true);
    let (requests, mut under_way) = watch::channel(0_usize);
    let requests = Arc::new(requests);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        let request = router.clone().oneshot(request.map(Body::new));
        let under_way = UnderWay::begin(&requests);
        async move {
            let answer = request.await;
            drop(under_way);
            answer
        }
    });
    // A connection that fails is the sender's to open again; nothing of it is logged.
    let builder = builder(head_timeout);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => return,
        () = idle(&mut under_way, head_timeout) => return,
        () = tokio::time::sleep(LONGEST_LIFE) => {}
        _ = stop.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    // Cut off sooner where the server stops.
    let _ = tokio::time::timeout(LAST_REQUEST, connection).await;
}

/// Returns when no request was under way for so long. A connection of HTTP/1.1 is closed by then; one that sent nothing at
/// all, or speaks HTTP/2 and answers pings, is not.
async fn idle(under_way: &mut watch::Receiver<usize>, patience: Duration) {
    loop {
        let none = under_way.wait_for(|requests| *requests == 0).await.is_ok();
        match tokio::time::timeout(patience, under_way.changed()).await {
            Err(_) => return,
            Ok(Ok(())) if none => {}
            // Nobody serves any more: the connection is ending by itself.
            Ok(_) => std::future::pending().await,
        }
    }
}

/// A request under way, until it is dropped.
struct UnderWay(Arc<watch::Sender<usize>>);

impl UnderWay {
    fn begin(requests: &Arc<watch::Sender<usize>>) -> Self {
        requests.send_modify(|requests| *requests += 1);
        Self(Arc::clone(requests))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}

fn builder(head_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(READ_AHEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(u32::try_from(READ_AHEAD).unwrap_or(u32::MAX))
        .initial_connection_window_size(2 * u32::try_from(READ_AHEAD).unwrap_or(u32::MAX))
        .max_header_list_size(16 * 1024)
        .max_send_buf_size(READ_AHEAD)
        .keep_alive_interval(head_timeout)
        .keep_alive_timeout(head_timeout);
    builder
}
