//! Applications that speak HTTP, and clients of a proxy.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

pub(super) type Body = BoxBody<Bytes, hyper::Error>;

pub(super) fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed()
}

/// Returns a body that consists of what is sent.
pub(super) fn streamed() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let frames = stream::unfold(receiver, |mut receiver| async {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, hyper::Error>(Frame::data(bytes)), receiver))
    });
    (sender, BodyExt::boxed(StreamBody::new(frames)))
}

/// An application that runs as long as the test.
#[derive(Clone)]
pub(super) struct App {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl App {
    /// Starts an application, whose responses contain `name`.
    pub(super) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app = Self { address: listener.local_addr().unwrap(), connections: Arc::default() };
        let connections = Arc::clone(&app.connections);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let service = service_fn(move |request| respond(name, request));
                let server = hyper::server::conn::http1::Builder::new();
                let served = server.serve_connection(TokioIo::new(client), service).with_upgrades();
                // Either side may end at any time.
                tokio::spawn(async move { served.await.ok() });
            }
        });
        app
    }

    /// Returns how many connections were opened.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Responds to a path: `/echo` with the body as it arrives, `/web-socket` by an upgrade, `/never` never, and any other with the
/// name of the application and the head of the request.
async fn respond(name: &str, mut request: Request<Incoming>) -> hyper::Result<Response<Body>> {
    match request.uri().path() {
        "/echo" => {
            let mut response = Response::new(request.into_body().boxed());
            response.headers_mut().insert("x-app", name.parse().unwrap());
            response.headers_mut().insert(CONNECTION, "x-private".parse().unwrap());
            response.headers_mut().insert("x-private", "1".parse().unwrap());
            Ok(response)
        }
        "/web-socket" => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let Ok(upgraded) = upgrade.await else { return };
                let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded));
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                let _ = tokio::io::AsyncWriteExt::shutdown(&mut writer).await;
            });
            let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
            let response =
                response.header(CONNECTION, "Upgrade").header(UPGRADE, &request.headers()[UPGRADE]);
            Ok(response.body(full("")).unwrap())
        }
        "/never" => std::future::pending().await,
        _ => {
            let mut head = format!("{name}: {} {}\n", request.method(), request.uri());
            for (name, value) in request.headers() {
                head.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
            }
            Ok(Response::new(full(head)))
        }
    }
}

/// A client's connection to a proxy.
pub(super) struct Client(SendRequest<Body>);

/// A response with its whole body.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        Self(sender)
    }

    /// Sends a request, and returns the response as soon as its head has arrived.
    pub(super) async fn send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        self.0.ready().await?;
        self.0.send_request(request).await
    }

    pub(super) async fn try_get(&mut self, url: &str) -> hyper::Result<Received> {
        let response = self.send(Request::get(url).body(full("")).unwrap()).await?;
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await?.to_bytes().to_vec()).unwrap();
        Ok(Received { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    pub(super) async fn get(&mut self, url: &str) -> Received {
        self.try_get(url).await.unwrap()
    }
}
