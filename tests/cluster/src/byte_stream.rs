//! A stream of bytes from a client: a TCP connection, or what an upgraded connection carries.

use tokio::io::{AsyncRead, AsyncWrite};

/// A stream of bytes in both directions.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

pub(crate) type BoxedByteStream = Box<dyn ByteStream>;
