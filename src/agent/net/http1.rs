//! Begins HTTP/1.1 on a connection to a server. It is compiled once for all servers and bodies.

use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use super::byte_stream::BoxedByteStream;
use super::http_body::HttpBody;

/// The largest header, and the most that is read ahead of a slow recipient.
const MAX_BUFFER: usize = 64 * 1024;

/// Returns the sender of requests, and the connection, which must be polled for them to make progress.
pub(crate) async fn handshake(
    stream: BoxedByteStream,
) -> hyper::Result<(SendRequest<HttpBody>, Connection<TokioIo<BoxedByteStream>, HttpBody>)> {
    Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(stream)).await
}
