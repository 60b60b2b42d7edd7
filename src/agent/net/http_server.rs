//! Serves HTTP/1.1 on a client's connection. Knows nothing about the requests.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::byte_stream::BoxedByteStream;
use super::http_body::HttpBody;

/// How long a client may take for the header of a request, and between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest header, and the most that is read ahead of a slow recipient.
const MAX_BUFFER: usize = 64 * 1024;

/// Responds to one request. Boxed, so that an idle connection needs no memory for it, and the server is compiled once.
pub(crate) type Respond<'a> = dyn Fn(Request<Incoming>) -> ResponseFuture<'a> + Send + Sync + 'a;
pub(crate) type ResponseFuture<'a> = Pin<Box<dyn Future<Output = Response<HttpBody>> + Send + 'a>>;

/// How many requests a connection can have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requests {
    One,
    Many,
}

/// Serves a client until it ends the connection, or until the response to the running request has been sent after `stop`.
/// A request that the client no longer waits for is dropped.
pub(crate) async fn serve<'a>(
    client: BoxedByteStream,
    requests: Requests,
    respond: &'a Respond<'a>,
    stop: Pin<&mut (dyn Future<Output = ()> + Send)>,
) -> hyper::Result<()> {
    let service = service_fn(move |request| {
        let response = respond(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_BUFFER)
        .keep_alive(requests == Requests::Many)
        .serve_connection(TokioIo::new(client), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        ended = &mut connection => return ended,
        () = stop => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;
    use crate::agent::net::http_body::complete;

    fn respond(_: Request<Incoming>) -> ResponseFuture<'static> {
        Box::pin(async { Response::new(complete("ok")) })
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_too_slow_or_idle_is_disconnected() {
        for (request, expected) in [("", ""), ("GET / HTTP/1.1\r\n", ""), ("GET / HTTP/1.1\r\n\r\n", "ok")] {
            let (mut client, server) = tokio::io::duplex(1024);
            let started = Instant::now();
            client.write_all(request.as_bytes()).await.unwrap();
            let served = serve(Box::new(server), Requests::Many, &respond, pin!(pending())).await;
            assert!(started.elapsed() >= HEADER_TIMEOUT && served.is_err(), "{request}");
            let mut response = String::new();
            client.read_to_string(&mut response).await.unwrap();
            assert!(response.ends_with(expected), "{response}");
        }
    }
}
