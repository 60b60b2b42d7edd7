//! A stream of bytes to a server, over TCP or inside another connection.

use tokio::io::{AsyncRead, AsyncWrite};

/// A stream of bytes in both directions.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Behind a pointer, so that HTTP and TLS are compiled once for all kinds of connections.
pub(crate) type BoxedByteStream = Box<dyn ByteStream>;
