//! A stream that reports the first bytes that are received on it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Calls `received` once, as soon as the first bytes have been read from `stream`.
pub(super) struct FirstBytes<S, F> {
    stream: S,
    received: Option<F>,
}

impl<S, F: FnOnce()> FirstBytes<S, F> {
    pub(super) fn new(stream: S, received: F) -> Self {
        Self { stream, received: Some(received) }
    }

    /// Calls `received`, unless this was done before.
    pub(super) fn report(&mut self) {
        if let Some(received) = self.received.take() {
            received();
        }
    }
}

impl<S: AsyncRead + Unpin, F: FnOnce() + Unpin> AsyncRead for FirstBytes<S, F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.report();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin, F: Unpin> AsyncWrite for FirstBytes<S, F> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
