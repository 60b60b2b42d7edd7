//! A stream of bytes: a TCP connection, or what an upgraded connection carries.

use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub(crate) type ByteStream = Box<dyn Duplex>;
